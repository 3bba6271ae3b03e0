# SPDX-License-Identifier: Apache-2.0
"""Linking a device: the code that it shows, and the three messages that follow.

Rules:
- A code has one spelling; it goes by the picture alone, never through a back end.
- Exactly one encoding of each message, and of what is sealed in it.

Source: docs/wire-format.md, linking.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Final

from e2ecross.address import Address, App, require_app
from e2ecross.arguments import require_type
from e2ecross.crypto.keys import PublicKey, decode_public_key
from e2ecross.crypto.secret import Secret
from e2ecross.crypto.xeddsa import SIGNATURE_BYTES
from e2ecross.errors import DecodeError, InvalidArgument, UnsupportedVersion
from e2ecross.wire._pb.e2ecross.v1 import devices_pb2
from e2ecross.wire.device_list import PRIMARY, SignedDeviceList
from e2ecross.wire.encoding import (
    decode_address,
    encode_address,
    parse,
    require_canonical,
    serialize,
)
from e2ecross.wire.limits import (
    MAX_CAPABILITIES_BYTES,
    MAX_DEVICE_NAME_BYTES,
    MAX_LINK_CODE_CHARS,
    MAX_LINK_MESSAGE_BYTES,
)

__all__ = [
    "LINK_SECRET_BYTES",
    "TOKEN_HASH_BYTES",
    "LinkAnswer",
    "LinkCode",
    "LinkMessage",
    "LinkOffer",
    "LinkResult",
    "require_device_name",
]

LINK_SECRET_BYTES: Final = 32
TOKEN_HASH_BYTES: Final = 32
_VERSION: Final = 1
_PREFIX: Final = "e2x1:"
_BASE64URL: Final = re.compile("[A-Za-z0-9_-]*", re.ASCII)
_CODE: Final = "a link code"
_MESSAGE: Final = "a link message"
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class LinkCode(Secret):
    """What a new device shows as a QR code.

    Attributes:
        app: the app that it is to be linked to an account of.
        ephemeral_key: 33 bytes.
        secret: 32 bytes, secret.
    """

    app: App | str
    ephemeral_key: PublicKey
    secret: bytes

    def encode(self) -> bytes:
        """Return the code's one encoding."""
        return serialize(
            devices_pb2.LinkCode(
                version=_VERSION,
                app=self.app,
                ephemeral_key=self.ephemeral_key,
                secret=self.secret,
            )
        )

    def to_text(self) -> str:
        """Return its text: 113 characters for `whatsapp`, at most 256."""
        return _to_text(self.encode())

    @classmethod
    def from_text(cls, text: str) -> "LinkCode":
        """Read the text of a code.

        Raises:
            InvalidArgument: it is not text.
            DecodeError: over 256 characters, or not a code in its one spelling.
            UnsupportedVersion: a code of a later version.
            InvalidKey: its key is malformed, not canonical or of low order.
        """
        require_type("code", text, str)
        # What was scanned may be anything: an address of a page, a business card.
        encoded = text.removeprefix(_PREFIX)
        if len(text) > MAX_LINK_CODE_CHARS or not text.startswith(_PREFIX):
            raise DecodeError(f"{_CODE} begins with {_PREFIX}, and has no more than 256 characters")
        if not _BASE64URL.fullmatch(encoded) or len(encoded) % 4 == 1:
            raise DecodeError(f"{_CODE} is base64url without padding behind {_PREFIX}")
        data = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        if _to_text(data) != text:  # the last character may have bits that nothing needs
            raise DecodeError(f"{_CODE} is not in its one spelling")
        return cls.decode(data)

    @classmethod
    def decode(cls, data: bytes) -> "LinkCode":
        """Read an encoded code; raises as `from_text`."""
        fields = parse(devices_pb2.LinkCode, data, _CODE, MAX_LINK_CODE_CHARS)
        _require_version(fields.version, _CODE)
        require_canonical(fields, data, _CODE)
        if fields.version != _VERSION or len(fields.secret) != LINK_SECRET_BYTES:
            raise DecodeError(f"{_CODE} lacks its version or its secret")
        try:
            app = require_app(fields.app)
        except InvalidArgument as error:
            raise DecodeError(f"{_CODE} names no app: {error}") from error
        return cls(app, decode_public_key(fields.ephemeral_key), fields.secret)


@dataclass(frozen=True, slots=True)
class LinkMessage:
    """One of the three messages, as a back end carries it.

    Attributes:
        ephemeral_key: of device 1, 33 bytes, in an offer; else None.
        sealed: what is in it.
    """

    ephemeral_key: PublicKey | None
    sealed: bytes

    def encode(self) -> bytes:
        """Return the message's one encoding."""
        return serialize(
            devices_pb2.LinkMessage(
                version=_VERSION, ephemeral_key=self.ephemeral_key or b"", sealed=self.sealed
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "LinkMessage":
        """Read a message.

        Raises:
            DecodeError: over 10,240 bytes, malformed, not in its one encoding, or empty.
            UnsupportedVersion: a message of a later version.
            InvalidKey: its key is malformed, not canonical or of low order.
        """
        fields = parse(devices_pb2.LinkMessage, data, _MESSAGE, MAX_LINK_MESSAGE_BYTES)
        _require_version(fields.version, _MESSAGE)
        require_canonical(fields, data, _MESSAGE)
        if fields.version != _VERSION or not fields.sealed:
            raise DecodeError(f"{_MESSAGE} lacks its version, or what is sealed in it")
        key = decode_public_key(fields.ephemeral_key) if fields.ephemeral_key else None
        return cls(key, fields.sealed)


@dataclass(frozen=True, slots=True)
class LinkOffer:
    """What device 1 of an account offers a new device.

    Attributes:
        address: the one that the new device is to have, not device 1.
        account_key: 33 bytes.
    """

    address: Address
    account_key: PublicKey

    def encode(self) -> bytes:
        """Return the offer's one encoding."""
        return serialize(
            devices_pb2.LinkOffer(
                address=encode_address(self.address), account_key=self.account_key
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "LinkOffer":
        """Read an offer.

        Raises:
            DecodeError: malformed, not in its one encoding, or for device 1.
            InvalidKey: the account's key is malformed, not canonical or of low order.
        """
        what = "an offer to link"
        fields = parse(devices_pb2.LinkOffer, data, what, MAX_LINK_MESSAGE_BYTES)
        require_canonical(fields, data, what)
        address = decode_address(fields.address)
        if address.device == PRIMARY:
            raise DecodeError(f"{what} is for device {PRIMARY}, which is linked to none")
        return cls(address, decode_public_key(fields.account_key))


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class LinkAnswer(Secret):
    """What a new device answers.

    Attributes:
        identity_key: its own, 33 bytes.
        device_signature: its consent to belong to the account, 64 bytes.
        token_hash: SHA-256 of what it will show at its back end, 32 bytes.
        name: what it calls itself, at most 64 bytes in UTF-8.
        capabilities: what it understands, encoded, at most 256 bytes; empty: not told.
    """

    identity_key: PublicKey
    device_signature: bytes
    token_hash: bytes
    name: str
    capabilities: bytes = b""

    def encode(self) -> bytes:
        """Return the answer's one encoding."""
        return serialize(
            devices_pb2.LinkAnswer(
                identity_key=self.identity_key,
                device_signature=self.device_signature,
                token_hash=self.token_hash,
                name=self.name,
                capabilities=self.capabilities,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "LinkAnswer":
        """Read an answer; its consent is not verified.

        Raises:
            DecodeError: malformed, not in its one encoding, or a field has the wrong length.
            InvalidKey: its key is malformed, not canonical or of low order.
        """
        what = "an answer to an offer to link"
        fields = parse(devices_pb2.LinkAnswer, data, what, MAX_LINK_MESSAGE_BYTES)
        require_canonical(fields, data, what)
        if (
            len(fields.device_signature) != SIGNATURE_BYTES
            or len(fields.token_hash) != TOKEN_HASH_BYTES
        ):
            raise DecodeError(f"{what} has a signature or a hash of wrong length")
        if (
            len(fields.name.encode()) > MAX_DEVICE_NAME_BYTES
            or len(fields.capabilities) > MAX_CAPABILITIES_BYTES
        ):
            raise DecodeError(f"{what} has a name or capabilities that are too long")
        return cls(
            decode_public_key(fields.identity_key),
            fields.device_signature,
            fields.token_hash,
            fields.name,
            fields.capabilities,
        )


@dataclass(frozen=True, slots=True)
class LinkResult:
    """What ends an attempt: the list in which the new device stands.

    Attributes:
        device_list: not verified.
    """

    device_list: SignedDeviceList

    def encode(self) -> bytes:
        """Return the result's one encoding."""
        return serialize(devices_pb2.LinkResult(device_list=self.device_list.encode()))

    @classmethod
    def decode(cls, data: bytes) -> "LinkResult":
        """Read a result; raises as `SignedDeviceList.decode`."""
        what = "the result of linking"
        fields = parse(devices_pb2.LinkResult, data, what, MAX_LINK_MESSAGE_BYTES)
        require_canonical(fields, data, what)
        return cls(SignedDeviceList.decode(fields.device_list))


def require_device_name(name: str) -> None:
    """Raise `InvalidArgument` unless a device may call itself so: at most 64 bytes in UTF-8."""
    require_type("name", name, str)
    if _LONE_SURROGATE.search(name):
        raise InvalidArgument("name holds a character that UTF-8 cannot encode")
    if len(name.encode()) > MAX_DEVICE_NAME_BYTES:
        raise InvalidArgument(f"name has more than {MAX_DEVICE_NAME_BYTES} bytes in UTF-8")


def _to_text(code: bytes) -> str:
    return _PREFIX + urlsafe_b64encode(code).rstrip(b"=").decode("ascii")


def _require_version(version: int, what: str) -> None:
    if version > _VERSION:
        raise UnsupportedVersion(
            f"{what} has version {version}, only 1 is supported: upgrade e2ecross"
        )
