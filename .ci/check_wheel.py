# SPDX-License-Identifier: Apache-2.0
"""Check that a wheel holds what a user needs, and nothing else."""

import sys
import zipfile

NEEDED = (
    "e2ecross/py.typed",
    "e2ecross/wire/_pb/signal/wire_pb2.py",
    "e2ecross/wire/_pb/e2ecross/v1/storage_pb2.py",
    "e2ecross/stores/schema/0001.sql",
    "e2ecross/demo/web/static/index.html",
    "e2ecross/demo/web/static/page.css",
    "e2ecross/demo/web/static/page.js",
)


def main() -> int:
    """Print what is missing or too much; 1 if anything is."""
    names = zipfile.ZipFile(sys.argv[1]).namelist()
    problems = [f"missing: {name}" for name in NEEDED if name not in names]
    problems += [
        f"unexpected: {name}"
        for name in names
        if not name.startswith(("e2ecross/", "e2ecross-")) or name.endswith(".pyc")
    ]
    print("\n".join(problems) or f"wheel holds {len(names)} files")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
