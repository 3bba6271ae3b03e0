# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402 (what is missing is found out before what needs it is imported)
"""The page of the demo as a browser meets it: who is let in, what it may ask for, what it hears."""

import asyncio
import base64
import http.client
import json
import sqlite3
import time
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, cast

import pytest

from e2ecross.errors import WrongStoreKey
from e2ecross.stores import SQLiteStore
from tests.demo.web.support import RunningPage
from tests.support.service import require_extras

require_extras("segno")

from e2ecross.demo.web import page as page_module
from e2ecross.demo.web.actions import Actions
from e2ecross.demo.web.journal import Journal
from e2ecross.demo.web.pictures import Pictures

_GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPage]:
    with RunningPage(tmp_path_factory.mktemp("page")) as running:
        yield running


@pytest.fixture(scope="module")
def ready(page: RunningPage) -> RunningPage:
    page.wait(type="ready")
    return page


def _files(page: RunningPage) -> list[Path]:
    return [path for path in page.folder.rglob("*") if path.is_file()]


# --- Who is let in ------------------------------------------------------------------------------


def test_it_says_where_it_is_in_one_line(page: RunningPage) -> None:
    assert page.line == f"open http://127.0.0.1:{page.port}/{page.token}/\n"
    assert len(page.token) == 32


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_without_the_token_there_is_nothing(page: RunningPage, method: str) -> None:
    other = page.token[:-1] + ("A" if page.token[-1] != "A" else "B")
    paths = ["/", "/events", "/do", f"/{other}/", f"/{other}/do", f"/{page.token}", "/%ff/", "//"]
    for path in [*paths, f"/{page.token.swapcase()}/", f"//{page.token}/", f"/{page.token[:-1]}/"]:
        assert page.ask(path, method=method).status == 404, path


@pytest.mark.parametrize("path", ["", "page.css", "page.js", "do", "x", "picture/x"])
def test_every_answer_has_the_headers_that_protect(page: RunningPage, path: str) -> None:
    headers = page.ask(f"/{page.token}/{path}").headers
    assert {name: headers[name] for name in _HEADERS} == _HEADERS
    assert "Server" not in headers
    assert page.ask("/").headers["Content-Security-Policy"] == _HEADERS["Content-Security-Policy"]


def test_its_files_come_with_their_types(page: RunningPage) -> None:
    for path, media_type in (("", "text/html"), ("page.css", "text/css"), ("page.js", "script")):
        answered = page.ask(f"/{page.token}/{path}")
        assert answered.status == 200
        assert media_type in answered.headers["Content-Type"]
    for path in ("index.html", "../run.py", "%2e%2e/run.py", "picture/../x", "static/page.js"):
        assert page.ask(f"/{page.token}/{path}").status == 404


@pytest.mark.parametrize("host", ["attacker.example", "127.0.0.1", "localhost:1", ""])
def test_another_host_gets_nothing(page: RunningPage, host: str) -> None:
    for path in ("", "events"):
        assert page.ask(f"/{page.token}/{path}", headers={"Host": host}).status == 403
    assert page.post(b"{}", Host=host).status == 403


def test_this_host_has_two_names(page: RunningPage) -> None:
    answered = page.ask(f"/{page.token}/", headers={"Host": f"localhost:{page.port}"})
    assert answered.status == 200


def test_another_page_asks_for_nothing(page: RunningPage) -> None:
    body = b'{"action": "attack", "name": "none"}'
    for origin in ("http://attacker.example", "null", f"https://127.0.0.1:{page.port}", ""):
        assert page.post(body, Origin=origin).status == 403
    for origin in (f"http://127.0.0.1:{page.port}", f"http://localhost:{page.port}"):
        assert page.post(body, Origin=origin).status == 400


def test_only_json_is_read(page: RunningPage) -> None:
    # What a form of another page can send is none of it.
    for type_ in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        assert page.post(b"{}", Content_Type=type_).status == 415
    assert page.post(b"{}", Content_Type="application/json; charset=utf-8").status == 400


def test_only_some_methods_are_allowed(page: RunningPage) -> None:
    assert page.ask(f"/{page.token}/do").status == 405
    for path in ("", "events", "page.js"):
        answered = page.ask(f"/{page.token}/{path}", method="POST", body=b"")
        assert (answered.status, answered.headers["Allow"]) == (405, "GET")


def test_what_is_too_large_is_not_read(page: RunningPage) -> None:
    assert page.post(b'"' + b"x" * (2 * 1024 * 1024)).status == 413


def test_what_does_not_end_holds_no_place_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "_BODY_SECONDS", 0.01)
    page = page_module.Page("t", 1, Journal(), Pictures(), cast(Actions, None))
    headers = [(b"host", b"127.0.0.1:1"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/t/do", "headers": headers}
    sent: list[MutableMapping[str, Any]] = []

    async def never() -> MutableMapping[str, Any]:
        await asyncio.sleep(3600)
        raise AssertionError

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    for _ in range(17):  # more than there are places
        sent.clear()
        asyncio.run(page(scope, never, send))
        assert sent[0]["status"] == 408
    page.close()


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b'"send"', b"\xff", b"[" * 100_000, b'{"action": 1}'),
        *(b'{"action": "format_the_disk"}', b'{"action": "attack", "name": "none"}'),
        *(b'{"action": "send", "phone": "ana", "chat": "instagram:budi"}',),
        *(b'{"action": "send", "phone": 1, "chat": "instagram:budi", "text": "x"}',),
        json.dumps(
            {"action": "send", "phone": "ana", "chat": "instagram:budi", "text": "x" * 2001}
        ).encode(),
        b'{"action": "send", "phone": "ana", "chat": "instagram:budi", "text": ""}',
        *(b'{"action": "react", "phone": "ana", "chat": "x", "target": "x", "emoji": "x"}',),
        *(b'{"action": "picture", "phone": "ana", "chat": "instagram:budi", "data": "!"}',),
        json.dumps(
            {
                **{"action": "picture", "phone": "ana", "chat": "instagram:budi"},
                "data": base64.b64encode(bytes(1024 * 1024 + 1)).decode(),
            }
        ).encode(),
        *(b'{"action": "group", "phone": "ana", "title": "x", "members": []}',),
        *(b'{"action": "group", "phone": "ana", "title": "x", "members": [1]}',),
        *(b'{"action": "group", "phone": "ana", "title": "x", "members": "instagram:budi"}',),
    ],
    ids=str,
)
def test_what_is_malformed_is_refused(page: RunningPage, body: bytes) -> None:
    answered = page.post(body)
    assert answered.status == 400
    assert b"Traceback" not in answered.body


# --- What it hears ------------------------------------------------------------------------------


def test_the_phones_are_there_each_in_a_process_of_its_own(ready: RunningPage) -> None:
    phones = [event for event in ready.events if event["type"] == "phone"][:4]
    assert [phone["phone"] for phone in phones] == ["ana", "laptop", "budi", "toko"]
    addresses = ["whatsapp:ana.1", "whatsapp:ana.2", "instagram:budi.1", "messenger:toko-kopi.1"]
    assert [phone["address"] for phone in phones] == addresses
    assert len({phone["process"] for phone in phones} | {ready.process.pid}) == 5


def test_events_go_on_where_a_page_has_stopped(ready: RunningPage) -> None:
    def first_events(seen: str, count: int) -> list[tuple[int, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", ready.port, timeout=20)
        connection.request("GET", f"/{ready.token}/events", headers={"Last-Event-ID": seen})
        response = connection.getresponse()
        assert response.headers["Content-Type"].startswith("text/event-stream")
        found = []
        for _ in range(count):
            id_, data, end = response.readline(), response.readline(), response.readline()
            assert end == b"\n"
            found.append((int(id_.removeprefix(b"id: ")), data.decode().removeprefix("data: ")))
        connection.close()
        return found

    whole = first_events("", 5)
    assert [number for number, _ in whole] == [1, 2, 3, 4, 5]
    assert [json.loads(text) for _, text in whole] == ready.events[:5]
    assert first_events("3", 2) == whole[3:]
    for nonsense in ("x", "-1", "9" * 30, "99999999"):
        assert first_events(nonsense, 1) == whole[:1]


def test_only_so_many_pages_are_served_at_once(ready: RunningPage) -> None:
    def listen() -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", ready.port, timeout=20)
        connection.request("GET", f"/{ready.token}/events")
        return connection

    connections = [listen() for _ in range(40)]  # all asked for before one is answered
    statuses = [connection.getresponse().status for connection in connections]
    assert set(statuses) == {200, 503}
    assert statuses.count(200) <= 15  # one more listens for these tests
    for connection in connections:
        connection.close()
    ends = time.monotonic() + 10
    while True:
        connection = listen()
        status = connection.getresponse().status
        connection.close()
        if status == 200:
            break
        assert time.monotonic() < ends


def test_a_text_reaches_the_other_phone_and_the_laptop(ready: RunningPage) -> None:
    said = ready.say("ana", "instagram:budi", "Halo Budi, apa kabar?")
    about = {"type": "message", "id": said["id"], "from": "whatsapp:ana", "text": said["text"]}
    assert said["own"] is True
    arrived = ready.wait(**about, phone="budi", chat="whatsapp:ana")
    copied = ready.wait(**about, phone="laptop", chat="instagram:budi")
    assert (arrived["own"], copied["own"], arrived["picture"]) == (False, True, None)
    ready.wait(type="status", phone="ana", id=said["id"], status="sent")


def test_the_back_end_sees_what_passes_and_not_what_it_says(ready: RunningPage) -> None:
    text, after = "Under the third flower pot, as always.", len(ready.events)
    ready.say("budi", "messenger:toko-kopi", text)
    way = {"type": "blob", "what": "message", "from": "instagram:budi.1"}
    put = ready.wait(after=after, **way, step="deposited", to=["messenger:toko-kopi.1"])
    got = ready.wait(after=after, **way, step="fetched", number=put["number"])
    ready.wait(after=after, type="message", phone="toko", text=text)
    assert (put["hex"], put["bytes"]) == (got["hex"], got["bytes"])
    assert 0 < len(bytes.fromhex(put["hex"])) <= 64
    blobs = [event for event in ready.events if event["type"] == "blob"]
    assert not any(text.encode().hex()[:16] in blob["hex"] for blob in blobs)
    assert not any(text in json.dumps(blob) for blob in blobs)


def test_a_message_is_answered_by_a_reaction_and_by_receipts(ready: RunningPage) -> None:
    said = ready.say("toko", "whatsapp:ana", "Your beans are here.")
    ready.wait(type="message", phone="ana", id=said["id"])
    ready.done(
        action="react", phone="ana", chat="messenger:toko-kopi", target=said["id"], emoji="👍"
    )
    ready.done(action="read", phone="ana", chat="messenger:toko-kopi")
    liked = {"type": "reaction", "target": said["id"], "from": "whatsapp:ana", "emoji": "👍"}
    ready.wait(**liked, phone="toko", chat="whatsapp:ana")
    ready.wait(**liked, phone="laptop")
    ready.done(
        action="react", phone="laptop", chat="messenger:toko-kopi", target=said["id"], emoji=""
    )
    ready.wait(**{**liked, "emoji": ""}, phone="toko")
    ready.wait(type="status", phone="toko", id=said["id"], status="read")


def test_a_picture_is_opened_on_the_other_phones(ready: RunningPage) -> None:
    after = len(ready.events)
    data = base64.b64encode(_GIF).decode()
    ready.done(action="picture", phone="budi", chat="whatsapp:ana", data=data)
    ready.wait(after=after, type="blob", what="file", step="deposited")
    for phone in ("budi", "ana", "laptop"):
        event = ready.wait(lambda event: event["picture"], after=after, type="message", phone=phone)
        answered = ready.ask(f"/{ready.token}/{event['picture']}")
        assert (answered.status, answered.body) == (200, _GIF)
        assert answered.headers["Content-Type"] == "image/gif"
        assert answered.headers["X-Content-Type-Options"] == "nosniff"


def test_the_demo_has_a_picture_of_its_own(ready: RunningPage) -> None:
    after = len(ready.events)
    ready.done(action="picture", phone="toko", chat="instagram:budi")
    event = ready.wait(lambda event: event["picture"], after=after, type="message", phone="budi")
    assert ready.ask(f"/{ready.token}/{event['picture']}").headers["Content-Type"] == "image/png"


def test_what_is_no_picture_is_not_sent(ready: RunningPage) -> None:
    svg = base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'/>").decode()
    said = ready.refused(action="picture", phone="budi", chat="whatsapp:ana", data=svg)
    assert "no picture" in said


def test_a_group_has_members_on_three_apps(ready: RunningPage) -> None:
    members = ["instagram:budi", "messenger:toko-kopi"]
    made = ready.done(action="group", phone="ana", title="Saturday", members=members)
    chat = made["chat"]
    for phone in ("ana", "laptop", "budi", "toko"):
        shown = ready.wait(type="chat", phone=phone, chat=chat)
        assert shown["title"] == "Saturday"
        assert sorted(shown["members"]) == sorted([*members, "whatsapp:ana"])
    said = ready.say("laptop", chat, "Who is in?")
    for phone in ("ana", "budi", "toko"):
        ready.wait(type="message", phone=phone, chat=chat, id=said["id"], text="Who is in?")
    way: dict[str, object] = {"from": "whatsapp:ana.2"}
    ready.wait(after=0, type="blob", what="group message", step="deposited", **way)
    assert "device 1" in ready.refused(action="group", phone="laptop", title="x", members=members)


def test_two_who_compare_their_safety_numbers_have_the_same(ready: RunningPage) -> None:
    shown = [
        ready.done(action="safety_number", phone="toko", of="whatsapp:ana"),
        ready.done(action="safety_number", phone="ana", of="messenger:toko-kopi"),
    ]
    assert shown[0]["digits"] == shown[1]["digits"]
    assert len(shown[0]["digits"]) == 60
    for each in shown:
        assert {len(row) for row in each["qr"]} == {len(each["qr"])}
        assert set("".join(each["qr"])) == {"0", "1"}
    compared = ready.done(action="compare", phone="toko", of="whatsapp:ana")
    assert compared["matches"] is True
    for phone in ("toko", "ana"):
        ready.wait(type="notice", phone=phone, text=compared["sentence"], alarm=False)


@pytest.mark.parametrize(
    "asked",
    [
        {"action": "send", "phone": "nobody", "chat": "instagram:budi", "text": "x"},
        {"action": "send", "phone": "ana", "chat": "not a user", "text": "x"},
        {"action": "send", "phone": "ana", "chat": "instagram:nobody", "text": "x"},
        {"action": "send", "phone": "ana", "chat": "group:" + "0" * 64, "text": "x"},
        {"action": "send", "phone": "ana", "chat": "instagram:budi", "text": "\ud800"},
        {"action": "read", "phone": "ana", "chat": "instagram:nobody"},
        {
            **{"action": "react", "phone": "ana", "chat": "instagram:budi"},
            **{"target": "0" * 32, "emoji": "x"},
        },
        {"action": "safety_number", "phone": "ana", "of": "instagram:nobody"},
        {"action": "compare", "phone": "ana", "of": "instagram:nobody"},
        {"action": "compare", "phone": "ana", "of": "instagram:citra"},
        {"action": "group", "phone": "ana", "title": "x", "members": ["instagram:nobody"]},
        {"action": "group", "phone": "ana", "title": "x", "members": ["whatsapp:ana"]},
    ],
    ids=str,
)
def test_what_cannot_be_done_is_one_sentence(ready: RunningPage, asked: dict[str, object]) -> None:
    before = [event for event in ready.events if event["type"] == "chat"]
    said = ready.refused(**asked)
    assert said.endswith(".")
    assert "\n" not in said
    assert [event for event in ready.events if event["type"] == "chat"] == before


# --- What is where ------------------------------------------------------------------------------


def test_nothing_on_disk_says_what_was_said(ready: RunningPage) -> None:
    text = "The spare key hangs behind the clock."
    ready.say("ana", "messenger:toko-kopi", text)
    ready.wait(type="message", phone="toko", text=text)
    files = _files(ready)
    assert {"ana.db", "ana-laptop.db", "budi.db", "toko-kopi.db", "relay.db"} <= {
        file.name for file in files
    }
    assert not any(text.encode() in file.read_bytes() for file in files)


def test_every_store_is_sealed(ready: RunningPage, tmp_path: Path) -> None:
    stores = [file for file in _files(ready) if file.suffix == ".db" and file.name != "relay.db"]
    assert len(stores) == 4
    for store in stores:
        copy = tmp_path / store.name
        with sqlite3.connect(store) as connection, sqlite3.connect(copy) as other:
            connection.backup(other)
        connection.close()
        other.close()
        with pytest.raises(WrongStoreKey):
            SQLiteStore(copy)


def test_what_others_see_of_a_phone_is_no_secret(ready: RunningPage) -> None:
    for event in [event for event in ready.events if event["type"] == "phone"]:
        process = Path("/proc") / str(event["process"])
        if not process.exists():  # no Linux
            pytest.skip("what others see of a process is looked at on Linux")
        arguments = process.joinpath("cmdline").read_bytes().split(b"\0")
        assert arguments[-2] == b"e2ecross.demo.web.phone"
        assert ready.token.encode() not in process.joinpath("environ").read_bytes()
