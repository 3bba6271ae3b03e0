# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the service says what it measures."""

import json
from pathlib import Path

import pytest

from tests.support.service import require_extras

require_extras()

from benchmarks import service


def test_what_the_service_adds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--rounds", "1", "--calls", "15", "--folder", str(tmp_path)]
    assert service.main(options) == 0
    found = json.loads(capsys.readouterr().out)
    names = {"commit", "direct", "http_1", "http_16", "empty_post", "delivery"}
    assert found.pop("microseconds").keys() == names | {"send_in_thread", "async_send"}
    assert all(value > 0 for value in found.values())


def test_calls_that_wait(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert service.main(["--load", "20", "--folder", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["waiting"], found["not_delivered"]) == (20, 0)
