#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the peers: Node packages in node/node_modules, python-axolotl in axolotl/.venv.
# Does nothing when they are there already. Set PYTHON to choose the interpreter.
set -eu
cd "$(dirname "$0")"

# A mark that changes with the lock file and with the tool that reads it.
sum() { cat "$@" | cksum; }

node_mark="$(sum node/package-lock.json) $(node --version)"
if [ "$(cat node/node_modules/.installed 2>/dev/null || true)" != "$node_mark" ]; then
    # The packages ship built; their install scripts are not needed, so they do not run.
    (cd node && npm ci --ignore-scripts --no-audit --no-fund)
    echo "$node_mark" > node/node_modules/.installed
fi

python="${PYTHON:-python3}"
python_mark="$(sum axolotl/requirements.txt) $("$python" --version)"
if [ "$(cat axolotl/.venv/.installed 2>/dev/null || true)" != "$python_mark" ]; then
    rm -rf axolotl/.venv
    "$python" -m venv axolotl/.venv
    axolotl/.venv/bin/python -m pip install --quiet -r axolotl/requirements.txt
    echo "$python_mark" > axolotl/.venv/.installed
fi
