# SPDX-License-Identifier: Apache-2.0
"""Whatever stands where a service should: `HTTPBackend` ends with an error of ours, in its time."""

import copy
import gzip
import http.client
import os
import pickle
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.service import LiveService, require_extras

require_extras()

from e2ecross.address import Address
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    DecodeError,
    E2ECrossError,
    InvalidArgument,
    InvalidKey,
    NotRegistered,
    UnknownRecipient,
    UnsupportedVersion,
)
from e2ecross.relay import Relay
from e2ecross.service import HTTPBackend
from e2ecross.service.connections import _TimedReader
from e2ecross.wire.exchange import Deposited, KeysWanted
from e2ecross.wire.service_accounts import encode_epochs
from e2ecross.wire.service_calls import CALLS
from e2ecross.wire.service_errors import ErrorBody
from e2ecross.wire.service_mail import encode_deposited
from tests.relay.support import ANA, BUDI, copies, envelope, published, register, token
from tests.support.hostile_server import HostileServer, Script, answer, says, trickles

KEY = token(ANA)
BOX = bytes(16)
BLOB = bytes(32)
EPOCHS = answer(200, encode_epochs({0: 7}))

CALLED: dict[str, Callable[[HTTPBackend], object]] = {
    "register": lambda b: b.register(ANA, KEY),
    "publish": lambda b: b.publish(KEY, published(ANA)),
    "epochs": lambda b: b.epochs(ANA, KEY),
    "one_time_prekey_count": lambda b: b.one_time_prekey_count(ANA, KEY),
    "fetch_keys": lambda b: b.fetch_keys(ANA, KEY, [KeysWanted(BUDI.user_id, None)]),
    "deposit_all": lambda b: b.deposit_all(KEY, [envelope(ANA, BUDI).encode()]),
    "deposit_copies": lambda b: b.deposit_copies(KEY, copies(ANA, 1, BUDI).encode()),
    "fetch": lambda b: b.fetch(ANA, KEY, 10),
    "acknowledge": lambda b: b.acknowledge(ANA, KEY, [1]),
    "put_link": lambda b: b.put_link(BOX, 1, b"sealed"),
    "get_link": lambda b: b.get_link(BOX, 0),
    "begin_blob": lambda b: b.begin_blob(ANA, KEY, BLOB, 9),
    "put_blob": lambda b: b.put_blob(ANA, KEY, BLOB, 0, b"encrypted"),
    "get_blob": lambda b: b.get_blob(BLOB, 0, 9),
    "delete_blob": lambda b: b.delete_blob(ANA, KEY, BLOB),
}


def asked(*scripts: Script, call: str = "epochs", **arguments: Any) -> object:  # noqa: ANN401
    """What comes of one call to a server that does this."""
    with HostileServer(*scripts) as server, HTTPBackend(server.url, **arguments) as backend:
        return CALLED[call](backend)


def fails(
    *scripts: Script,
    match: str | None = None,
    call: str = "epochs",
    **arguments: Any,  # noqa: ANN401
) -> None:
    with pytest.raises(BackendError, match=match) as caught:
        asked(*scripts, call=call, **arguments)
    assert type(caught.value) is BackendError


def test_an_honest_answer_is_read() -> None:
    assert asked(says(EPOCHS)) == {0: 7}
    assert asked(says(answer(200))) == {0: 0}


# --- What is no answer --------------------------------------------------------------------------

NO_HTTP = [
    b"",
    b"\r\n",
    b"\r\n\r\n",
    b"hello\r\n\r\n",
    b"HTTP/1.1 abc OK\r\n\r\n",
    b"HTTP/1.1 99 OK\r\n\r\n",
    b"HTTP/9.9 200 OK\r\n\r\n",
    b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"\xff\xfe: \x00\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n12345",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"zz\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"ffffffffffffffffffff\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: -5\r\n\r\n12",
    b"\x16\x03\x01\x02\x00",
]


@pytest.mark.parametrize("place", range(len(NO_HTTP)))
def test_what_is_no_http(place: int) -> None:
    fails(says(NO_HTTP[place], closes=True))


@pytest.mark.parametrize("cut", range(0, len(EPOCHS), 7))
def test_an_answer_that_is_cut(cut: int) -> None:
    fails(says(EPOCHS[:cut], closes=True), match="ended the connection|no HTTP|answered with")


def test_an_answer_that_is_cut_where_a_field_ends() -> None:
    """What is left decodes, and would say less: that everything was taken."""
    refused = Deposited({0: UnknownRecipient("nobody")}, {BUDI.user_id: 1}, {0: 7})
    whole = encode_deposited(refused)
    for cut in range(len(whole)):
        data = answer(200, whole[:cut], length=len(whole))
        fails(says(data, closes=True), call="deposit_all")
    no_length = answer(200, b"", length=-1)
    fails(says(no_length, closes=True), call="acknowledge", match="without its length")


def test_wrong_lengths() -> None:
    fails(says(answer(200, b"12345", length=6), closes=True), match="was cut")
    fails(says(answer(200, b"12345", length=2)), match="does not fit")
    fails(says(answer(200, b"", length=10**15)), match="more than 2097152 bytes")
    fails(says(answer(200, b"", length=65_537)), call="register", match="more than 65536 bytes")


@pytest.mark.parametrize("call", ["deposit_all", "deposit_copies"])
def test_a_place_that_nothing_was_deposited_at(call: str) -> None:
    body = encode_deposited(Deposited({1: UnknownRecipient("nobody")}, {BUDI.user_id: 1}, {0: 7}))
    fails(says(answer(200, body)), call=call, match="does not fit")


def test_copies_that_are_none_are_not_sent() -> None:
    with HostileServer() as server, HTTPBackend(server.url) as backend:
        with pytest.raises(DecodeError):
            backend.deposit_copies(KEY, b"no copies")
        with pytest.raises(BackendRefused, match="takes up to 262144"):
            backend.deposit_copies(KEY, bytes(262_145))
        assert server.connections == 0


@pytest.mark.parametrize("name", list(CALLED))
def test_a_body_that_does_not_decode(name: str) -> None:
    nothing = name in ("register", "publish", "acknowledge", "put_link", "delete_blob")
    script = says(answer(200, b"\x0a\xff"))
    if nothing:
        assert asked(script, call=name) is None
    else:
        fails(script, call=name, match="does not fit")


@pytest.mark.parametrize("name", list(CALLED))
def test_an_answer_without_end(name: str) -> None:
    """In one piece, and in chunks without a length; memory is bounded."""
    body = bytes(CALLS[name].max_answer + 1)
    chunked = answer(200, b"", "Transfer-Encoding: chunked", length=-1)

    def without_end(connection: socket.socket) -> None:
        connection.sendall(chunked)
        while True:
            connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    fails(says(answer(200, body)), call=name, match="more than")
    tracemalloc.start()
    try:
        fails(without_end, call=name, match="more than")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * CALLS[name].max_answer + 2_000_000


def test_nothing_is_read_without_a_size() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"12")
        theirs.shutdown(socket.SHUT_WR)
        with _TimedReader(ours) as reader, pytest.raises(http.client.HTTPException):
            reader.read()


def test_a_chunked_answer_is_read() -> None:
    body = encode_epochs({0: 7})
    chunked = answer(200, b"", "Transfer-Encoding: chunked", length=-1)
    for cut in range(1, len(body)):
        parts = b"".join(
            b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:cut], body[cut:], b"")
        )
        assert asked(says(chunked + parts)) == {0: 7}


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "identity", "x"])
def test_compressed_answers_are_refused(coding: str) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    fails(says(answer(200, bomb, f"Content-Encoding: {coding}")), match="compressed")


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    with HostileServer(says(EPOCHS)) as other:
        fails(says(answer(status, b"", f"Location: {other.url}/v1/epochs")), match="redirect")
        assert other.requests == []


@pytest.mark.parametrize("kind", ["text/html", "application/json", ""])
def test_another_content_type(kind: str) -> None:
    fails(says(answer(200, b"", kind=kind)), match="no e2ecross back end is at this address")


@pytest.mark.parametrize("status", [404, 405, 415])
def test_another_service(status: int) -> None:
    fails(says(answer(status, b"")), match="no e2ecross back end is at this address")


@pytest.mark.parametrize(
    "status", [201, 204, 206, 400, 401, 402, 403, 410, 429, 500, 502, 503, 599]
)
def test_a_status_that_says_nothing_else(status: int) -> None:
    fails(says(answer(status, b"", kind="text/html")), match=f"status {status}")
    fails(says(answer(status, b"\xff")), match=f"status {status}")


# --- Errors that are answered -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "decode_error", DecodeError),
        (400, "unsupported_version", UnsupportedVersion),
        (400, "invalid_key", InvalidKey),
        (400, "invalid_argument", BackendError),
        (401, "not_registered", NotRegistered),
        (403, "backend_refused", BackendRefused),
        (411, "backend_refused", BackendRefused),
        (413, "backend_refused", BackendRefused),
        (503, "backend_error", BackendError),
        (500, "backend_error", BackendError),
        (403, "not_registered", BackendError),
        (401, "backend_refused", BackendError),
        (400, "no_session", BackendError),
        (403, "e2ecross", BackendError),
    ],
)
def test_a_row_of_the_table(status: int, code: str, kind: type[E2ECrossError]) -> None:
    body = ErrorBody(code, "\x1b[31mwhy\n" + "x" * 500).encode()
    with pytest.raises(kind) as caught:
        asked(says(answer(status, body)))
    assert type(caught.value) is kind
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_register_is_never_not_registered() -> None:
    with pytest.raises(BackendRefused):
        asked(says(answer(401, ErrorBody("not_registered", "why").encode())), call="register")


@pytest.mark.parametrize(("status", "seconds"), [(429, 30), (503, 1), (503, 60)])
def test_who_is_asked_to_wait_waits(
    status: int, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = ErrorBody("backend_error", "wait").encode()
    busy = answer(status, body, f"Retry-After: {seconds}")
    now = [1000.0]
    with HostileServer(says(busy), says(EPOCHS)) as server, HTTPBackend(server.url) as backend:
        with pytest.raises(BackendError, match="wait"):
            backend.epochs(ANA, KEY)
        real = time.monotonic()
        monkeypatch.setattr(
            "e2ecross.service.transport.time.monotonic", lambda: real + now[0] - 1000.0
        )
        for _ in range(3):
            with pytest.raises(BackendError, match=f"has asked to wait {seconds} s more"):
                backend.epochs(ANA, KEY)
        assert len(server.requests) == 1
        now[0] += seconds + 1
        monkeypatch.setattr("e2ecross.service.connections._time_left", lambda: 10.0)
        assert backend.epochs(ANA, KEY) == {0: 7}


@pytest.mark.parametrize("told", ["61", "999999999999999999999", "-1", "soon", "", "\u00b2"])
def test_nobody_waits_for_longer_than_a_minute(told: str) -> None:
    busy = answer(503, b"", f"Retry-After: {told}", kind="text/html")
    with HostileServer(says(busy), says(EPOCHS)) as server, HTTPBackend(server.url) as backend:
        with pytest.raises(BackendError):
            backend.epochs(ANA, KEY)
        if told.isascii() and told.isdigit():
            with pytest.raises(BackendError, match="wait 60 s more"):
                backend.epochs(ANA, KEY)
        else:
            assert backend.epochs(ANA, KEY) == {0: 7}


def test_a_shorter_time_that_is_told_later_ends_no_longer_one() -> None:
    told = threading.Event()

    def late(connection: socket.socket) -> None:
        told.wait(10)
        connection.sendall(answer(503, b"", "Retry-After: 1"))

    def early(connection: socket.socket) -> None:
        connection.sendall(answer(429, b"", "Retry-After: 50"))

    with HostileServer(late, early) as server, HTTPBackend(server.url) as backend:
        first = threading.Thread(target=lambda: suppressed(backend))
        first.start()
        while len(server.requests) < 1:
            time.sleep(0.01)
        suppressed(backend)
        told.set()
        first.join(10)
        with pytest.raises(BackendError, match=r"asked to wait [45][0-9] s more"):
            backend.epochs(ANA, KEY)


def suppressed(backend: HTTPBackend) -> None:
    with suppress(BackendError):
        backend.epochs(ANA, KEY)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("kind", ["application/x-protobuf", "text/html"])
def test_who_is_asked_to_wait_hears_how_long(status: int, kind: str) -> None:
    body = ErrorBody("backend_error", "busy").encode()
    fails(says(answer(status, body, "Retry-After: 7", kind=kind)), match="asked to wait 7 s")


# --- Servers that take their time ---------------------------------------------------------------


def in_time(*scripts: Script, call: str = "epochs", match: str = "in time") -> None:
    started = time.monotonic()
    fails(*scripts, call=call, match=match, connect_timeout_ms=200, timeout_ms=300)
    assert time.monotonic() - started < 8


def stalls(connection: socket.socket) -> None:
    time.sleep(30)


@pytest.mark.parametrize("name", list(CALLED))
def test_a_server_that_says_nothing(name: str) -> None:
    in_time(stalls, call=name)


TRICKLES = [
    b"HTTP/1.1 200 OK" + b" " * 60_000,
    b"HTTP/1.1 100 Continue\r\n\r\n",
    EPOCHS[:30] + b"X" * 10_000,
    answer(200, bytes(10_000)),
]


@pytest.mark.parametrize("place", range(len(TRICKLES)))
def test_a_server_that_trickles(place: int) -> None:
    in_time(trickles(TRICKLES[place], 0.02))


def test_a_server_that_trickles_chunks() -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(answer(200, b"", "Transfer-Encoding: chunked", length=-1))
        while True:
            connection.sendall(b"1\r\n\x00\r\n")
            time.sleep(0.02)

    in_time(script)


@pytest.mark.parametrize("script", [stalls, trickles(TRICKLES[3], 0.02)])
def test_time_to_connect_is_none_to_answer(script: Script) -> None:
    started = time.monotonic()
    fails(script, match="in time", connect_timeout_ms=20_000, timeout_ms=300)
    assert time.monotonic() - started < 8


def test_a_server_that_reads_nothing() -> None:
    """The request is larger than all buffers on the way."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        backend = HTTPBackend(url, connect_timeout_ms=200, timeout_ms=300)
        large = [envelope(ANA, BUDI, n, 90_000).encode() for n in range(46)]
        started = time.monotonic()
        with backend, pytest.raises(BackendError, match="in time"):
            backend.deposit_all(KEY, large)
        assert time.monotonic() - started < 8


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    backend = HTTPBackend(f"http://127.0.0.1:{port}")
    with pytest.raises(BackendError, match=f"^127.0.0.1:{port} cannot be reached"):
        backend.epochs(ANA, KEY)


def test_a_name_that_leads_nowhere() -> None:
    backend = HTTPBackend("https://nowhere.invalid", timeout_ms=5_000)
    with pytest.raises(BackendError, match=r"nowhere.invalid:443 cannot be (found|reached)"):
        backend.epochs(ANA, KEY)


def test_no_tls_where_it_should_be() -> None:
    with HostileServer(says(EPOCHS)) as server:
        backend = HTTPBackend(server.url.replace("http:", "https:"), timeout_ms=2_000)
        with pytest.raises(BackendError, match=r"through TLS|in time|ended"):
            backend.epochs(ANA, KEY)


# --- Connections that are kept ------------------------------------------------------------------


def test_a_connection_is_kept() -> None:
    with HostileServer(says(EPOCHS)) as server, HTTPBackend(server.url) as backend:
        for _ in range(5):
            assert backend.epochs(ANA, KEY) == {0: 7}
        assert (server.connections, len(server.requests)) == (1, 5)


def test_a_kept_connection_that_was_closed_is_opened_anew_once() -> None:
    """It is closed while the request is on its way: nobody can know that before."""

    def closes(connection: socket.socket) -> None:
        connection.shutdown(socket.SHUT_RDWR)

    scripts = (says(EPOCHS), closes, says(EPOCHS), closes, closes)
    with HostileServer(*scripts) as server, HTTPBackend(server.url) as backend:
        assert backend.epochs(ANA, KEY) == {0: 7}
        assert backend.epochs(ANA, KEY) == {0: 7}  # asked twice
        assert len(server.requests) == 3
        with pytest.raises(BackendError, match="ended the connection"):
            backend.epochs(ANA, KEY)  # asked twice, and no more
        assert len(server.requests) == 5


def test_a_new_connection_that_is_closed_is_not_asked_again() -> None:
    def closes(connection: socket.socket) -> None:
        connection.shutdown(socket.SHUT_RDWR)

    with HostileServer(closes) as server, HTTPBackend(server.url) as backend:
        with pytest.raises(BackendError, match="ended the connection"):
            backend.epochs(ANA, KEY)
        assert len(server.requests) == 1


def test_once_an_answer_has_begun_nothing_is_asked_again() -> None:
    with HostileServer(says(EPOCHS), says(EPOCHS[:9], closes=True)) as server:
        with HTTPBackend(server.url) as backend:
            backend.epochs(ANA, KEY)
            with pytest.raises(BackendError):
                backend.epochs(ANA, KEY)
        assert len(server.requests) == 2


def test_bytes_after_an_answer_spoil_no_later_one() -> None:
    scripts = (says(EPOCHS + b"HTTP/1.1 200 OK\r\n"), says(EPOCHS))
    with HostileServer(*scripts) as server, HTTPBackend(server.url) as backend:
        came = []
        for _ in range(4):
            with suppress(BackendError):
                came.append(backend.epochs(ANA, KEY))
        assert came
        assert all(each == {0: 7} for each in came)


def test_as_many_connections_as_may_be() -> None:
    release = threading.Event()

    def holds(connection: socket.socket) -> None:
        release.wait(20)
        connection.sendall(EPOCHS)

    with HostileServer(holds) as server:
        backend = HTTPBackend(server.url, connections=1, timeout_ms=800, connect_timeout_ms=100)

        def ask() -> None:
            with suppress(BackendError):
                backend.epochs(ANA, KEY)

        first = threading.Thread(target=ask)
        first.start()
        while not server.requests:
            time.sleep(0.01)
        with backend:
            with pytest.raises(BackendError, match=r"all connections were in use|in time"):
                backend.epochs(ANA, KEY)
            release.set()
            first.join(20)
        assert server.connections <= 2


def test_a_child_makes_its_own_connections(relay: Relay) -> None:
    with LiveService(relay) as service, HTTPBackend(service.url) as backend:
        assert backend.epochs(ANA, KEY) == {0: 0}
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                before = backend._transport._pool
                answered = backend.epochs(ANA, KEY) == {0: 0}
                os.write(writing, b"%d" % (answered and backend._transport._pool is not before))
                backend.close()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert os.read(reading, 9) == b"1"
        os.close(reading)
        os.close(writing)
        assert backend.epochs(ANA, KEY) == {0: 0}


def test_many_threads(relay: Relay) -> None:
    with LiveService(relay) as service, HTTPBackend(service.url, connections=4) as backend:
        came: list[object] = []
        threads = [
            threading.Thread(target=lambda: came.append(backend.epochs(ANA, KEY)))
            for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert came == [{0: 0}] * 16


# --- What is sent, and shown --------------------------------------------------------------------


def test_what_a_request_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    cookie = answer(200, encode_epochs({0: 7}), "Set-Cookie: a=b")
    with HostileServer(says(cookie)) as server, HTTPBackend(server.url + "/prefix/") as backend:
        backend.epochs(ANA, KEY)
        backend.epochs(ANA, KEY)
    head, _, body = server.requests[1].partition(b"\r\n\r\n")
    first, *headers = head.split(b"\r\n")
    assert first == b"POST /prefix/v1/epochs HTTP/1.1"
    names = sorted(line.partition(b":")[0].lower() for line in headers)
    assert names == [
        b"accept-encoding",
        b"authorization",
        b"content-length",
        b"content-type",
        b"host",
        b"user-agent",
    ]
    assert b"secret" not in head
    assert KEY not in body


def test_what_needs_no_token_has_none() -> None:
    with HostileServer(says(answer(200))) as server, HTTPBackend(server.url) as backend:
        backend.get_link(BOX, 0)
        backend.put_link(BOX, 1, b"sealed", address=ANA, token=KEY)
        for request in server.requests:
            assert b"uthorization" not in request
            assert b"ana" not in request


def test_it_shows_where_it_leads_and_nothing_else() -> None:
    backend = HTTPBackend("https://back.end:8443/secret-path")
    assert repr(backend) == "<HTTPBackend back.end:8443>"
    for spread in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled"):
            spread(backend)


def test_after_close_nothing_is_asked() -> None:
    with HostileServer(says(EPOCHS)) as server:
        backend = HTTPBackend(server.url)
        backend.close()
        backend.close()
        with pytest.raises(BackendError, match="has been closed"):
            backend.epochs(ANA, KEY)
        assert server.requests == []


def test_a_credential_is_asked_for_where_none_is_given(path: Path) -> None:
    asked_for: list[Address] = []
    shown: list[bytes] = []

    def credential(address: Address) -> bytes:
        asked_for.append(address)
        return b"card"

    def authorise(address: Address, taken: bool, credential: bytes) -> bool:
        shown.append(credential)
        return True

    with (
        Relay(path, authorise=authorise) as relay,
        LiveService(relay) as service,
        HTTPBackend(service.url, credential=credential) as backend,
    ):
        register(backend, ANA)
        backend.register(BUDI, token(BUDI), credential=b"own")
    assert asked_for == [ANA]
    assert shown == [b"card", b"own"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"connect_timeout_ms": 0},
        {"timeout_ms": 0},
        {"timeout_ms": 25_001},
        {"connect_timeout_ms": 10_001},
        {"connect_timeout_ms": 1.5},
        {"connections": 0},
        {"connections": 1_001},
        {"credential": b"card"},
        {"ca_file": 5},
        {"ca_file": "/nowhere.pem"},
        {"ca_file": __file__},
    ],
)
def test_wrong_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        HTTPBackend("https://back.end", **arguments)


def test_the_longest_times() -> None:
    HTTPBackend("https://back.end", connect_timeout_ms=10_000, timeout_ms=20_000)


def test_many_numbers_go_in_several_calls() -> None:
    with HostileServer(says(answer(200))) as server, HTTPBackend(server.url) as backend:
        backend.acknowledge(ANA, KEY, range(1, 20_002))
        assert len(server.requests) == 3
        backend.acknowledge(ANA, KEY, [])
        assert len(server.requests) == 4


@given(
    st.sampled_from(sorted(CALLED)),
    st.binary(max_size=200),
    st.integers(100, 599),
    st.sampled_from([[], ["Retry-After: 0"], ["Transfer-Encoding: chunked"], ["X:"]]),
)
def test_any_answer_is_an_answer_or_an_error(
    hostile: HostileServer, name: str, body: bytes, status: int, headers: list[str]
) -> None:
    hostile._scripts[:] = [says(answer(status, body, *headers), closes=True)]
    refusals = (BackendError, DecodeError, UnsupportedVersion, InvalidKey)
    with HTTPBackend(hostile.url, timeout_ms=2_000) as backend, suppress(*refusals):
        CALLED[name](backend)


@pytest.fixture(scope="module")
def hostile() -> Any:  # noqa: ANN401
    with HostileServer(says(EPOCHS)) as server:
        yield server
