#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the peers that live outside of our environment: those of tests/interop, a newer
# libsignal-client in node/node_modules, and an earlier build of ours in before/.venv. Does nothing
# when they are there already. Set PYTHON to choose the interpreter.
set -eu
cd "$(dirname "$0")"

../../tests/interop/install.sh
before/install.sh

mark="$(cksum < node/package-lock.json) $(node --version)"
if [ "$(cat node/node_modules/.installed 2>/dev/null || true)" != "$mark" ]; then
    # The package ships built; its install script is not needed, so it does not run.
    (cd node && npm ci --ignore-scripts --no-audit --no-fund)
    echo "$mark" > node/node_modules/.installed
fi
