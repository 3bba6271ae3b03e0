# SPDX-License-Identifier: Apache-2.0
"""Person links: two accounts of one person, on two apps. Bytes and checked values.

Rules:
- A link is for display alone: it moves no trust and no verification.
- Exactly one encoding; the accounts in the order of their names, so that there is one link of two.
- No signature is checked here: `protocol/person_link.py`.

Source: docs/wire-format.md, person links.
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.address import UserId
from e2ecross.crypto.keys import PublicKey, decode_public_key
from e2ecross.crypto.xeddsa import SIGNATURE_BYTES
from e2ecross.errors import DecodeError, InvalidKey, UnsupportedVersion
from e2ecross.wire._pb.e2ecross.v1 import devices_pb2
from e2ecross.wire._pb.e2ecross.v1.address_pb2 import User
from e2ecross.wire.encoding import decode_user, parse, require_canonical, serialize

__all__ = ["LinkedAccount", "PersonLink", "SignedPersonLink"]

_VERSION: Final = 1
_MAX_LINK_BYTES: Final = 512
"""Two accounts have 280 bytes at most."""
_MAX_SIGNED_BYTES: Final = _MAX_LINK_BYTES + 2 * (SIGNATURE_BYTES + 2) + 3
_WHAT: Final = "a person link"


@dataclass(frozen=True, slots=True)
class LinkedAccount:
    """One of the two accounts.

    Attributes:
        user: the account.
        account_key: its key, 33 bytes.
    """

    user: UserId
    account_key: PublicKey


@dataclass(frozen=True, slots=True)
class PersonLink:
    """What both accounts sign.

    Attributes:
        first: whose name, as text `app:user`, is less.
        second: of another app.
        expires_at_ms: until when, milliseconds since 1970.
    """

    first: LinkedAccount
    second: LinkedAccount
    expires_at_ms: int

    def encode(self) -> bytes:
        """Return its one encoding, what is signed."""
        return serialize(
            devices_pb2.PersonLink(
                version=_VERSION,
                first=_encode_account(self.first),
                second=_encode_account(self.second),
                expires_at_ms=self.expires_at_ms,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "PersonLink":
        """Read a link, at most 512 bytes.

        Raises:
            DecodeError: malformed, not in its one encoding, of two accounts that are not in order
                or not of two apps, or with a key that nobody has.
            UnsupportedVersion: a link of a later version.
        """
        fields = parse(devices_pb2.PersonLink, data, _WHAT, _MAX_LINK_BYTES)
        if fields.version > _VERSION:
            raise UnsupportedVersion(
                f"person link version {fields.version} is not supported, only 1 is: upgrade "
                f"e2ecross"
            )
        require_canonical(fields, data, _WHAT)
        if fields.version != _VERSION:
            raise DecodeError(f"{_WHAT} lacks its version")
        first, second = _decode_account(fields.first), _decode_account(fields.second)
        if first.user.app == second.user.app or str(first.user) >= str(second.user):
            raise DecodeError(
                f"{_WHAT} is not of accounts of two apps, in the order of their names"
            )
        return cls(first, second, fields.expires_at_ms)


@dataclass(frozen=True, slots=True)
class SignedPersonLink:
    """A link and the signatures over it; not verified.

    Attributes:
        data: the link, as it was signed.
        first_signature: by the key of the first account, 64 bytes.
        second_signature: by that of the second.
        link: what `data` says.
    """

    data: bytes
    first_signature: bytes
    second_signature: bytes
    link: PersonLink

    def encode(self) -> bytes:
        """Return its one encoding."""
        return serialize(
            devices_pb2.SignedPersonLink(
                link=self.data,
                first_signature=self.first_signature,
                second_signature=self.second_signature,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "SignedPersonLink":
        """Read a signed link; raises as `PersonLink.decode`."""
        what = "a signed person link"
        fields = parse(devices_pb2.SignedPersonLink, data, what, _MAX_SIGNED_BYTES)
        require_canonical(fields, data, what)
        signatures = fields.first_signature, fields.second_signature
        if any(len(signature) != SIGNATURE_BYTES for signature in signatures):
            raise DecodeError(f"{what} lacks a signature of {SIGNATURE_BYTES} bytes")
        return cls(fields.link, *signatures, PersonLink.decode(fields.link))


def _encode_account(account: LinkedAccount) -> devices_pb2.LinkedAccount:
    user = account.user
    return devices_pb2.LinkedAccount(app=user.app, user=user.user, account_key=account.account_key)


def _decode_account(fields: devices_pb2.LinkedAccount) -> LinkedAccount:
    user = decode_user(User(app=fields.app, user=fields.user))
    try:
        return LinkedAccount(user, decode_public_key(fields.account_key))
    except InvalidKey as error:
        raise DecodeError(f"{_WHAT} has a key that cannot be used: {error}") from error
