# SPDX-License-Identifier: Apache-2.0
"""Errors of calls over a network: status, code and text, and which exception stands for them.

Rules:
- A class is chosen by status and code together; any other pair is a `BackendError`.
- What a stranger says of an error is cut to 200 characters of printable ASCII.

Source: docs/service.md, errors of calls.
"""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from e2ecross.errors import (
    BackendError,
    BackendRefused,
    BlobGone,
    DecodeError,
    E2ECrossError,
    InvalidArgument,
    InvalidKey,
    NotRegistered,
    UnsupportedVersion,
)
from e2ecross.wire._pb.e2ecross.v1 import service_pb2
from e2ecross.wire.encoding import parse, serialize
from e2ecross.wire.service_encoding import clean_text, text_of

__all__ = ["MAX_ERROR_BYTES", "ErrorBody", "Failure", "exception_of", "failure_of"]

MAX_ERROR_BYTES: Final = 64 * 1024
"""The largest body of an error that a client reads."""

BAD_REQUEST: Final = 400
UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
GONE: Final = 410
UNAVAILABLE: Final = 503
INTERNAL: Final = 500


class Failure(NamedTuple):
    """How an error is answered.

    Attributes:
        status: of HTTP.
        code: in the body.
        text: for people; of our own errors alone.
    """

    status: int
    code: str
    text: str


_STATUS: Final[dict[type[E2ECrossError], int]] = {
    DecodeError: BAD_REQUEST,
    UnsupportedVersion: BAD_REQUEST,
    InvalidKey: BAD_REQUEST,
    InvalidArgument: BAD_REQUEST,
    NotRegistered: UNAUTHORIZED,
    BackendRefused: FORBIDDEN,
    BlobGone: GONE,
    BackendError: UNAVAILABLE,
}
"""The errors that a call ends with, exactly these classes; any other is a fault of the relay."""

_RAISED: Final[dict[tuple[int, str], type[E2ECrossError]]] = {
    (status, kind.code): kind for kind, status in _STATUS.items() if kind is not InvalidArgument
} | {(status, BackendRefused.code): BackendRefused for status in (411, 413)}


# From the first separator to the last one before the cause, behind a colon or in brackets.
_FOLDERS: Final = re.compile(r"(?:[A-Za-z]:)?[/\\](?:[^:(]*[/\\])?")


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The body of an answer that is an error.

    Attributes:
        code: of the exception.
        text: for people.
        retry_after_ms: when to ask again, milliseconds; 0: not told.
    """

    code: str
    text: str = ""
    retry_after_ms: int = 0

    def encode(self) -> bytes:
        """Return the body."""
        return serialize(
            service_pb2.ErrorBody(
                code=self.code, text=self.text, retry_after_ms=self.retry_after_ms
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the body; its text is cut and made printable.

        Raises:
            DecodeError: malformed.
        """
        fields = parse(service_pb2.ErrorBody, data, "an error", MAX_ERROR_BYTES)
        return cls(fields.code, clean_text(fields.text), fields.retry_after_ms)


def failure_of(error: E2ECrossError) -> Failure:
    """Say how an error of the relay is answered; what no call ends with is a fault, without text.

    The text of an error names addresses at most; that of one of the relay itself,
    its files, of which the folders are left out.
    """
    status = _STATUS.get(type(error))
    if status is None:
        return Failure(INTERNAL, BackendError.code, "")
    if status == UNAVAILABLE:
        return Failure(status, error.code, _FOLDERS.sub("", text_of(error), count=1))
    return Failure(status, error.code, text_of(error))


def exception_of(status: int, data: bytes) -> E2ECrossError:
    """Return what an answer with another status than 200 stands for; never fails."""
    try:
        body = ErrorBody.decode(data)
    except DecodeError:
        return BackendError(f"the back end answered with status {status}, and says nothing else")
    kind = _RAISED.get((status, body.code))
    if kind is None:
        said = f": {body.text}" if body.text else ""
        return BackendError(f"the back end answered with status {status}{said}")
    return kind(body.text or f"the back end answered with status {status}")
