# SPDX-License-Identifier: Apache-2.0
"""The build of before, where its commit is not there: that is said, and nothing else fails."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.registry import REVISION
from tests.support.documents import ROOT

FOLDER = Path("benchmarks/peers/before")

pytestmark = pytest.mark.skipif(
    not (shutil.which("sh") and shutil.which("git")), reason="it takes sh and git"
)


@pytest.mark.parametrize("has_history", [True, False], ids=["other-history", "no-history"])
def test_without_the_commit_the_installer_says_what_to_do(
    tmp_path: Path, has_history: bool
) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    for name in ("install.sh", "revision"):
        shutil.copy(ROOT / FOLDER / name, folder / name)
    if has_history:
        subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    done = subprocess.run(
        ["sh", str(folder / "install.sh")],
        # No repository above the folder counts.
        env=os.environ
        | {"PYTHON": sys.executable, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert REVISION in done.stderr
    assert "git fetch --unshallow" in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["install.sh", "revision"]
