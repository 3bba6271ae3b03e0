# SPDX-License-Identifier: Apache-2.0
"""An import is timed until what is wanted is there, and held against the same modules."""

import sys
from pathlib import Path

import pytest

from benchmarks.contestants.imports import OURS, import_python, third_party_modules, time_import


def test_the_modules_held_against_ours_are_those_that_a_device_brings() -> None:
    roots = {module.partition(".")[0] for module in third_party_modules()}
    assert roots == {"cryptography", "nacl", "google"}


def test_an_import_takes_time() -> None:
    assert time_import(import_python(sys.executable, *OURS)) > 0
    assert time_import(import_python(sys.executable, *third_party_modules())) > 0


def test_a_source_tree_is_not_compiled_anew_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside installed packages, which come with bytecode; whatever the environment says."""
    (tmp_path / "somewhere.py").write_text("x = 1\n", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    time_import(import_python(sys.executable, "somewhere:x"))
    assert list(tmp_path.glob("__pycache__/somewhere.*.pyc"))
