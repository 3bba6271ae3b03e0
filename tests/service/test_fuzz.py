# SPDX-License-Identifier: Apache-2.0
"""Anything at any path: only the answers of the table, nothing changed, nothing told."""

import io
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.service import NO_LIMITS, no_rates, require_extras

require_extras()

from e2ecross.relay import Relay
from e2ecross.service import create_app
from e2ecross.service.request_log import RequestLog
from e2ecross.wire.service_calls import CALLS
from e2ecross.wire.service_errors import ErrorBody
from tests.relay.support import ANA, BUDI, register, token
from tests.support.asgi import Caller, Came, bearer
from tests.support.service_bodies import BODIES

CORPUS = Path(__file__).parents[1] / "corpus"
ANSWERS = {
    (200, ""),
    *((400, code) for code in ("invalid_argument", "decode_error", "invalid_key")),
    (400, "unsupported_version"),
    (401, "not_registered"),
    (403, "backend_refused"),
    (404, ""),
    (405, ""),
    (411, "backend_refused"),
    (413, "backend_refused"),
    (415, ""),
}
examples = st.sampled_from([example for _, example in BODIES.values()])
bodies = st.one_of(
    st.binary(max_size=300),
    examples,
    st.builds(
        lambda data, at, patch: data[: at % (len(data) + 1)] + patch + data[at % (len(data) + 1) :],
        examples,
        st.integers(0, 500),
        st.binary(max_size=8),
    ),
)
paths = st.sampled_from([f"/v1/{name}" for name in CALLS]) | st.text(max_size=20).map("/{}".format)
headers = st.lists(
    st.tuples(
        st.sampled_from([b"content-type", b"content-length", b"authorization", b"x", b"expect"]),
        st.binary(max_size=50) | st.sampled_from([b"0", b"5", b"application/x-protobuf"]),
    ),
    max_size=4,
)


class World(NamedTuple):
    caller: Caller
    log: RequestLog
    out: io.StringIO
    path: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    path = tmp_path_factory.mktemp("fuzz") / "relay.db"
    out = io.StringIO()
    log = RequestLog(out)
    with Relay(path) as relay:
        register(relay, ANA, BUDI)
        app = create_app(relay, limits=NO_LIMITS, rates=no_rates, log=log)
        with Caller(app) as caller:
            yield World(caller, log, out, path)
    log.close()
    for line in out.getvalue().splitlines():
        assert "error" not in json.loads(line), "a fault"


def known(came: Came) -> None:
    code = ErrorBody.decode(came.body).code if came.status != 200 and came.body else ""
    assert (came.status, code) in ANSWERS


@given(path=paths, body=bodies, key=st.sampled_from([b"", token(ANA), token(BUDI), bytes(32)]))
def test_any_body_at_any_path(world: World, path: str, body: bytes, key: bytes) -> None:
    known(world.caller.post(path, body, token=key))


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "X"]),
    path=paths,
    given_headers=headers,
    parts=st.lists(st.binary(max_size=30), min_size=1, max_size=3),
)
def test_any_request(
    world: World,
    method: str,
    path: str,
    given_headers: list[tuple[bytes, bytes]],
    parts: list[bytes],
) -> None:
    told = {name for name, _ in given_headers}
    size = sum(map(len, parts))
    if b"content-length" not in told:
        given_headers = [*given_headers, (b"content-length", str(size).encode())]
    if any(n == b"content-length" and v != str(size).encode() for n, v in given_headers):
        parts = [b""]  # a server passes no more and no less than was told
        given_headers = [(n, v) for n, v in given_headers if n != b"content-length"]
    known(world.caller.ask(method, path, given_headers, parts))


@pytest.mark.parametrize("folder", sorted(path.name for path in CORPUS.iterdir()))
def test_the_corpus_at_every_path(world: World, folder: str) -> None:
    for file in sorted((CORPUS / folder).iterdir())[:5]:
        for name in CALLS:
            data = file.read_bytes()
            if len(data) <= CALLS[name].max_request:
                known(world.caller.post(f"/v1/{name}", data, token=token(ANA)))


def test_who_has_no_token_changes_nothing(world: World) -> None:
    before = _dump(world.path)
    for _, example in BODIES.values():
        for name in CALLS:
            if name in ("register", "put_link"):
                continue
            for proof in ([], [bearer(bytes(32))], [(b"authorization", b"\xff")]):
                known(world.caller.post(f"/v1/{name}", example, headers=proof))
    assert _dump(world.path) == before


def _dump(path: Path) -> list[str]:
    file = sqlite3.connect(path)
    try:
        return list(file.iterdump())
    finally:
        file.close()
