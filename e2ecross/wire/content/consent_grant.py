# SPDX-License-Identifier: Apache-2.0
"""`ConsentGrant`, content kind 10: what its recipient may send. What it grants shows in no repr."""

import hmac
from dataclasses import dataclass
from typing import ClassVar, Final

from e2ecross.arguments import require_bytes, require_type, require_whole_number
from e2ecross.crypto.secret import Secret
from e2ecross.errors import InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.content.kind import ContentKind, parse_body, require_length
from e2ecross.wire.encoding import serialize
from e2ecross.wire.exchange import CONSENT_BYTES

__all__ = [
    "CONSENT_GRANT",
    "GRANT_ID_BYTES",
    "ConsentGrant",
    "grant_from_fields",
    "grant_to_fields",
]

GRANT_ID_BYTES: Final = 16
_MAX_PER_DAY: Final = 1_000
_MAX_UINT64: Final = 2**64 - 1


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class ConsentGrant(Secret):
    """Who gets this may send messages of these purposes to the account that it is of.

    Equal to another one that says the same. It is not signed: a signature would prove to anyone
    who is a customer.

    Attributes:
        grant_id: 16 random bytes, by which the two ends name it.
        purposes: of `SERVICE`, `UTILITY`, `MARKETING` and `AUTHENTICATION`, ascending, 1 to 4.
        max_per_day: messages with a purpose in a day of UTC, 1 to 1,000.
        expires_at_ms: until when, milliseconds since 1970 by the recipient's clock.
        number: 0 to 2^32-1, one above that of the grant or revoke before it to the same account:
            the greatest counts.
        token: 32 random bytes, secret: what the recipient shows the back end.

    Raises:
        InvalidArgument: a field has the wrong type, length, value or order.
    """

    SERVICE: ClassVar = 1
    UTILITY: ClassVar = 2
    MARKETING: ClassVar = 3
    AUTHENTICATION: ClassVar = 4

    grant_id: bytes
    purposes: tuple[int, ...]
    max_per_day: int
    expires_at_ms: int
    number: int
    token: bytes

    def __post_init__(self) -> None:
        require_bytes("grant_id", self.grant_id, GRANT_ID_BYTES)
        require_type("purposes", self.purposes, tuple)
        for purpose in self.purposes:
            require_whole_number("purposes", purpose, self.SERVICE, self.AUTHENTICATION)
        require_length("purposes", self.purposes)
        if list(self.purposes) != sorted({*self.purposes}):
            raise InvalidArgument("purposes must be ascending, no two alike")
        require_whole_number("max_per_day", self.max_per_day, 1, _MAX_PER_DAY)
        require_whole_number("expires_at_ms", self.expires_at_ms, high=_MAX_UINT64)
        require_whole_number("number", self.number)
        require_bytes("token", self.token, CONSENT_BYTES)

    def __repr__(self) -> str:
        return f"ConsentGrant(grant_id={self.grant_id!r}, number={self.number})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ConsentGrant):
            return NotImplemented
        return hmac.compare_digest(_encode(self), _encode(other))

    def __hash__(self) -> int:
        return hash((self.grant_id, self.number))


def grant_to_fields(grant: ConsentGrant) -> content_pb2.ConsentGrant:
    """The protobuf form of a grant."""
    return content_pb2.ConsentGrant(
        grant_id=grant.grant_id,
        purposes=grant.purposes,
        max_per_day=grant.max_per_day,
        expires_at_ms=grant.expires_at_ms,
        number=grant.number,
        token=grant.token,
    )


def grant_from_fields(fields: content_pb2.ConsentGrant) -> ConsentGrant:
    """Check a grant from outside; raises as `ConsentGrant`."""
    return ConsentGrant(
        fields.grant_id,
        tuple(fields.purposes),
        fields.max_per_day,
        fields.expires_at_ms,
        fields.number,
        fields.token,
    )


def _encode(content: ConsentGrant) -> bytes:
    return serialize(grant_to_fields(content))


def _decode(body: bytes) -> ConsentGrant:
    return grant_from_fields(parse_body(content_pb2.ConsentGrant, body, "a grant of consent"))


CONSENT_GRANT: Final = ContentKind(10, (ConsentGrant,), _encode, _decode)
