# SPDX-License-Identifier: Apache-2.0
"""`Pins`, content kind 2^31 + 17: whose account keys the phone has accepted.

For the other devices of its account, so that a relay cannot stand between one of them and an old
contact.
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.address import UserId
from e2ecross.arguments import require_bytes, require_type
from e2ecross.crypto.keys import PUBLIC_KEY_BYTES, PublicKey, decode_public_key
from e2ecross.errors import InvalidArgument, InvalidKey
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.content.kind import ContentKind, parse_body, require_body_size, require_length
from e2ecross.wire.encoding import decode_user, encode_user, serialize
from e2ecross.wire.limits import MAX_PINS

__all__ = ["PINS", "Pin", "Pins"]


@dataclass(frozen=True, slots=True)
class Pin:
    """The accepted account key of one account.

    Attributes:
        user: whose.
        account_key: 33 bytes, a public key that agreements can be made with.
        verified: it was compared by safety number.

    Raises:
        InvalidArgument: a field has the wrong type, length or value.
    """

    user: UserId
    account_key: PublicKey
    verified: bool

    def __post_init__(self) -> None:
        require_type("user", self.user, UserId)
        require_bytes("account_key", self.account_key, PUBLIC_KEY_BYTES)
        require_type("verified", self.verified, bool)
        try:
            decode_public_key(self.account_key)
        except InvalidKey as error:
            raise InvalidArgument(f"account_key cannot be used: {error}") from error


@dataclass(frozen=True, slots=True)
class Pins:
    """Some accepted account keys, from device 1 to the other devices of its account.

    Attributes:
        pins: 1 to 500, together at most 69,632 bytes encoded: where names are long, fewer fit.

    Raises:
        InvalidArgument: a field has the wrong type or length, or they are too long together.
    """

    pins: tuple[Pin, ...]

    def __post_init__(self) -> None:
        require_length("pins", self.pins, MAX_PINS)
        for pin in self.pins:
            require_type("pins", pin, Pin)
        require_body_size("pins", len(_encode(self)))


def _encode(content: Pins) -> bytes:
    return serialize(
        content_pb2.Pins(
            pins=[
                content_pb2.Pin(
                    user=encode_user(pin.user), account_key=pin.account_key, verified=pin.verified
                )
                for pin in content.pins
            ]
        )
    )


def _decode(body: bytes) -> Pins:
    fields = parse_body(content_pb2.Pins, body, "a message of pins")
    return Pins(
        tuple(
            Pin(decode_user(pin.user), PublicKey(pin.account_key), pin.verified)
            for pin in fields.pins
        )
    )


PINS: Final = ContentKind(2**31 + 17, (Pins,), _encode, _decode)
