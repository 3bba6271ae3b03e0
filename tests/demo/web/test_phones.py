# SPDX-License-Identifier: Apache-2.0
"""The process of a phone, as the page sees it: what it is given, and what becomes of it."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from e2ecross.demo.people import BUDI, DemoFailed
from e2ecross.demo.web import phones
from e2ecross.demo.web.phones import Phone, PhoneRefused

_ANSWERS = """
import json, os, sys
who = json.loads(sys.stdin.readline())
print(json.dumps({"number": 0, "answer": {}}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if asked["do"] == "tell":
        told = {"key": who["key"], "credential": who["credential"]}
        told["all"] = sys.argv[1:] + list(map(str, os.environ.items()))
    elif asked["do"] == "say":
        print(json.dumps({"event": {"type": "note"}}), flush=True)
        told = {}
    elif asked["do"] == "fail":
        sys.exit("it is broken")
    elif asked["do"] == "sleep":
        import time; time.sleep(60)
    else:
        told = {"error": "this cannot be done", "code": "local_error"}
    print(json.dumps({"number": asked["number"], "answer": told}), flush=True)
"""


@contextmanager
def _phone(
    monkeypatch: pytest.MonkeyPatch, folder: Path, said: list[Mapping[str, Any]], program: str
) -> Iterator[Phone]:
    monkeypatch.setattr(phones, "_COMMAND", (sys.executable, "-c", program))
    phone = Phone(
        *("budi", BUDI, folder / "budi", "http://127.0.0.1:1", b"let me in", ("whatsapp:ana",)),
        lambda _, event: said.append(event),
    )
    try:
        yield phone
    finally:
        phone.end(1.0)


def test_the_key_goes_through_the_pipe_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with _phone(monkeypatch, tmp_path, [], _ANSWERS) as phone:
        phone.wait_until_started()
        told = phone.ask("tell")
        others = repr(vars(phone))
    assert len(bytes.fromhex(told["key"])) == 32
    assert bytes.fromhex(told["credential"]) == b"let me in"
    assert told["key"] not in json.dumps(told["all"])
    assert told["key"] not in others
    assert list(tmp_path.rglob("*")) == [tmp_path / "budi"]


def test_answers_events_and_errors_come_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said: list[Mapping[str, Any]] = []
    with _phone(monkeypatch, tmp_path, said, _ANSWERS) as phone:
        phone.wait_until_started()
        assert phone.ask("say") == {}
        with pytest.raises(PhoneRefused, match="this cannot be done") as caught:
            phone.ask("dance")
        assert caught.value.code == "local_error"
    assert said == [{"type": "note"}]  # that it has ended is no news


def test_a_phone_that_breaks_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said: list[Mapping[str, Any]] = []
    with _phone(monkeypatch, tmp_path, said, _ANSWERS) as phone:
        phone.wait_until_started()
        with pytest.raises(DemoFailed, match="the phone of Budi has ended: it is broken"):
            phone.ask("fail")
        with pytest.raises(DemoFailed, match="has ended"):
            phone.ask("say")
    assert [(event["type"], event["alarm"]) for event in said] == [("notice", True)]


def test_a_phone_that_does_not_start_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (
        _phone(monkeypatch, tmp_path, [], "raise SystemExit('no phone')") as phone,
        pytest.raises(DemoFailed, match="the phone of Budi has ended: no phone"),
    ):
        phone.wait_until_started()


def test_a_phone_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(phones, "_ANSWER_SECONDS", 0.2)
    with _phone(monkeypatch, tmp_path, [], "import time; time.sleep(60)") as phone:
        with pytest.raises(DemoFailed, match="not answered within"):
            phone.wait_until_started()
        phone.end(0)  # it is killed
