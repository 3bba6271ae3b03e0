# SPDX-License-Identifier: Apache-2.0
"""Who reads files and is slow about it: memory and time are bounded, and nobody else waits."""

import asyncio
import hashlib
import socket
import time
from collections.abc import Callable, MutableMapping
from typing import Any

import pytest

from tests.support.service import LiveService, require_extras

require_extras()

from e2ecross.errors import BackendError
from e2ecross.relay import Relay
from e2ecross.service import HTTPBackend, ServiceLimits, create_app
from e2ecross.service.served_connection import ServedConnection
from e2ecross.wire.service_blobs import BlobRequest, decode_blob
from tests.relay.support import ANA, token

BLOB = bytes(range(32))
LARGE = bytes(32)
SIZE = 200_000
DATA = hashlib.shake_256(b"file").digest(SIZE)
BODY = BlobRequest(BLOB, offset=1, length=SIZE - 1).encode()

Message = MutableMapping[str, Any]


@pytest.fixture
def kept(relay: Relay) -> Relay:
    relay.begin_blob(ANA, token(ANA), BLOB, SIZE)
    relay.put_blob(ANA, token(ANA), BLOB, 0, DATA)
    return relay


async def ask(
    app: Any,  # noqa: ANN401
    sent: list[Message],
    before: Callable[[], Any],
    held: str = "http.response.body",
) -> int:
    """Ask for the file; returns the status, 0 if nothing was answered.

    `before` is awaited before each part of the answer of the kind `held`.
    """
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/get_blob",
        "root_path": "",
        "query_string": b"",
        "headers": [
            (b"content-type", b"application/x-protobuf"),
            (b"content-length", str(len(BODY)).encode()),
        ],
        "client": ("192.0.2.1", 1),
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": BODY}

    async def send(message: Message) -> None:
        if message["type"] == held:
            await before()
        sent.append(message)

    await app(scope, receive, send)
    return int(sent[0]["status"]) if sent else 0


async def at_once() -> None:
    """Who is not slow."""


def test_an_answer_goes_out_in_pieces(kept: Relay) -> None:
    sent: list[Message] = []
    assert asyncio.run(ask(create_app(kept), sent, at_once)) == 200
    parts = [message["body"] for message in sent[1:]]
    assert max(map(len, parts)) == 64 * 1024
    assert decode_blob(b"".join(parts)) == DATA[1:]
    assert [message["more_body"] for message in sent[1:]] == [True] * (len(parts) - 1) + [False]
    assert dict(sent[0]["headers"])[b"content-length"] == str(sum(map(len, parts))).encode()


def test_what_is_read_of_files_is_bounded_until_it_has_gone_out(kept: Relay) -> None:
    async def main() -> list[int]:
        app = create_app(kept, limits=ServiceLimits(answer_bytes=2 * SIZE))
        asked, read = asyncio.Semaphore(0), asyncio.Event()

        async def slowly() -> None:
            asked.release()
            await read.wait()

        slow = [asyncio.create_task(ask(app, [], slowly)) for _ in range(2)]
        for _ in slow:
            await asked.acquire()
        refused = await ask(app, [], at_once)
        read.set()
        return [refused, *await asyncio.gather(*slow), await ask(app, [], at_once)]

    assert asyncio.run(main()) == [503, 200, 200, 200]


def test_who_does_not_read_has_a_time(kept: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("e2ecross.service.answering._SEND_SECONDS", 0.05)

    async def main() -> None:
        app = create_app(kept, limits=ServiceLimits(answer_bytes=SIZE))
        for _ in range(3):
            sent: list[Message] = []
            async with asyncio.timeout(5):  # or it would wait for ever
                assert await ask(app, sent, asyncio.Event().wait) == 200
            assert [message["type"] for message in sent] == ["http.response.start"]

    asyncio.run(main())


@pytest.mark.parametrize("asked", [1, 300], ids=["a long answer", "many answers"])
def test_who_does_not_read_is_cut_off(
    kept: Relay, monkeypatch: pytest.MonkeyPatch, asked: int
) -> None:
    monkeypatch.setattr("e2ecross.service.answering._SEND_SECONDS", 0.5)
    size = 4_000_000
    kept.begin_blob(ANA, token(ANA), LARGE, size)
    kept.put_blob(ANA, token(ANA), LARGE, 0, bytes(size))
    body = BlobRequest(LARGE, length=size if asked == 1 else 20_000).encode()
    request = (
        f"POST /v1/get_blob HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    with (
        LiveService(kept, http=ServedConnection) as service,
        socket.socket() as connection,
    ):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", service.port))
        connection.sendall(request * asked)
        until = time.monotonic() + 20
        while not service.connections:
            assert time.monotonic() < until
        while service.connections:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_who_has_not_read_the_answer_before_has_a_time(
    kept: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server lets the head of an answer wait, too, as long as too much has not gone."""
    monkeypatch.setattr("e2ecross.service.answering._SEND_SECONDS", 0.05)

    async def main() -> None:
        app = create_app(kept, limits=ServiceLimits(answer_bytes=SIZE))
        async with asyncio.timeout(5):
            assert await ask(app, [], asyncio.Event().wait, "http.response.start") == 0
            assert await ask(app, [], at_once) == 200  # it has given back what it had

    asyncio.run(main())


def test_a_reader_that_went_away_gives_back_what_it_had(kept: Relay) -> None:
    request = (
        f"POST /v1/get_blob HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
        f"Content-Length: {len(BODY)}\r\n\r\n"
    ).encode() + BODY
    with LiveService(kept, limits=ServiceLimits(answer_bytes=SIZE)) as service:
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", service.port)) as connection:
                connection.sendall(request)
                assert connection.recv(12) == b"HTTP/1.1 200"
        while True:  # the last of them may not have been noticed yet
            with HTTPBackend(service.url) as backend:
                try:
                    assert backend.get_blob(BLOB, 0, SIZE) == DATA
                except BackendError:
                    continue
                break
