# SPDX-License-Identifier: Apache-2.0
"""The log: lines in their order, bounded, without the text of any exception."""

import io
import json
import logging
import sys
from pathlib import Path

import pytest

from e2ecross.service import request_log
from e2ecross.service.request_log import RequestLog, WithoutText, place_of
from tests.relay.support import ANA, BUDI


def test_lines_come_in_their_order() -> None:
    out = io.StringIO()
    log = RequestLog(out)
    for number in range(100):
        log.note(number=number, nothing=None)
    log.close()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["number"] for line in lines] == list(range(100))
    assert all(line.keys() == {"time", "number"} for line in lines)


def test_too_many_lines_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_log, "_MOST_LINES", 3)
    monkeypatch.setattr(request_log, "_EVERY_SECONDS", 60)
    out = io.StringIO()
    log = RequestLog(out)
    for number in range(10):
        log.note(number=number)
    log.close()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line.get("number") for line in lines] == [0, 1, 2, None]
    assert lines[-1] == {"lines_dropped": 7}


def test_a_stream_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        log = RequestLog(stream)
    log.note(number=1)
    log.close()


def test_who_is_the_same_until_the_next_start() -> None:
    log, next_log = RequestLog(io.StringIO()), RequestLog(io.StringIO())
    assert log.who(ANA) == log.who(ANA)
    assert len({log.who(ANA), log.who(BUDI), next_log.who(ANA)}) == 3
    log.close()
    next_log.close()


def record(message: str, error: BaseException | None = None) -> logging.LogRecord:
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("uvicorn.error", logging.ERROR, "x", 1, message, (), exc_info)


def test_of_an_exception_class_and_place_are_kept() -> None:
    try:
        raise KeyError("a secret")
    except KeyError:
        error = sys.exc_info()[1]
    assert error is not None
    line = error.__traceback__.tb_lineno if error.__traceback__ is not None else 0
    seen = record("Exception with a secret", error)
    assert WithoutText().filter(seen)
    assert seen.getMessage() == f"KeyError at test_request_log.py:{line}"
    assert (seen.exc_info, seen.exc_text, seen.stack_info) == (None, None, None)
    assert place_of(KeyError()) == "?"


def test_what_is_a_text_already_is_not_kept() -> None:
    seen = record("Traceback (most recent call last):\n  a secret")
    assert WithoutText().filter(seen)
    assert seen.getMessage() == "an exception"
    seen = record("a socket and its addresses")
    seen.name = "asyncio"
    assert WithoutText().filter(seen)
    assert seen.getMessage() == "an exception"
    seen = record("error connecting in 'pool-1': connection to server at a socket failed")
    seen.name = "psycopg.pool"
    assert WithoutText().filter(seen)
    assert seen.getMessage() == "a connection to the database was lost, or not made"
    seen = record("Invalid HTTP request received.")
    assert WithoutText().filter(seen)
    assert seen.getMessage() == "Invalid HTTP request received."
