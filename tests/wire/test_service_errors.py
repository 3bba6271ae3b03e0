# SPDX-License-Identifier: Apache-2.0
"""Each row of the table of errors, in both directions."""

import pytest

from e2ecross.errors import (
    AuthenticationFailed,
    BackendError,
    BackendRefused,
    BlobGone,
    DecodeError,
    E2ECrossError,
    InvalidArgument,
    InvalidKey,
    MailboxFull,
    NotRegistered,
    StoreError,
    UnknownRecipient,
    UnsupportedVersion,
)
from e2ecross.wire.service_errors import ErrorBody, exception_of, failure_of

ROWS: list[tuple[E2ECrossError, int, str, type[E2ECrossError]]] = [
    (DecodeError("why"), 400, "decode_error", DecodeError),
    (UnsupportedVersion("why"), 400, "unsupported_version", UnsupportedVersion),
    (InvalidKey("why"), 400, "invalid_key", InvalidKey),
    (InvalidArgument("why"), 400, "invalid_argument", BackendError),
    (NotRegistered("why"), 401, "not_registered", NotRegistered),
    (BackendRefused("why"), 403, "backend_refused", BackendRefused),
    (BlobGone("why"), 410, "blob_gone", BlobGone),
]


@pytest.mark.parametrize(
    ("error", "status", "code", "kind"), ROWS, ids=[code for _, _, code, _ in ROWS]
)
def test_a_row(error: E2ECrossError, status: int, code: str, kind: type[E2ECrossError]) -> None:
    failure = failure_of(error)
    assert failure == (status, code, "why")
    came = exception_of(status, ErrorBody(code, failure.text).encode())
    assert type(came) is kind
    assert "why" in str(came)


@pytest.mark.parametrize(
    "path", ["/srv/relay.db", "/relay.db", "/srv/my data/relay.db", "C:\\srv\\relay.db"]
)
def test_what_a_relay_cannot_do_now_is_told_without_its_folders(path: str) -> None:
    cause = "failed: it cannot be read (Input/output error)"
    failure = failure_of(BackendError(f"the relay file {path} {cause}"))
    assert failure == (503, "backend_error", f"the relay file relay.db {cause}")
    came = exception_of(503, ErrorBody(failure.code, failure.text).encode())
    assert type(came) is BackendError
    assert failure_of(BackendError("why")).text == "why"


@pytest.mark.parametrize("status", [411, 413])
def test_what_is_too_large_is_refused(status: int) -> None:
    assert type(exception_of(status, ErrorBody("backend_refused").encode())) is BackendRefused


@pytest.mark.parametrize(
    "error", [UnknownRecipient(""), MailboxFull(""), AuthenticationFailed(""), StoreError("secret")]
)
def test_what_no_call_ends_with_is_a_fault_without_a_text(error: E2ECrossError) -> None:
    assert failure_of(error) == (500, "backend_error", "")


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 410, 429, 500, 502, 503])
@pytest.mark.parametrize(
    "code", ["", "not_registered", "invalid_key", "backend_refused", "blob_gone", "x"]
)
def test_any_other_pair_is_a_backend_error(status: int, code: str) -> None:
    pair = (status, code)
    known = {(401, "not_registered"), (400, "invalid_key"), (403, "backend_refused")}
    if pair in known | {(410, "blob_gone")}:
        return
    came = exception_of(status, ErrorBody(code, "why").encode())
    assert type(came) is BackendError
    assert str(came) == f"the back end answered with status {status}: why"
    said_nothing = exception_of(status, ErrorBody(code).encode())
    assert str(said_nothing) == f"the back end answered with status {status}"


def test_a_known_pair_without_text_has_one() -> None:
    came = exception_of(401, ErrorBody("not_registered").encode())
    assert str(came) == "the back end answered with status 401"


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\xff", bytes(64 * 1024 + 1)])
def test_what_is_no_error_body_is_a_backend_error(data: bytes) -> None:
    came = exception_of(403, data)
    assert type(came) is BackendError
    assert str(came) == "the back end answered with status 403, and says nothing else"


def test_a_long_text_is_cut() -> None:
    assert len(failure_of(BackendRefused("x" * 1000)).text) == 500
