# SPDX-License-Identifier: Apache-2.0
"""Published keys: what a device uploads, and what the back end hands out of it.

Rules:
- Public values only.
- A `PreKeyBundle` is plain bytes: the bundle of any Signal peer fits. Its keys and signatures are
  checked where they are used (`protocol/verified_bundle.py`), before any state exists.
- Exactly one encoding. Without Kyber keys it is that of releases which knew none. With them, a
  bundle and a publication have no field number in common that holds them: one is never read as
  the other.

Source: X3DH (revision 1, 2016-11-04) sections 3.2 and 3.3; PQXDH (revision 3, 2024-01-23) section
3.2; docs/wire-format.md, bundles.
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.address import Address
from e2ecross.arguments import require_bytes, require_type, require_whole_number
from e2ecross.crypto.kem import KEM_PUBLIC_KEY_BYTES, decode_kem_public_key
from e2ecross.crypto.keys import PUBLIC_KEY_BYTES, decode_public_key
from e2ecross.crypto.xeddsa import SIGNATURE_BYTES
from e2ecross.errors import DecodeError, InvalidArgument, UnsupportedVersion
from e2ecross.wire._pb.e2ecross.v1 import bundle_pb2
from e2ecross.wire.encoding import (
    decode_address,
    encode_address,
    parse,
    require_canonical,
    serialize,
)
from e2ecross.wire.limits import MAX_BUNDLE_BYTES, MAX_ONE_TIME_PREKEYS, MAX_PUBLISHED_KEYS_BYTES

__all__ = ["KyberPrekey", "OneTimePrekey", "PreKeyBundle", "PublishedKeys", "SignedPrekey"]

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
class KyberPrekey:
    """The public part of a Kyber-1024 prekey, one-time or last-resort.

    Attributes:
        id: 1 to 2^32-1.
        public_key: 1569 bytes.
        signature: XEdDSA by the identity key over `public_key`, 64 bytes.
    """

    id: int
    public_key: bytes
    signature: bytes

    def __post_init__(self) -> None:
        require_whole_number("id", self.id, low=1)
        require_bytes("public_key", self.public_key, KEM_PUBLIC_KEY_BYTES)
        require_bytes("signature", self.signature, SIGNATURE_BYTES)


@dataclass(frozen=True, slots=True)
class PublishedKeys:
    """What a device uploads to the back end.

    Attributes:
        address: the device.
        registration_id: the device's, 0 to 2^32-1.
        identity_key: 33 bytes.
        signed_prekey: the current one.
        one_time_prekeys: new ones, at most 1000, none published before.
        kyber_prekeys: new one-time ones, at most 1000, none published before.
        last_resort_kyber_prekey: the current one, handed out when no one-time one is left. None:
            the device offers no Kyber keys at all, so that `kyber_prekeys` is empty too.

    Raises:
        InvalidArgument: a field has the wrong type or length, there are too many prekeys, an id
            stands twice, or there are one-time Kyber prekeys without a last-resort one.
    """

    address: Address
    registration_id: int
    identity_key: bytes
    signed_prekey: SignedPrekey
    one_time_prekeys: tuple[OneTimePrekey, ...]
    kyber_prekeys: tuple[KyberPrekey, ...] = ()
    last_resort_kyber_prekey: KyberPrekey | None = None

    def __post_init__(self) -> None:
        require_type("address", self.address, Address)
        require_whole_number("registration_id", self.registration_id)
        require_bytes("identity_key", self.identity_key, PUBLIC_KEY_BYTES)
        require_type("signed_prekey", self.signed_prekey, SignedPrekey)
        _require_prekeys("one_time_prekeys", self.one_time_prekeys, OneTimePrekey)
        _require_prekeys("kyber_prekeys", self.kyber_prekeys, KyberPrekey)
        _require_different_ids("one_time_prekeys", self.one_time_prekeys)
        if self.last_resort_kyber_prekey is None:
            if self.kyber_prekeys:
                raise InvalidArgument("kyber_prekeys come with a last_resort_kyber_prekey")
            return
        require_type("last_resort_kyber_prekey", self.last_resort_kyber_prekey, KyberPrekey)
        kyber = (*self.kyber_prekeys, self.last_resort_kyber_prekey)
        _require_different_ids("kyber_prekeys", kyber)

    def bundle(self, one_time: int | None = None) -> "PreKeyBundle":
        """Return a bundle of these keys, as a back end makes one.

        Args:
            one_time: which of the one-time prekeys of either kind, from 0; each is for one bundle
                only. None: none of them, and the last-resort Kyber prekey.

        Raises:
            InvalidArgument: there are not so many.
        """
        prekey, kyber = None, self.last_resort_kyber_prekey
        if one_time is not None:
            require_whole_number("one_time", one_time, 0, len(self.one_time_prekeys) - 1)
            prekey = self.one_time_prekeys[one_time]
            if one_time < len(self.kyber_prekeys):
                kyber = self.kyber_prekeys[one_time]
        return PreKeyBundle(
            self.address,
            self.registration_id,
            self.identity_key,
            self.signed_prekey.id,
            self.signed_prekey.public_key,
            self.signed_prekey.signature,
            None if prekey is None else prekey.id,
            None if prekey is None else prekey.public_key,
            None if kyber is None else kyber.id,
            None if kyber is None else kyber.public_key,
            None if kyber is None else kyber.signature,
        )

    def encode(self) -> bytes:
        """Return the one encoding, at most 2 MiB."""
        fields = bundle_pb2.PublishedKeys(
            version=_VERSION,
            address=encode_address(self.address),
            registration_id=self.registration_id,
            identity_key=self.identity_key,
            signed_prekey=_encode_signed_prekey(self.signed_prekey),
            one_time_prekeys=[
                bundle_pb2.OneTimePrekey(id=prekey.id, public_key=prekey.public_key)
                for prekey in self.one_time_prekeys
            ],
            kyber_prekeys=[_encode_kyber_prekey(prekey) for prekey in self.kyber_prekeys],
        )
        if self.last_resort_kyber_prekey is not None:
            last_resort = _encode_kyber_prekey(self.last_resort_kyber_prekey)
            fields.last_resort_kyber_prekey.CopyFrom(last_resort)
        return serialize(fields)

    @classmethod
    def decode(cls, data: bytes) -> "PublishedKeys":
        """Read and check a publication; signatures are not verified.

        Raises:
            DecodeError: over 2 MiB, malformed, not in its one encoding, or a field out of range.
            UnsupportedVersion: of a later version.
            InvalidKey: a key is not acceptable.
        """
        what = "a publication of keys"
        fields = parse(bundle_pb2.PublishedKeys, data, what, MAX_PUBLISHED_KEYS_BYTES)
        _check_version(fields.version, what)
        require_canonical(fields, data, what)
        last_resort = (
            [fields.last_resort_kyber_prekey] if fields.HasField("last_resort_kyber_prekey") else []
        )
        for key in (
            fields.identity_key,
            fields.signed_prekey.public_key,
            *(prekey.public_key for prekey in fields.one_time_prekeys),
        ):
            decode_public_key(key)
        for prekey in (*fields.kyber_prekeys, *last_resort):
            decode_kem_public_key(prekey.public_key)
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
                kyber_prekeys=tuple(map(_decode_kyber_prekey, fields.kyber_prekeys)),
                last_resort_kyber_prekey=next(map(_decode_kyber_prekey, last_resort), None),
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
        kyber_prekey_id: 0 to 2^32-1, or None. With a Kyber prekey the session is of version 4.
        kyber_prekey: Kyber-1024 public key, 1569 bytes, or None; all three or none.
        kyber_prekey_signature: XEdDSA by the identity key over `kyber_prekey`, 64 bytes, or None.

    Raises:
        InvalidArgument: a field has the wrong type, or only part of a one-time prekey or of a
            Kyber prekey is given. Lengths, keys and signatures are checked when a session is
            started.
    """

    address: Address
    registration_id: int
    identity_key: bytes
    signed_prekey_id: int
    signed_prekey: bytes
    signed_prekey_signature: bytes
    one_time_prekey_id: int | None = None
    one_time_prekey: bytes | None = None
    kyber_prekey_id: int | None = None
    kyber_prekey: bytes | None = None
    kyber_prekey_signature: bytes | None = None

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
        kyber = (self.kyber_prekey_id, self.kyber_prekey, self.kyber_prekey_signature)
        if kyber.count(None) not in (0, len(kyber)):
            raise InvalidArgument(
                "kyber_prekey_id, kyber_prekey and kyber_prekey_signature come together or not"
            )
        if self.kyber_prekey_id is not None:
            require_whole_number("kyber_prekey_id", self.kyber_prekey_id)
            require_bytes("kyber_prekey", self.kyber_prekey)
            require_bytes("kyber_prekey_signature", self.kyber_prekey_signature)

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
        if self.kyber_prekey_id is not None:
            fields.kyber_prekey.id = self.kyber_prekey_id
            fields.kyber_prekey.public_key = self.kyber_prekey or b""
            fields.kyber_prekey.signature = self.kyber_prekey_signature or b""
        data = serialize(fields)
        if len(data) > MAX_BUNDLE_BYTES:
            raise InvalidArgument(f"the bundle has more than {MAX_BUNDLE_BYTES} bytes")
        return data

    @classmethod
    def decode(cls, data: bytes) -> "PreKeyBundle":
        """Read a bundle; its keys and signatures are not checked yet.

        Raises:
            DecodeError: over 4 KiB, malformed, or not in its one encoding.
            UnsupportedVersion: of a later version.
        """
        what = "a prekey bundle"
        fields = parse(bundle_pb2.PreKeyBundle, data, what, MAX_BUNDLE_BYTES)
        _check_version(fields.version, what)
        require_canonical(fields, data, what)
        if not fields.HasField("signed_prekey"):
            raise DecodeError(f"{what} lacks its signed prekey")
        one_time = fields.one_time_prekey if fields.HasField("one_time_prekey") else None
        kyber = fields.kyber_prekey if fields.HasField("kyber_prekey") else None
        return cls(
            address=decode_address(fields.address),
            registration_id=fields.registration_id,
            identity_key=fields.identity_key,
            signed_prekey_id=fields.signed_prekey.id,
            signed_prekey=fields.signed_prekey.public_key,
            signed_prekey_signature=fields.signed_prekey.signature,
            one_time_prekey_id=None if one_time is None else one_time.id,
            one_time_prekey=None if one_time is None else one_time.public_key,
            kyber_prekey_id=None if kyber is None else kyber.id,
            kyber_prekey=None if kyber is None else kyber.public_key,
            kyber_prekey_signature=None if kyber is None else kyber.signature,
        )


def _require_prekeys(
    name: str, prekeys: tuple[object, ...], kind: type[OneTimePrekey] | type[KyberPrekey]
) -> None:
    require_type(name, prekeys, tuple)
    for prekey in prekeys:
        require_type(name, prekey, kind)
    if len(prekeys) > MAX_ONE_TIME_PREKEYS:
        raise InvalidArgument(f"{name} holds more than {MAX_ONE_TIME_PREKEYS}")


def _require_different_ids(name: str, prekeys: tuple[OneTimePrekey | KyberPrekey, ...]) -> None:
    if len({prekey.id for prekey in prekeys}) < len(prekeys):
        raise InvalidArgument(f"{name} holds an id twice")


def _encode_signed_prekey(prekey: SignedPrekey) -> bundle_pb2.SignedPrekey:
    return bundle_pb2.SignedPrekey(
        id=prekey.id, public_key=prekey.public_key, signature=prekey.signature
    )


def _encode_kyber_prekey(prekey: KyberPrekey) -> bundle_pb2.KyberPrekey:
    return bundle_pb2.KyberPrekey(
        id=prekey.id, public_key=prekey.public_key, signature=prekey.signature
    )


def _decode_kyber_prekey(fields: bundle_pb2.KyberPrekey) -> KyberPrekey:
    return KyberPrekey(fields.id, fields.public_key, fields.signature)


def _check_version(version: int, what: str) -> None:
    if version != _VERSION:
        raise UnsupportedVersion(f"{what} has version {version}, only {_VERSION} is supported")
