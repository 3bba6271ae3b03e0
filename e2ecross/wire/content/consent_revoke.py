# SPDX-License-Identifier: Apache-2.0
"""`ConsentRevoke`, content kind 11: what was granted is taken back."""

from dataclasses import dataclass
from typing import Final

from e2ecross.arguments import require_bytes, require_whole_number
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.content.consent_grant import GRANT_ID_BYTES
from e2ecross.wire.content.kind import ContentKind, parse_body
from e2ecross.wire.encoding import serialize

__all__ = ["CONSENT_REVOKE", "ConsentRevoke"]


@dataclass(frozen=True, slots=True)
class ConsentRevoke:
    """Nothing with a purpose is to be sent to the account that this is of any more.

    Attributes:
        grant_id: of the grant, 16 bytes.
        number: 0 to 2^32-1, that of the grant or a greater one: which counts is told by the number
            alone.

    Raises:
        InvalidArgument: a field has the wrong type, length or value.
    """

    grant_id: bytes
    number: int

    def __post_init__(self) -> None:
        require_bytes("grant_id", self.grant_id, GRANT_ID_BYTES)
        require_whole_number("number", self.number)


def _encode(content: ConsentRevoke) -> bytes:
    return serialize(content_pb2.ConsentRevoke(grant_id=content.grant_id, number=content.number))


def _decode(body: bytes) -> ConsentRevoke:
    fields = parse_body(content_pb2.ConsentRevoke, body, "a revoke of consent")
    return ConsentRevoke(fields.grant_id, fields.number)


CONSENT_REVOKE: Final = ContentKind(11, (ConsentRevoke,), _encode, _decode)
