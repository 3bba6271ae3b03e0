# SPDX-License-Identifier: Apache-2.0
"""Running the command line, in a process of its own or in this one."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from e2ecross.cli import main

_ROOT = Path(__file__).parents[2]


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def run(
    *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """`python -m e2ecross`, as somebody would type it."""
    inherited = {**os.environ, "PYTHONPATH": str(_ROOT), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [sys.executable, "-m", "e2ecross", *arguments],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
        env={**inherited, "COLUMNS": "80", **(environment or {})},
    )


def call(*arguments: str) -> Ended:
    """`main` in this process; an exit of argparse counts as its exit code."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(list(arguments))
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else 1
    return Ended(code, out.getvalue(), err.getvalue())
