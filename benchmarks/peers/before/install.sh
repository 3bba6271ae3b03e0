#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the build that ours is measured beside, the commit in the file `revision`, in an
# environment of its own: .venv. Does nothing when it is there already. Set PYTHON to choose the
# interpreter: that of the benchmarks, whose versions of what both builds need are taken.
set -eu
cd "$(dirname "$0")"

python="${PYTHON:-python3}"
revision="$(cat revision)"

# Of an environment of its own: what the system has may be too old for us.
pins="$("$python" - <<'END'
import sys
from importlib.metadata import PackageNotFoundError, version
for package in ("cryptography", "PyNaCl", "protobuf") if sys.prefix != sys.base_prefix else ():
    try:
        print(f"{package}=={version(package)}")
    except PackageNotFoundError:
        pass
END
)"

# The folder stands in the mark because the environment refers to it. Without pins any will do.
# shellcheck disable=SC2086 # on one line
mark="$revision $("$python" -VV | tr '\n' ' ') $(pwd -P) $(echo $pins)"
case "$(cat .venv/.installed 2>/dev/null || true)" in "$mark"*) exit 0 ;; esac

if ! git cat-file -e "$revision^{commit}" 2>/dev/null; then
    echo "benchmarks: the build of $revision is not installed: this folder has no history with it." >&2
    echo "In a shallow clone 'git fetch --unshallow' brings it, then run this again. The rest of the" >&2
    echo "benchmarks works without it; the rows of clients have nothing to stand beside then." >&2
    exit 0
fi

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
# Into a file first: the failure of `git archive` in a pipe would go unnoticed.
(cd ../../.. && git archive --output "$scratch/source.tar" "$revision" \
    e2ecross pyproject.toml README.md LICENSE)
mkdir "$scratch/source"
tar -xf "$scratch/source.tar" -C "$scratch/source"
echo "$pins" > "$scratch/pins.txt"

rm -rf .venv
"$python" -m venv .venv
.venv/bin/python -m pip install --quiet -c "$scratch/pins.txt" "$scratch/source"
# Behind the packages of the environment, so that `e2ecross` is the build of before, and
# `benchmarks` ours. It counts under `python -I`, which ignores folder and PYTHONPATH.
(cd ../../.. && pwd -P) > "$(.venv/bin/python -c \
    'import sysconfig; print(sysconfig.get_path("purelib"))')/benchmarks.pth"
echo "$mark" > .venv/.installed
