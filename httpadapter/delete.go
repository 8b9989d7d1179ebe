package httpadapter

import "net/http"

// Delete answers the delete request, which ends a job, running or not: from its
// answer on, status and files are 404. It needs the path value "id".
func (h *Handler) Delete(w http.ResponseWriter, r *http.Request) {
	access, err := h.authorize(r)
	if err == nil {
		ctx := withRemote(r.Context(), h.cfg.RemoteAddr(r))
		err = h.exporter.Delete(ctx, access, r.PathValue("id"))
	}
	if err != nil {
		h.deny(w, r, asked{operation: OpDelete, caller: access.Caller}, err)
		return
	}
	protect(w)
	w.WriteHeader(h.cfg.DeleteStatus)
}
