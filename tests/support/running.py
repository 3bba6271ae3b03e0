# SPDX-License-Identifier: Apache-2.0
"""What a run of the suite needs of the machine: workers, fast temporary files, and bytecode.

Rules:
- What the caller has chosen stays: a number of workers, a `TMPDIR`.
- Nothing here changes what a test does; without it they pass, and take longer.
"""

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

__all__ = ["keep_bytecode", "keep_files_in_memory", "workers_for"]

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder, in which `tempfile` makes others
_MEMORY_BYTES: Final = 1 << 30
"""Free, or else the files stay on the disk; a run has some two hundred megabytes at most."""


def workers_for(arguments: Sequence[str], cores: int) -> int:
    """How many workers a run is worth that was asked for these files: 0 for none but itself.

    Two workers take seconds to begin. Named files end sooner without them, and folders do not.
    """
    folders = not arguments or any(Path(argument).is_dir() for argument in arguments)
    return cores if folders and cores > 1 else 0


def keep_files_in_memory() -> None:
    """Put temporary files where a commit does not wait for a disk.

    No test can cut the power: what a commit leaves on the disk is held by tests that look at what
    is written and when it is synced, and by those that kill processes. What nobody removes (the
    documents' examples say `mkdtemp`) goes with the run; pytest keeps the folders of failed tests.
    """
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK):
        return
    if shutil.disk_usage(_MEMORY).free >= _MEMORY_BYTES:
        folder = tempfile.mkdtemp(prefix="e2ecross-tests-", dir=_MEMORY)
        os.environ["TMPDIR"] = folder  # workers have it, too
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))
        tempfile.tempdir = None  # it may have been asked for already
        atexit.register(_remove, folder, os.getpid())


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # and not a fork of it
        shutil.rmtree(folder, ignore_errors=True)


def keep_bytecode(folder: Path) -> None:
    """Where none is to be written beside the sources, keep it elsewhere.

    Else every process that a test starts compiles the package anew, and every worker the tests.
    """
    if sys.dont_write_bytecode:
        sys.dont_write_bytecode = False
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(folder)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
