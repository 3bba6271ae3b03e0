# SPDX-License-Identifier: Apache-2.0
"""What the processes that a demo starts have in common: what they import, and how they end."""

import contextlib
import os
import subprocess
import sys
from typing import IO, Any

__all__ = ["environment", "last_words", "see_off"]


def environment() -> dict[str, str]:
    """Let a process import what we import, from where we import it; nothing else by `-P`."""
    folders = (folder or os.getcwd() for folder in sys.path)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}


def last_words(complaints: IO[bytes]) -> str:
    """Return the last line that a process has written there, behind `: `; or nothing.

    Args:
        complaints: its stderr, a file that it shares with us.
    """
    complaints.seek(0)
    lines = complaints.read().decode(errors="replace").strip().splitlines()
    return f": {lines[-1]}" if lines else ""


def see_off(process: "subprocess.Popen[Any]", seconds: float) -> None:
    """Wait until a process has ended; tell it to, and then make it, each after so many seconds."""
    for insist in (None, process.terminate, process.kill):
        if insist is not None:
            insist()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)
            break
