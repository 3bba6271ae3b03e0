# SPDX-License-Identifier: Apache-2.0
"""`RetryRequest`, content kind 2^31 + 1: a message could not be read."""

import re
from dataclasses import dataclass
from typing import Final

from e2ecross.arguments import require_bytes, require_type, require_whole_number
from e2ecross.crypto.keys import PUBLIC_KEY_BYTES
from e2ecross.errors import InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.content.kind import ContentKind, parse_body
from e2ecross.wire.encoding import serialize
from e2ecross.wire.limits import MESSAGE_ID_BYTES

__all__ = ["RETRY_REQUEST", "RetryRequest"]

_REASON: Final = re.compile("[a-z_]{1,64}")


@dataclass(frozen=True, slots=True)
class RetryRequest:
    """One client tells another that a message of theirs could not be read; `Client` answers.

    Attributes:
        message_id: of the envelope that failed, 16 bytes.
        ratchet_key: of the Signal message in it, 33 bytes, or None when it could not be told.
        counter: of that message, 0 to 2^32-1; 0 without a ratchet key.
        reason: `code` of the error: 1 to 64 of a-z and _.

    Raises:
        InvalidArgument: a field has the wrong type, length or value.
    """

    message_id: bytes
    ratchet_key: bytes | None
    counter: int
    reason: str

    def __post_init__(self) -> None:
        require_bytes("message_id", self.message_id, MESSAGE_ID_BYTES)
        if self.ratchet_key is not None:
            require_bytes("ratchet_key", self.ratchet_key, PUBLIC_KEY_BYTES)
        require_whole_number("counter", self.counter)
        if self.ratchet_key is None and self.counter:
            raise InvalidArgument("counter must be 0 without a ratchet_key")
        require_type("reason", self.reason, str)
        if not _REASON.fullmatch(self.reason):
            raise InvalidArgument("reason must be 1 to 64 of a-z and _")


def _encode(content: RetryRequest) -> bytes:
    return serialize(
        content_pb2.RetryRequest(
            message_id=content.message_id,
            ratchet_key=content.ratchet_key or b"",
            counter=content.counter,
            reason=content.reason,
        )
    )


def _decode(body: bytes) -> RetryRequest:
    fields = parse_body(content_pb2.RetryRequest, body, "a retry request")
    return RetryRequest(
        fields.message_id, fields.ratchet_key or None, fields.counter, fields.reason
    )


RETRY_REQUEST: Final = ContentKind(2**31 + 1, (RetryRequest,), _encode, _decode)
