"""Prints id and family name of each patient in exported NDJSON, line by line.

    python3 consume.py FILE|FOLDER...

Memory stays the same however long a file is: one line is held at a time.
"""

import json
import sys
from pathlib import Path


def ndjson_files(paths):
    for path in map(Path, paths):
        yield from sorted(path.glob("*.ndjson")) if path.is_dir() else [path]


def main(paths):
    if not paths:
        sys.exit("usage: python3 consume.py FILE|FOLDER...")
    sys.stdout.reconfigure(encoding="utf-8")
    for path in ndjson_files(paths):
        with open(path, "rb") as lines:  # bytes: JSON is UTF-8, whatever the locale
            for line in lines:
                if line.isspace():
                    continue
                resource = json.loads(line)
                if resource.get("resourceType") != "Patient":
                    continue
                names = resource.get("name", [])
                family = next((n["family"] for n in names if "family" in n), "")
                print(resource["id"], family, sep="\t")


if __name__ == "__main__":
    main(sys.argv[1:])
