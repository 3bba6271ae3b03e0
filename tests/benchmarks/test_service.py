# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the service says what it measures."""

import json
import time
from pathlib import Path

import pytest

from tests.support.service import require_extras

require_extras()

from benchmarks import service, service_deposits
from benchmarks.served import commit_slowly
from e2ecross.relay import Relay
from tests.relay.support import ANA, register

NAMES = {"commit", "direct", "http_1", "http_16", "urllib3_1", "empty_post"}


def test_what_the_service_adds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_deposits, "has_peer", lambda: False)
    options = ["--rounds", "1", "--calls", "15", "--slept", "0", "20", "--folder", str(tmp_path)]
    assert service.main(options) == 0
    found = json.loads(capsys.readouterr().out)
    rows = found.pop("deposits")
    assert [row["each_commit_sleeps_ms"] for row in rows] == [0, 20]
    plain, slept = (row["medians"] for row in rows)
    assert [row["quickest_rounds"] for row in rows] == [plain, slept]  # of the only round
    assert found.pop("machine")["cores"]
    near = found.pop("microseconds")
    assert near.keys() == {"empty_post", "delivery", "send_in_thread", "async_send"}
    # Who waits may have the message before the call that brought it ends: that is no time at all.
    delivery, in_posts = near.pop("delivery"), found.pop("delivery_in_empty_posts")
    assert 0 <= delivery < service._WAIT_MS * 1_000
    assert in_posts == pytest.approx(delivery / near["empty_post"], abs=0.01)
    assert all(value > 0 for value in (*near.values(), *found.values()))
    for row in (plain, slept):
        assert row["microseconds"].keys() == row["cpu_microseconds"].keys() == NAMES
        assert all(value > 0 for value in row["microseconds"].values())
        assert row["cpu_microseconds"]["direct"][1] == 0
        assert row["cpu_microseconds"]["http_1"][1] > 0
        assert row["above_direct_and_empty_post"].keys() == {"microseconds", "cpu_microseconds"}
        wall = row["microseconds"]
        assert row["http_1_of_direct"] == pytest.approx(wall["direct"] / wall["http_1"], abs=0.001)
        assert row["http_16_of_direct"] == pytest.approx(
            wall["direct"] / wall["http_16"], abs=0.001
        )
    assert slept["microseconds"]["direct"] > 20_000
    assert slept["microseconds"]["http_1"] > 20_000


def test_a_commit_that_is_slow_is_one(tmp_path: Path) -> None:
    with Relay(tmp_path / "relay.db") as relay:
        commit_slowly(relay, 50)
        started = time.perf_counter()
        register(relay, ANA)
        assert time.perf_counter() - started >= 0.05
    with Relay(tmp_path / "relay.db") as relay:
        commit_slowly(relay, 0)
        assert "write" not in vars(relay._database)


def test_calls_that_wait(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert service.main(["--load", "20", "--folder", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["waiting"], found["not_delivered"]) == (20, 0)
