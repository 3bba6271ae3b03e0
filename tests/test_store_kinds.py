# SPDX-License-Identifier: Apache-2.0
"""What is said of tests that fail over stores with stripes is said of tests that there are."""

from pathlib import Path

import pytest

from tests.support.over_stripes import OVER_STRIPES

ROOT = Path(__file__).parents[1]
NAMES = [name for names in OVER_STRIPES.values() for name in names]


@pytest.mark.parametrize("name", NAMES)
def test_it_names_a_test(name: str) -> None:
    path, *names = name.partition("[")[0].split("::")
    source = (ROOT / path).read_text()
    assert all(each in source for each in names if each != "runTest")  # which is hypothesis'


def test_it_names_each_once() -> None:
    assert len(set(NAMES)) == len(NAMES)
