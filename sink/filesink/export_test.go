package filesink

// TrashPrefix begins the names of folders whose deletion is not complete.
const TrashPrefix = trashPrefix
