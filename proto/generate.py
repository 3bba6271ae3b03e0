# SPDX-License-Identifier: Apache-2.0
"""Generate e2ecross/wire/_pb from proto/, or check with --check that it is current.

Needs grpcio-tools 1.62.3 (protoc 25.1): its output runs under protobuf 4.25 to 7. Run it in an
environment of its own, because grpcio-tools pins an older protobuf than we test with:

    python -m venv .venv-protoc && .venv-protoc/bin/pip install -r proto/requirements.txt
    .venv-protoc/bin/python proto/generate.py
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

PROTO = Path(__file__).resolve().parent
TARGET = PROTO.parent / "e2ecross" / "wire" / "_pb"
LICENSE = "# SPDX-License-Identifier: Apache-2.0\n"
# Generated modules import each other by their path below proto/; ours live deeper.
_IMPORT = re.compile(r"^from (e2ecross\.v1|signal)\b", re.MULTILINE)


def generate(target: Path) -> None:
    """Write the generated modules below `target`."""
    sources = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}"),
            *(f"--python_out={target}", f"--pyi_out={target}", *sources),
        ],
        check=True,
    )
    for path in [*target.rglob("*_pb2.py"), *target.rglob("*_pb2.pyi")]:
        text = _IMPORT.sub(r"from e2ecross.wire._pb.\1", path.read_text())
        path.write_text(LICENSE + text)
        for folder in path.parents:
            if folder == target.parent:
                break
            (folder / "__init__.py").write_text(LICENSE)


def read(folder: Path) -> dict[Path, str]:
    """Read every generated file below `folder`."""
    return {
        path.relative_to(folder): path.read_text()
        for path in sorted(folder.rglob("*.py*"))
        if path.suffix in {".py", ".pyi"}
    }


def main() -> int:
    """Generate in place, or compare with a fresh generation (--check)."""
    if sys.argv[1:] != ["--check"]:
        generate(TARGET)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch) / "_pb"
        fresh.mkdir()
        generate(fresh)
        if read(fresh) != read(TARGET):
            print("e2ecross/wire/_pb is not current: run proto/generate.py", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
