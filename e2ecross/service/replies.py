# SPDX-License-Identifier: Apache-2.0
"""What the service answers: status, body, headers; and each answer that is no call's own.

Source: docs/service.md, errors of calls.
"""

import math
from typing import Final, NamedTuple

from e2ecross.wire.service_calls import CONTENT_TYPE
from e2ecross.wire.service_errors import ErrorBody, Failure

__all__ = [
    "Reply",
    "bad_content_type",
    "failed",
    "no_length",
    "not_found",
    "succeeded",
    "too_large",
    "too_short",
    "too_slow",
    "unauthorized",
    "unavailable",
    "wait_first",
    "wrong_method",
]

_MS: Final = 1000
_REFUSED: Final = "backend_refused"
_FAILED: Final = "backend_error"


class Reply(NamedTuple):
    """An answer.

    Attributes:
        status: of HTTP.
        body: encoded; empty: none.
        code: for log and metrics.
        headers: beside those that every answer has.
        closes: whether the connection ends with it, because nobody knows how much is still to come.
    """

    status: int
    body: bytes = b""
    code: str = ""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    closes: bool = False

    def head(self, request_id: str) -> list[tuple[bytes, bytes]]:
        """Return all headers."""
        found = [
            (b"content-length", str(len(self.body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-request-id", request_id.encode()),
            *self.headers,
        ]
        if self.body or self.status == 200:
            found.append((b"content-type", CONTENT_TYPE.encode()))
        if self.closes:
            found.append((b"connection", b"close"))
        return found


def succeeded(body: bytes) -> Reply:
    """Return the answer of a call."""
    return Reply(200, body, "ok")


def failed(failure: Failure) -> Reply:
    """Return the answer of a call that has failed."""
    if failure.status == 401:
        return unauthorized()
    if failure.status == 503:
        return unavailable(failure.text)
    return _error(failure.status, ErrorBody(failure.code, failure.text))


def unauthorized() -> Reply:
    """No token, a malformed one, or one that is nobody's: the same for all."""
    text = (
        "no device is registered with this token: register it, or use the token that it was "
        "registered with"
    )
    body = ErrorBody("not_registered", text)
    return _error(401, body, (b"www-authenticate", b"Bearer"))


def unavailable(text: str) -> Reply:
    """The relay cannot do it now."""
    body = ErrorBody(_FAILED, text, _MS)
    return _error(503, body, (b"retry-after", b"1"))


def wait_first(seconds: float) -> Reply:
    """Too many requests."""
    whole = math.ceil(seconds)
    body = ErrorBody(_FAILED, f"too many requests: wait {whole} s", math.ceil(seconds * _MS))
    return _error(429, body, (b"retry-after", str(whole).encode()))


def too_large(largest: int) -> Reply:
    """The body is larger than any of this call."""
    body = ErrorBody(_REFUSED, f"the request is larger than {largest} bytes")
    return _error(413, body, closes=True)


def no_length() -> Reply:
    """There is no Content-Length."""
    return _error(411, ErrorBody(_REFUSED, "the request lacks its Content-Length"), closes=True)


def too_slow() -> Reply:
    """The body has not come in time."""
    return _error(408, ErrorBody(_FAILED, "the request has not come in time"), closes=True)


def bad_content_type() -> Reply:
    """Somebody speaks something else."""
    return Reply(415, code="415", closes=True)


def too_short() -> Reply:
    """The body has ended before its Content-Length."""
    body = ErrorBody("invalid_argument", "the body is shorter than its Content-Length")
    return _error(400, body, closes=True)


def wrong_method() -> Reply:
    """Somebody does something else than POST."""
    return Reply(405, code="405", headers=((b"allow", b"POST"),), closes=True)


def not_found() -> Reply:
    """There is nothing at this path."""
    return Reply(404, code="404", closes=True)


def _error(
    status: int, body: ErrorBody, *headers: tuple[bytes, bytes], closes: bool = False
) -> Reply:
    return Reply(status, body.encode(), body.code, headers, closes)
