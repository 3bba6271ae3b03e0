# SPDX-License-Identifier: Apache-2.0
"""Each row of the table of errors, and each limit, at the service itself."""

import asyncio
import io
import json
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.service import NO_LIMITS, no_rates, require_extras

require_extras()

from e2ecross.address import Address
from e2ecross.errors import InvalidArgument
from e2ecross.relay import Relay
from e2ecross.service import Metrics, Rates, ServiceLimits, create_app
from e2ecross.service.request_log import RequestLog
from e2ecross.wire.envelope import EnvelopeCopies
from e2ecross.wire.exchange import KeysWanted
from e2ecross.wire.service_accounts import AddressRequest, PublishRequest, RegisterRequest
from e2ecross.wire.service_blobs import BlobRequest, decode_blob, decode_stored
from e2ecross.wire.service_calls import CALLS
from e2ecross.wire.service_devices import LinkRequest, PublishDevicesRequest, decode_link
from e2ecross.wire.service_keys import FetchKeysRequest
from e2ecross.wire.service_mail import (
    AcknowledgeRequest,
    DepositCopiesRequest,
    DepositRequest,
    FetchRequest,
    decode_deposited,
    decode_waiting,
)
from tests.relay.support import ANA, BUDI, TOKO, copies, device_list, envelope, published, token
from tests.support.asgi import Caller, Came, bearer

PROTOBUF = (b"content-type", b"application/x-protobuf")
BOX = bytes(16)
BLOB = bytes(range(32))
LAPTOP = Address(ANA.app, ANA.user, 2)


@pytest.fixture
def caller(relay: Relay) -> Iterator[Caller]:
    with Caller(create_app(relay, limits=NO_LIMITS, rates=no_rates)) as caller:
        yield caller


def deposit_body(*numbers: int, sender: Address = BUDI) -> bytes:
    return DepositRequest([envelope(sender, ANA, n).encode() for n in numbers], {}).encode()


# --- Answers ------------------------------------------------------------------------------------


def test_an_answer_is_not_cached_and_has_an_id(caller: Caller) -> None:
    came = caller.post("/v1/epochs", AddressRequest(ANA).encode(), token=token(ANA))
    assert came.status == 200
    assert came.headers[b"content-type"] == b"application/x-protobuf"
    assert came.headers[b"cache-control"] == b"no-store"
    assert len(came.headers[b"x-request-id"]) == 16


def test_health(caller: Caller, relay: Relay) -> None:
    came = caller.ask("GET", "/healthz")
    assert (came.status, came.body) == (200, b"ok")
    came = caller.ask("GET", "/readyz")
    assert (came.status, came.body, came.headers[b"cache-control"]) == (200, b"", b"no-store")
    relay.close()
    assert caller.ask("GET", "/readyz").status == 503
    assert caller.ask("GET", "/healthz").status == 200


@pytest.mark.parametrize("where", ["/healthz", "/readyz"])
def test_health_is_asked_for_by_get(caller: Caller, where: str) -> None:
    assert caller.ask("HEAD", where).status == 200
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        came = caller.ask(method, where)
        assert (came.status, came.body, came.headers[b"allow"]) == (405, b"", b"GET, HEAD")


def test_not_ready_while_it_is_stopped(relay: Relay) -> None:
    app = create_app(relay)
    with Caller(app) as caller:
        app.state.bell.stop()
        assert caller.ask("GET", "/readyz").status == 503


def test_what_is_refused_of_a_deposit_stands_in_its_answer(caller: Caller) -> None:
    envelopes = [envelope(BUDI, ANA).encode(), envelope(BUDI, TOKO).encode(), b"none"]
    came = caller.post("/v1/deposit_all", DepositRequest(envelopes, {}).encode(), token=token(BUDI))
    assert came.status == 200
    refused = decode_deposited(came.body, 3, ()).refused
    assert [(place, error.code) for place, error in refused.items()] == [
        (1, "unknown_recipient"),
        (2, "backend_refused"),
    ]
    body = FetchRequest(ANA, 10).encode()
    waiting = decode_waiting(caller.post("/v1/fetch", body, token=token(ANA)).body, 10, 0)
    assert [each.envelope for each in waiting] == envelopes[:1]


def test_what_is_refused_of_copies_stands_in_their_answer(caller: Caller) -> None:
    message = copies(BUDI, 1, ANA, TOKO)
    body = DepositCopiesRequest(message.encode(), {0: 7}).encode()
    came = caller.post("/v1/deposit_copies", body, token=token(BUDI))
    assert came.status == 200
    answer = decode_deposited(came.body, 2, (0,))
    place = message.recipients.index(TOKO)
    assert [(at, error.code) for at, error in answer.refused.items()] == [
        (place, "unknown_recipient")
    ]
    assert answer.epochs == {0: 0}
    body = FetchRequest(ANA, 10).encode()
    waiting = decode_waiting(caller.post("/v1/fetch", body, token=token(ANA)).body, 10, 0)
    assert [each.envelope for each in waiting] == [message.encode_for(ANA)]


# --- Each row -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(CALLS))
def test_a_body_that_is_too_large(caller: Caller, name: str) -> None:
    largest = CALLS[name].max_request
    length = (b"content-length", str(largest + 1).encode())
    came = caller.ask("POST", f"/v1/{name}", [PROTOBUF, length, bearer(token(ANA))])
    assert (came.status, came.error.code) == (413, "backend_refused")
    assert came.headers[b"connection"] == b"close"


@pytest.mark.parametrize("length", [None, b"", b"-1", b"+5", b"0x5", b"5 ", b"1" * 13])
def test_a_body_without_a_length(caller: Caller, length: bytes | None) -> None:
    told = [] if length is None else [(b"content-length", length)]
    came = caller.ask("POST", "/v1/fetch", [PROTOBUF, *told])
    assert (came.status, came.error.code) == (411, "backend_refused")


def test_a_length_that_is_told_twice(caller: Caller) -> None:
    told = [(b"content-length", b"0"), (b"content-length", b"5")]
    assert caller.ask("POST", "/v1/fetch", [PROTOBUF, *told]).status == 411


@pytest.mark.parametrize("kind", [None, b"", b"application/json", b"text/plain", b"\xff"])
def test_another_content_type(caller: Caller, kind: bytes | None) -> None:
    told = [] if kind is None else [(b"content-type", kind)]
    came = caller.ask("POST", "/v1/fetch", [*told, (b"content-length", b"0")])
    assert (came.status, came.body) == (415, b"")


def test_a_content_type_with_a_parameter_is_the_same(caller: Caller) -> None:
    kind = (b"content-type", b"Application/X-Protobuf; charset=binary")
    body = AddressRequest(ANA).encode()
    length = (b"content-length", str(len(body)).encode())
    came = caller.ask("POST", "/v1/epochs", [kind, length, bearer(token(ANA))], [body])
    assert came.status == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE", "OPTIONS", "post"])
def test_another_method(caller: Caller, method: str) -> None:
    came = caller.ask(method, "/v1/fetch")
    assert (came.status, came.body, came.headers[b"allow"]) == (405, b"", b"POST")


@pytest.mark.parametrize(
    "where",
    ["/", "/v1", "/v1/", "/v1/fetch/", "/v1/Fetch", "/v2/fetch", "/v1/waiting", "/v1/holder", "*"],
)
def test_another_path(caller: Caller, where: str) -> None:
    came = caller.post(where)
    assert (came.status, came.body) == (404, b"")


def test_a_websocket_is_closed(relay: Relay) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:  # noqa: ANN401
        sent.append(message)

    async def receive() -> Any:  # noqa: ANN401
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/v1/fetch", "headers": [], "root_path": ""}
    asyncio.run(create_app(relay)(scope, receive, send))
    assert sent == [{"type": "websocket.close"}]


CARRYING = ("publish", "publish_devices", "deposit_all", "deposit_copies")
MALFORMED: list[tuple[str, bytes]] = [
    *((name, b"\x0a\xff") for name in CALLS),
    *((name, b"") for name in CALLS if name not in CARRYING),
    ("fetch", FetchRequest(ANA, 1).encode() + b"\x10\x00"),
    ("acknowledge", AcknowledgeRequest(ANA, [2**63]).encode()),
]


@pytest.mark.parametrize("place", range(len(MALFORMED)))
def test_a_body_that_is_malformed(caller: Caller, place: int) -> None:
    name, body = MALFORMED[place]
    came = caller.post(f"/v1/{name}", body, token=token(ANA))
    assert (came.status, came.error.code) == (400, "invalid_argument")


def test_what_is_carried_has_its_own_errors(caller: Caller) -> None:
    keys = published(ANA).encode()
    for carried, code in (
        (b"no keys", "decode_error"),
        (b"\x08\x07" + keys[2:], "unsupported_version"),
        (keys.replace(published(ANA).identity_key, b"\x05" + b"\xff" * 32), "invalid_key"),
    ):
        came = caller.post("/v1/publish", PublishRequest(carried).encode(), token=token(ANA))
        assert (came.status, came.error.code) == (400, code)
    for carried, code in (
        (b"", "decode_error"),
        (b"no copies", "decode_error"),
        (b"\x08\x07" + copies(ANA, 1, BUDI).encode()[2:], "unsupported_version"),
    ):
        body = DepositCopiesRequest(carried, {}).encode()
        came = caller.post("/v1/deposit_copies", body, token=token(ANA))
        assert (came.status, came.error.code) == (400, code)
    body = PublishDevicesRequest(b"no list", {}).encode()
    came = caller.post("/v1/publish_devices", body, token=token(ANA))
    assert (came.status, came.error.code) == (400, "decode_error")


BODIES: dict[str, bytes] = {
    "register": RegisterRequest(ANA).encode(),
    "publish": PublishRequest(published(ANA).encode()).encode(),
    "publish_devices": PublishDevicesRequest(device_list(ANA).encode(), {}).encode(),
    "epochs": AddressRequest(ANA).encode(),
    "one_time_prekey_count": AddressRequest(ANA).encode(),
    "fetch_keys": FetchKeysRequest(ANA, (KeysWanted(BUDI.user_id, None),)).encode(),
    "deposit_all": deposit_body(1, sender=ANA),
    "deposit_copies": DepositCopiesRequest(copies(ANA, 1, BUDI).encode(), {}).encode(),
    "fetch": FetchRequest(ANA, 1).encode(),
    "acknowledge": AcknowledgeRequest(ANA, [1]).encode(),
    "put_link": LinkRequest(BOX, 0, b"sealed", ANA).encode(),
    "get_link": LinkRequest(BOX, 0).encode(),
    "begin_blob": BlobRequest(BLOB, ANA, length=9).encode(),
    "put_blob": BlobRequest(BLOB, ANA, 0, data=b"encrypted").encode(),
    "get_blob": BlobRequest(BLOB, offset=2, length=5).encode(),
    "delete_blob": BlobRequest(BLOB, ANA).encode(),
}


def test_every_call_has_a_body() -> None:
    assert list(BODIES) == list(CALLS)


@pytest.mark.parametrize("name", [name for name in CALLS if name not in ("get_link", "get_blob")])
def test_no_valid_token(caller: Caller, relay: Relay, name: str) -> None:
    """The same for no token, a malformed one, one that is nobody's, and that of another device."""
    wrong: list[Any] = [(), (bearer(b"short"),), ((b"authorization", b"Basic x"),)]
    if name != "register":
        wrong += [(bearer(bytes(32)),)]
    if name not in ("register", "publish_devices", "deposit_all"):
        wrong += [(bearer(token(BUDI)),)]
    answers: list[Came] = [caller.post(f"/v1/{name}", BODIES[name], headers=h) for h in wrong]
    assert {came.status for came in answers} == {401}
    assert {came.headers[b"www-authenticate"] for came in answers} == {b"Bearer"}
    assert len({came.body for came in answers}) == 1
    assert answers[0].error.code == "not_registered"
    assert relay.waiting(BUDI) == []


@pytest.mark.parametrize("name", list(CALLS))
def test_every_call_with_its_token(caller: Caller, name: str) -> None:
    if name.endswith("_blob"):
        upload(caller)
    came = caller.post(f"/v1/{name}", BODIES[name], token=token(ANA))
    assert came.status == 200


def upload(caller: Caller) -> None:
    for name, stored in (("begin_blob", 0), ("put_blob", 9)):
        came = caller.post(f"/v1/{name}", BODIES[name], token=token(ANA))
        assert decode_stored(came.body) == stored


def test_what_is_refused(caller: Caller) -> None:
    for name, body, key in (
        ("register", RegisterRequest(ANA).encode(), token(ANA, 1)),
        ("deposit_all", DepositRequest([b""] * 1_025, {}).encode(), token(ANA)),
        ("deposit_all", DepositRequest([], {}).encode(), token(ANA)),
        ("deposit_copies", DepositCopiesRequest(bytes(262_145), {}).encode(), token(ANA)),
        ("fetch_keys", FetchKeysRequest(ANA, (KeysWanted(ANA.user_id, None),) * 2).encode(),
         token(ANA)),
        ("publish_devices", BODIES["publish_devices"], token(BUDI)),
        ("put_link", LinkRequest(BOX, 1, b"sealed").encode(), b""),
    ):  # fmt: skip
        came = caller.post(f"/v1/{name}", body, token=key)
        assert (came.status, came.error.code) == (403, "backend_refused"), name
        assert came.error.text


def test_a_file_that_is_not_there(caller: Caller) -> None:
    for name in ("get_blob", "put_blob"):
        came = caller.post(f"/v1/{name}", BODIES[name], token=token(ANA))
        assert (came.status, came.error.code) == (410, "blob_gone")


def test_a_relay_without_a_folder_keeps_no_files(path: Path) -> None:
    with Relay(path) as relay, Caller(create_app(relay)) as caller:
        relay.register(ANA, token(ANA))
        for name in [name for name in CALLS if name.endswith("_blob")]:
            came = caller.post(f"/v1/{name}", BODIES[name], token=token(ANA))
            assert (came.status, came.error.code) == (403, "backend_refused")
            assert came.error.text == "this relay keeps no files"


def test_who_uploads_names_an_address(caller: Caller) -> None:
    for name in ("begin_blob", "put_blob", "delete_blob"):
        body = BlobRequest(BLOB, None, 0, 9, b"encrypted").encode()
        came = caller.post(f"/v1/{name}", body, token=token(ANA))
        assert (came.status, came.error.code) == (400, "invalid_argument")


def test_who_knows_a_file_reads_it_without_a_token(caller: Caller) -> None:
    upload(caller)
    came = caller.post("/v1/get_blob", BODIES["get_blob"])
    assert (came.status, decode_blob(came.body)) == (200, b"crypt")


def test_the_relay_cannot_do_it_now(relay: Relay, path: Path) -> None:
    """The caller hears that, the operator where."""
    stream = io.StringIO()
    log = RequestLog(stream)
    with Caller(create_app(relay, log=log)) as caller:
        caller.post("/v1/epochs", BODIES["epochs"], token=token(ANA))
        path.rename(path.with_name("moved"))
        for key in (token(ANA), token(BUDI)):  # known, and not
            came = caller.post("/v1/epochs", BODIES["epochs"], token=key)
            assert (came.status, came.error.code) == (503, "backend_error")
            assert came.headers[b"retry-after"] == b"1"
            assert "the relay file relay.db was removed" in came.error.text
    log.close()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["error"] for line in lines if "error" in line] == ["BackendError"] * 2
    assert "relay.db" not in stream.getvalue()
    path.with_name("moved").rename(path)


def test_a_fault_is_told_to_nobody(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("a secret")

    monkeypatch.setattr(Relay, "epochs", fail)
    out = io.StringIO()
    log = RequestLog(out)
    with Caller(create_app(relay, log=log)) as caller:
        came = caller.post("/v1/epochs", BODIES["epochs"], token=token(ANA))
        assert (came.status, came.error.code, came.error.text) == (500, "backend_error", "")
        log.close()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert lines[0]["error"] == "KeyError"
    assert lines[0]["id"] == lines[1]["id"] == came.headers[b"x-request-id"].decode()
    assert lines[0]["at"].startswith("test_asgi.py:")
    assert "secret" not in out.getvalue()


def test_a_damaged_file_is_no_fault(caller: Caller, path: Path) -> None:
    caller.post("/v1/epochs", BODIES["epochs"], token=token(ANA))
    operator = sqlite3.connect(path)
    with operator:
        operator.execute("INSERT INTO epochs VALUES (?, 0, 'text')", (str(ANA),))
    operator.close()
    assert caller.post("/v1/epochs", BODIES["epochs"], token=token(ANA)).status == 503


# --- Bodies that come in their own way ----------------------------------------------------------


def test_a_body_in_parts(caller: Caller) -> None:
    body = BODIES["epochs"]
    head = [PROTOBUF, (b"content-length", str(len(body)).encode()), bearer(token(ANA))]
    parts = [body[i : i + 1] for i in range(len(body))]
    assert caller.ask("POST", "/v1/epochs", head, parts).status == 200


def test_a_body_that_is_longer_than_told(caller: Caller) -> None:
    head = [PROTOBUF, (b"content-length", b"3"), bearer(token(ANA))]
    assert caller.ask("POST", "/v1/epochs", head, [b"12", b"34"]).status == 413


def test_a_body_that_is_shorter_than_told(caller: Caller) -> None:
    """As a server shows it that reads no body after an `Upgrade`."""
    head = [PROTOBUF, (b"content-length", b"3"), bearer(token(ANA))]
    came = caller.ask("POST", "/v1/epochs", head, [b"12"])
    assert (came.status, came.error.code) == (400, "invalid_argument")
    assert came.headers[b"connection"] == b"close"


def test_a_body_that_does_not_come(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("e2ecross.service.exchange._BODY_SECONDS", 0.05)
    head = [PROTOBUF, (b"content-length", b"3"), bearer(token(ANA))]
    came = caller.ask("POST", "/v1/epochs", head, [])
    assert (came.status, came.headers[b"connection"]) == (408, b"close")


def test_who_has_no_valid_token_makes_nobody_read(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("e2ecross.service.exchange._BODY_SECONDS", 0.05)
    for proof in ([], [bearer(bytes(32))]):
        head = [PROTOBUF, (b"content-length", b"400"), *proof]
        assert caller.ask("POST", "/v1/epochs", head, []).status == 401


def test_all_bodies_together_are_bounded(relay: Relay) -> None:
    limits = ServiceLimits(body_bytes=5)
    with Caller(create_app(relay, limits=limits)) as caller:
        for _ in range(2):
            assert caller.post("/v1/epochs", b"12345", token=token(ANA)).status == 400
            came = caller.post("/v1/epochs", b"123456", token=token(ANA))
            assert (came.status, came.error.code) == (503, "backend_error")


def test_who_waits_for_the_writer_is_bounded(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    with Caller(create_app(relay)) as caller:
        monkeypatch.setattr("e2ecross.service.workers.Workers.is_busy", True)
        came = caller.post("/v1/acknowledge", BODIES["acknowledge"], token=token(ANA))
        assert came.status == 503
        assert caller.post("/v1/fetch", BODIES["fetch"], token=token(ANA)).status == 200


def test_pieces_of_files_have_half_of_what_is_read(relay: Relay) -> None:
    size = len(BODIES["put_blob"])
    with Caller(create_app(relay, limits=ServiceLimits(body_bytes=2 * size))) as caller:
        upload(caller)
        for _ in range(2):
            assert caller.post("/v1/put_blob", bytes(size + 1), token=token(ANA)).status == 503
            assert caller.post("/v1/fetch", bytes(2 * size), token=token(ANA)).status == 400


def test_pieces_of_files_that_wait_are_bounded(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Caller(create_app(relay)) as caller:
        upload(caller)
        monkeypatch.setattr("e2ecross.service.workers.Workers.is_slowly_busy", True)
        came = caller.post("/v1/put_blob", BODIES["put_blob"], token=token(ANA))
        assert (came.status, came.error.code) == (503, "backend_error")
        for name in ("begin_blob", "get_blob", "acknowledge", "delete_blob"):
            assert caller.post(f"/v1/{name}", BODIES[name], token=token(ANA)).status == 200


# --- How often ----------------------------------------------------------------------------------


def statuses(caller: Caller, count: int, name: str, **how: Any) -> list[int]:  # noqa: ANN401
    return [caller.post(f"/v1/{name}", BODIES[name], **how).status for _ in range(count)]


def still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("e2ecross.service.doorkeeper.time.monotonic", lambda: 1000.0)


def test_requests_of_a_device(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch)
    rates = Rates(requests_per_second=2, requests_burst=3)
    with Caller(create_app(relay, rates=lambda address: rates)) as caller:
        assert statuses(caller, 4, "epochs", token=token(ANA)) == [200] * 3 + [429]
        came = caller.post("/v1/epochs", BODIES["epochs"], token=token(ANA))
        assert came.headers[b"retry-after"] == b"1"
        assert came.error.retry_after_ms == 500
        body = AddressRequest(BUDI).encode()
        assert caller.post("/v1/epochs", body, token=token(BUDI)).status == 200


def test_who_asks_for_another_device_keeps_count(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    still(monkeypatch)
    rates = Rates(requests_per_second=1, requests_burst=3)
    with Caller(create_app(relay, rates=lambda address: rates)) as caller:
        assert statuses(caller, 2, "epochs", token=token(ANA)) == [200, 200]
        other = AddressRequest(BUDI).encode()
        assert caller.post("/v1/epochs", other, token=token(ANA)).status == 401
        assert statuses(caller, 2, "epochs", token=token(ANA)) == [429, 429]


def test_envelopes_of_a_device(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch)
    rates = Rates(envelopes_per_second=1, envelopes_burst=5)
    with Caller(create_app(relay, rates=lambda address: rates)) as caller:
        post = partial(caller.post, "/v1/deposit_all", token=token(BUDI))
        assert post(deposit_body(1, 2, 3)).status == 200
        assert post(deposit_body(4, 5, 6)).status == 429
        assert post(deposit_body(4, 5)).status == 200
    assert len(relay.waiting(ANA)) == 5


def test_copies_of_a_device(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each counts as an envelope, also one for nobody."""
    still(monkeypatch)
    rates = Rates(envelopes_per_second=1, envelopes_burst=5)
    with Caller(create_app(relay, rates=lambda address: rates)) as caller:

        def post(message: EnvelopeCopies) -> int:
            body = DepositCopiesRequest(message.encode(), {}).encode()
            return caller.post("/v1/deposit_copies", body, token=token(BUDI)).status

        assert post(copies(BUDI, 1, ANA, TOKO, LAPTOP)) == 200
        assert post(copies(BUDI, 2, ANA, TOKO, LAPTOP)) == 429
        assert post(copies(BUDI, 3, ANA, TOKO)) == 200
        assert post(copies(BUDI, 4, ANA)) == 429
    assert len(relay.waiting(ANA)) == 2


def test_more_envelopes_than_a_call_may_have_cost_no_more(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are refused, and keep nobody out for hours."""
    still(monkeypatch)
    with Caller(create_app(relay)) as caller:
        for name, field in (("deposit_all", b"\x0a\x00"), ("deposit_copies", b"\x22\x00")):
            body = field * 100_000
            if name == "deposit_copies":
                body = DepositCopiesRequest(body, {}).encode()
            assert caller.post(f"/v1/{name}", body, token=token(BUDI)).status in (400, 403)
        came = caller.post("/v1/deposit_all", deposit_body(1), token=token(BUDI))
        assert (came.status, came.headers[b"retry-after"]) == (429, b"1")


def test_requests_without_a_valid_token(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch)
    with Caller(create_app(relay)) as caller:
        assert statuses(caller, 1, "epochs", token=token(ANA)) == [200]
        assert statuses(caller, 5, "epochs", token=bytes(32)) == [401] * 5
        assert statuses(caller, 3, "epochs") == [401] * 3
        assert statuses(caller, 2, "fetch", token=bytes(32)) == [401] * 2
        assert statuses(caller, 2, "epochs", token=bytes(32)) == [429] * 2
        # A device that is known is let in; one that would have to be looked for is not.
        assert statuses(caller, 1, "epochs", token=token(ANA)) == [200]
        body = AddressRequest(BUDI).encode()
        assert caller.post("/v1/epochs", body, token=token(BUDI)).status == 429
        assert caller.post("/v1/epochs", body, token=token(BUDI), client="192.0.2.2").status == 200


def test_a_token_that_was_replaced_is_one_that_is_not_valid(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if it was known before: it is forgotten, and all of its requests count."""
    still(monkeypatch)
    with Caller(create_app(relay)) as caller:
        assert statuses(caller, 1, "epochs", token=token(ANA)) == [200]
        relay.register(ANA, token(ANA, 1), replaces=token(ANA))
        assert statuses(caller, 12, "epochs", token=token(ANA)) == [401] * 10 + [429] * 2


def test_requests_that_need_no_token(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch)
    limits = ServiceLimits(open_per_second=1, open_burst=3)
    with Caller(create_app(relay, limits=limits)) as caller:
        assert statuses(caller, 4, "get_link") == [200] * 3 + [429]
        assert statuses(caller, 1, "get_link", client="2001:db8::1") == [200]
        assert statuses(caller, 1, "get_link", token=token(ANA)) == [200]


def test_reading_files_has_its_own_measure(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch)
    limits = ServiceLimits(blob_reads_per_second=1, blob_reads_burst=3, open_burst=1)
    with Caller(create_app(relay, limits=limits)) as caller:
        upload(caller)
        assert statuses(caller, 4, "get_blob") == [200] * 3 + [429]
        assert statuses(caller, 1, "get_blob", client="2001:db8::1") == [200]
        assert statuses(caller, 2, "get_link") == [200, 429]


def test_registrations(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch)
    with Caller(create_app(relay, limits=ServiceLimits(register_burst=2))) as caller:
        assert statuses(caller, 3, "register", token=token(ANA)) == [200, 200, 429]


def test_linking_needs_a_token_at_one_end(caller: Caller) -> None:
    offer = LinkRequest(BOX, 0, b"offer", ANA).encode()
    assert caller.post("/v1/put_link", offer).status == 401
    assert caller.post("/v1/put_link", offer, token=token(ANA)).status == 200
    assert caller.post("/v1/put_link", LinkRequest(BOX, 1, b"answer").encode()).status == 200
    came = caller.post("/v1/get_link", LinkRequest(BOX, 1).encode())
    assert decode_link(came.body) == b"answer"


def test_a_token_that_was_replaced_is_looked_for_again(caller: Caller, relay: Relay) -> None:
    assert statuses(caller, 1, "epochs", token=token(ANA)) == [200]
    relay.register(ANA, token(ANA, 1), replaces=token(ANA))
    assert statuses(caller, 2, "epochs", token=token(ANA)) == [401, 401]
    assert statuses(caller, 1, "epochs", token=token(ANA, 1)) == [200]


# --- What is noted ------------------------------------------------------------------------------


def test_the_numbers_have_no_names(relay: Relay) -> None:
    metrics = Metrics()
    with Caller(create_app(relay, metrics=metrics)) as caller:
        caller.post("/v1/deposit_all", deposit_body(1, 2), token=token(BUDI))
        caller.post("/v1/fetch", FetchRequest(ANA, 10).encode(), token=token(ANA))
        caller.post("/v1/secret-path", token=token(ANA))
        caller.post("/v1/epochs", BODIES["epochs"])
        value = metrics.registry.get_sample_value
        assert value("e2ecross_requests_total", {"method": "deposit_all", "code": "ok"}) == 1
        assert value("e2ecross_requests_total", {"method": "other", "code": "404"}) == 1
        assert value("e2ecross_requests_total", {"method": "epochs", "code": "not_registered"}) == 1
        assert value("e2ecross_deposits_total") == 2
        assert value("e2ecross_delivered_total") == 2
        assert value("e2ecross_waiting_calls") == 0
        assert value("e2ecross_writer_queue") == 0
        assert value("e2ecross_mailbox_oldest_seconds") == 0
        size = value("e2ecross_database_bytes")
        assert size is not None
        assert size > 4096
        relay.close()
        oldest = value("e2ecross_mailbox_oldest_seconds")
        assert oldest is not None
        assert oldest != oldest


def test_copies_that_were_taken_are_counted(relay: Relay) -> None:
    metrics = Metrics()
    with Caller(create_app(relay, metrics=metrics)) as caller:
        body = DepositCopiesRequest(copies(BUDI, 1, ANA, LAPTOP, TOKO).encode(), {}).encode()
        caller.post("/v1/deposit_copies", body, token=token(BUDI))
        assert metrics.registry.get_sample_value("e2ecross_deposits_total") == 1


def test_a_line_for_each_request(relay: Relay) -> None:
    out = io.StringIO()
    log = RequestLog(out)
    with Caller(create_app(relay, log=log)) as caller:
        came = caller.post("/v1/epochs", BODIES["epochs"], token=token(ANA))
        caller.post("/v1/epochs", b"\xff", token=token(ANA))
        log.close()
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert {**first, "time": "", "ms": 0, "who": ""} == {
        "time": "",
        "id": came.headers[b"x-request-id"].decode(),
        "method": "epochs",
        "status": 200,
        "code": "ok",
        "ms": 0,
        "in": len(BODIES["epochs"]),
        "out": 0,
        "who": "",
    }
    assert first["who"] == second["who"] == log.who(ANA) != log.who(BUDI)
    assert len(first["who"]) == 8
    assert RequestLog(io.StringIO()).who(ANA) != log.who(ANA)


# --- What an application is made of -------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [{"limits": None}, {"rates": None}],
)
def test_wrong_arguments(relay: Relay, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        create_app(relay, **arguments)
    with pytest.raises(InvalidArgument):
        create_app("relay.db")  # type: ignore[arg-type]


def test_a_relay_with_a_bell_of_its_own(path: Path) -> None:
    class Bell:
        def ring(self, address: Address) -> None:
            raise AssertionError(address)

    with Relay(path, bell=Bell()) as relay, pytest.raises(InvalidArgument, match="bell"):
        create_app(relay)


def test_two_applications_of_one_relay_share_its_bell(relay: Relay) -> None:
    assert create_app(relay).state.bell is create_app(relay).state.bell


@pytest.mark.parametrize("kind", [Rates, ServiceLimits])
@pytest.mark.parametrize("value", [0, -1, 2**31 + 1, 1.5, True, None])
def test_limits_are_whole_numbers(kind: Any, value: Any) -> None:  # noqa: ANN401
    for name in kind.__slots__:
        with pytest.raises(InvalidArgument, match=name):
            kind(**{name: value})
