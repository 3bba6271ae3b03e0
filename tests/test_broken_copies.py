# SPDX-License-Identifier: Apache-2.0
"""The table of breaks is of the package and the tests as they stand; what it shows takes longer.

`python .ci/broken_copies.py` makes each break and demands that its tests fail (CONTRIBUTING.md).
"""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.postgres import require_driver
from tests.support.service import require_extras

ROOT = Path(__file__).parents[1]
COMMAND = ROOT / ".ci" / "broken_copies.py"

pytestmark = pytest.mark.skipif(not COMMAND.exists(), reason="only the repository has the table")


@pytest.fixture(scope="module")
def command() -> ModuleType:
    spec = importlib.util.spec_from_file_location("broken_copies", COMMAND)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_each_text_stands_in_its_file_once_and_each_rule_has_a_break(command: ModuleType) -> None:
    assert command.read_table()


def test_the_tests_that_are_named_are_there(command: ModuleType) -> None:
    require_extras()  # else tests of what needs them are not found
    require_driver()
    tests = {test for one in command.read_table() for test in one.tests}
    pytest_command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*pytest_command, "--collect-only", *sorted(tests)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
