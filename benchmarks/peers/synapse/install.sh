#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs Synapse, a home server of Matrix, in an environment of its own: .venv. Only
# `python -m benchmarks.service` uses it, as a program, over its documented interface; nothing else
# needs it, and benchmarks/peers/install.sh leaves it out (240 MB). Does nothing when it is there
# already. Set PYTHON to choose the interpreter.
set -eu
cd "$(dirname "$0")"

python="${PYTHON:-python3}"
mark="$(cksum < requirements.txt) $("$python" --version)"
if [ "$(cat .venv/.installed 2>/dev/null || true)" != "$mark" ]; then
    rm -rf .venv
    "$python" -m venv .venv
    .venv/bin/python -m pip install --quiet --only-binary :all: -r requirements.txt
    echo "$mark" > .venv/.installed
fi
