# SPDX-License-Identifier: Apache-2.0
"""Published keys: what a device uploads, and what the back end hands out of it.

Rules:
- Public values only.
- A `PreKeyBundle` is plain bytes: the bundle of any Signal peer fits. Its keys and its signature
  are checked where they are used (`protocol/x3dh.py`), before any state exists.
- Exactly one encoding.

Source: X3DH (revision 1, 2016-11-04) sections 3.2 and 3.3; docs/wire-format.md, bundles.
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.address import Address
from e2ecross.crypto.keys import PUBLIC_KEY_BYTES, decode_public_key
from e2ecross.crypto.xeddsa import SIGNATURE_BYTES
from e2ecross.errors import DecodeError, InvalidArgument, UnsupportedVersion
from e2ecross.wire._pb.e2ecross.v1 import bundle_pb2
from e2ecross.wire.arguments import require_bytes, require_type, require_whole_number
from e2ecross.wire.encoding import (
    decode_address,
    encode_address,
    parse,
    require_canonical,
    serialize,
)
from e2ecross.wire.limits import MAX_BUNDLE_BYTES, MAX_ONE_TIME_PREKEYS, MAX_PUBLISHED_KEYS_BYTES

__all__ = ["OneTimePrekey", "PreKeyBundle", "PublishedKeys", "SignedPrekey"]

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class SignedPrekey:
    """The public part of a signed prekey.

    Attributes:
        id: 0 to 2^32-1; those that we issue have 24 bits and are not 0.
        public_key: 33 bytes.
        signature: XEdDSA by the identity key over `public_key`, 64 bytes.
    """

    id: int
    public_key: bytes
    signature: bytes

    def __post_init__(self) -> None:
        require_whole_number("id", self.id)
        require_bytes("public_key", self.public_key, PUBLIC_KEY_BYTES)
        require_bytes("signature", self.signature, SIGNATURE_BYTES)


@dataclass(frozen=True, slots=True)
class OneTimePrekey:
    """The public part of a one-time prekey.

    Attributes:
        id: 1 to 2^32-1.
        public_key: 33 bytes.
    """

    id: int
    public_key: bytes

    def __post_init__(self) -> None:
        require_whole_number("id", self.id, low=1)
        require_bytes("public_key", self.public_key, PUBLIC_KEY_BYTES)


@dataclass(frozen=True, slots=True)
class PublishedKeys:
    """What a device uploads to the back end.

    Attributes:
        address: the device.
        registration_id: the device's, 0 to 2^32-1.
        identity_key: 33 bytes.
        signed_prekey: the current one.
        one_time_prekeys: new ones, at most 1000, none published before.

    Raises:
        InvalidArgument: a field has the wrong type or length.
    """

    address: Address
    registration_id: int
    identity_key: bytes
    signed_prekey: SignedPrekey
    one_time_prekeys: tuple[OneTimePrekey, ...]

    def __post_init__(self) -> None:
        require_type("address", self.address, Address)
        require_whole_number("registration_id", self.registration_id)
        require_bytes("identity_key", self.identity_key, PUBLIC_KEY_BYTES)
        require_type("signed_prekey", self.signed_prekey, SignedPrekey)
        require_type("one_time_prekeys", self.one_time_prekeys, tuple)
        for prekey in self.one_time_prekeys:
            require_type("one_time_prekeys", prekey, OneTimePrekey)
        if len(self.one_time_prekeys) > MAX_ONE_TIME_PREKEYS:
            raise InvalidArgument(f"one_time_prekeys holds more than {MAX_ONE_TIME_PREKEYS}")
        if len({prekey.id for prekey in self.one_time_prekeys}) < len(self.one_time_prekeys):
            raise InvalidArgument("one_time_prekeys holds an id twice")

    def encode(self) -> bytes:
        """Return the one encoding, at most 64 KiB."""
        return serialize(
            bundle_pb2.PublishedKeys(
                version=_VERSION,
                address=encode_address(self.address),
                registration_id=self.registration_id,
                identity_key=self.identity_key,
                signed_prekey=_encode_signed_prekey(self.signed_prekey),
                one_time_prekeys=[
                    bundle_pb2.OneTimePrekey(id=prekey.id, public_key=prekey.public_key)
                    for prekey in self.one_time_prekeys
                ],
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "PublishedKeys":
        """Read and check a publication; signatures are not verified.

        Raises:
            DecodeError: over 64 KiB, malformed, not in its one encoding, or a field out of range.
            UnsupportedVersion: of a later version.
            InvalidKey: a key is not acceptable.
        """
        what = "a publication of keys"
        fields = parse(bundle_pb2.PublishedKeys(), data, what, MAX_PUBLISHED_KEYS_BYTES)
        _check_version(fields.version, what)
        require_canonical(fields, data, what)
        for key in (
            fields.identity_key,
            fields.signed_prekey.public_key,
            *(prekey.public_key for prekey in fields.one_time_prekeys),
        ):
            decode_public_key(key)
        try:
            return cls(
                address=decode_address(fields.address),
                registration_id=fields.registration_id,
                identity_key=fields.identity_key,
                signed_prekey=SignedPrekey(
                    fields.signed_prekey.id,
                    fields.signed_prekey.public_key,
                    fields.signed_prekey.signature,
                ),
                one_time_prekeys=tuple(
                    OneTimePrekey(prekey.id, prekey.public_key)
                    for prekey in fields.one_time_prekeys
                ),
            )
        except InvalidArgument as error:
            raise DecodeError(f"{what} is not acceptable: {error}") from error


@dataclass(frozen=True, slots=True)
class PreKeyBundle:
    """What an initiator needs to start a session with a device; from any Signal peer.

    Attributes:
        address: the device that it is a bundle of.
        registration_id: the device's, 0 to 2^32-1.
        identity_key: 33 bytes.
        signed_prekey_id: 0 to 2^32-1.
        signed_prekey: public key, 33 bytes.
        signed_prekey_signature: XEdDSA by the identity key over `signed_prekey`, 64 bytes.
        one_time_prekey_id: 1 to 2^32-1, or None.
        one_time_prekey: public key, 33 bytes, or None; together with its id.

    Raises:
        InvalidArgument: a field has the wrong type, or only half of a one-time prekey is given.
            Lengths, keys and the signature are checked when a session is started.
    """

    address: Address
    registration_id: int
    identity_key: bytes
    signed_prekey_id: int
    signed_prekey: bytes
    signed_prekey_signature: bytes
    one_time_prekey_id: int | None = None
    one_time_prekey: bytes | None = None

    def __post_init__(self) -> None:
        require_type("address", self.address, Address)
        require_whole_number("registration_id", self.registration_id)
        require_bytes("identity_key", self.identity_key)
        require_whole_number("signed_prekey_id", self.signed_prekey_id)
        require_bytes("signed_prekey", self.signed_prekey)
        require_bytes("signed_prekey_signature", self.signed_prekey_signature)
        if (self.one_time_prekey_id is None) != (self.one_time_prekey is None):
            raise InvalidArgument("one_time_prekey_id and one_time_prekey come together or not")
        if self.one_time_prekey_id is not None:
            require_whole_number("one_time_prekey_id", self.one_time_prekey_id)
            require_bytes("one_time_prekey", self.one_time_prekey)

    def encode(self) -> bytes:
        """Return the one encoding, at most 4 KiB.

        Raises:
            InvalidArgument: the bundle holds a field so long that it cannot be one.
        """
        fields = bundle_pb2.PreKeyBundle(
            version=_VERSION,
            address=encode_address(self.address),
            registration_id=self.registration_id,
            identity_key=self.identity_key,
            signed_prekey=bundle_pb2.SignedPrekey(
                id=self.signed_prekey_id,
                public_key=self.signed_prekey,
                signature=self.signed_prekey_signature,
            ),
        )
        if self.one_time_prekey_id is not None and self.one_time_prekey is not None:
            fields.one_time_prekey.id = self.one_time_prekey_id
            fields.one_time_prekey.public_key = self.one_time_prekey
        data = serialize(fields)
        if len(data) > MAX_BUNDLE_BYTES:
            raise InvalidArgument(f"the bundle has more than {MAX_BUNDLE_BYTES} bytes")
        return data

    @classmethod
    def decode(cls, data: bytes) -> "PreKeyBundle":
        """Read a bundle; its keys and its signature are not checked yet.

        Raises:
            DecodeError: over 4 KiB, malformed, or not in its one encoding.
            UnsupportedVersion: of a later version.
        """
        what = "a prekey bundle"
        fields = parse(bundle_pb2.PreKeyBundle(), data, what, MAX_BUNDLE_BYTES)
        _check_version(fields.version, what)
        require_canonical(fields, data, what)
        if not fields.HasField("signed_prekey"):
            raise DecodeError(f"{what} lacks its signed prekey")
        one_time = fields.one_time_prekey if fields.HasField("one_time_prekey") else None
        return cls(
            address=decode_address(fields.address),
            registration_id=fields.registration_id,
            identity_key=fields.identity_key,
            signed_prekey_id=fields.signed_prekey.id,
            signed_prekey=fields.signed_prekey.public_key,
            signed_prekey_signature=fields.signed_prekey.signature,
            one_time_prekey_id=None if one_time is None else one_time.id,
            one_time_prekey=None if one_time is None else one_time.public_key,
        )


def _encode_signed_prekey(prekey: SignedPrekey) -> bundle_pb2.SignedPrekey:
    return bundle_pb2.SignedPrekey(
        id=prekey.id, public_key=prekey.public_key, signature=prekey.signature
    )


def _check_version(version: int, what: str) -> None:
    if version != _VERSION:
        raise UnsupportedVersion(f"{what} has version {version}, only {_VERSION} is supported")
