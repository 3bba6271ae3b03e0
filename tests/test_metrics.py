# SPDX-License-Identifier: Apache-2.0
"""Whoever watches is told, and can break nothing."""

import logging

import pytest

from e2ecross import Metrics
from e2ecross.errors import InvalidArgument
from e2ecross.metrics import Watch, watched_by
from tests.support.watching import Heard


class Broken:
    """Raises whatever it is told."""

    def count(self, name: str, n: int = 1) -> None:
        raise RuntimeError(f"secret {name}")

    def observe(self, name: str, seconds: float) -> None:
        raise ValueError(f"secret {name}")

    def event(self, name: str, code: str) -> None:
        raise KeyError(f"secret {name}")


def tell(watch: Watch) -> None:
    watch.count("sent")
    watch.count("received", 3)
    watch.observe("tx_seconds", 0.5)
    watch.event("failed", "decode_error")


def test_it_is_told_what_is_told() -> None:
    heard: Metrics = Heard()
    watch = watched_by(heard)
    assert watch is not None
    tell(watch)
    assert isinstance(heard, Heard)
    assert heard.counts == {"sent": 1, "received": 3}
    assert heard.observed == {"tx_seconds": [0.5]}
    assert heard.events == [("failed", "decode_error")]


def test_nobody_is_nobody() -> None:
    assert watched_by(None) is None


def test_what_a_hook_raises_is_swallowed_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    watch = watched_by(Broken())
    assert watch is not None
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            tell(watch)
    [record] = caplog.records
    assert record.name == "e2ecross.metrics"
    assert record.getMessage() == (
        "metrics have raised RuntimeError: this is logged once, and not counted"
    )
    assert record.exc_info is None
    assert "secret" not in caplog.text


@pytest.mark.parametrize("kind", ["count", "observe", "event"])
def test_each_kind_of_telling_is_guarded(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    watch = watched_by(Broken())
    assert watch is not None
    getattr(watch, kind)("name", 1)
    assert len(caplog.records) == 1


def test_an_interrupt_passes() -> None:
    class Interrupted(Heard):
        def count(self, name: str, n: int = 1) -> None:
            raise KeyboardInterrupt

    watch = watched_by(Interrupted())
    assert watch is not None
    with pytest.raises(KeyboardInterrupt):
        watch.count("sent")


@pytest.mark.parametrize("lacks", ["count", "observe", "event"])
def test_who_lacks_a_method_is_refused(lacks: str) -> None:
    methods = {name: lambda *_: None for name in ("count", "observe", "event") if name != lacks}
    with pytest.raises(InvalidArgument, match=f"^metrics must have a method {lacks}"):
        watched_by(type("Lacking", (), methods)())
