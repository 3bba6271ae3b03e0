# SPDX-License-Identifier: Apache-2.0
"""Linking a device to an account: both ends of one attempt, as states that do not change.

Rules:
- The list that makes the new device one of the account is signed last, elsewhere, after the user
  has compared the digits and confirmed. Until then nothing says so that the account's key signed.
- Whoever photographs a code can answer first. Then the new device talks to that phone, and the
  digits of the owner's phone, if it shows any, are wrong. A device that is linked shows no digits.
- One try for everything: after an error the caller drops the state, and all that was drawn.
- Time comes in with each step, and an attempt ends by it.

Source: docs/wire-format.md, linking.
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.address import Address, App, UserId, require_app
from e2ecross.arguments import forgets_secrets, require_bytes, require_type
from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.kdf import is_equal
from e2ecross.crypto.keys import KeyPair, PublicKey, generate_key_pair
from e2ecross.crypto.link_kdf import hash_token, link_digits, link_id
from e2ecross.crypto.secret import Secret
from e2ecross.errors import DecodeError, InvalidArgument, LinkFailed, RemoteError
from e2ecross.protocol.device_list import is_listed, sign_consent, verify_consent, verify_list
from e2ecross.protocol.link_sealing import LinkSealing, link_failed, require_time
from e2ecross.wire.device_list import DeviceList, ListedDevice, SignedDeviceList
from e2ecross.wire.limits import MAX_CAPABILITIES_BYTES, TOKEN_BYTES
from e2ecross.wire.linking import (
    LINK_SECRET_BYTES,
    LinkAnswer,
    LinkCode,
    LinkMessage,
    LinkOffer,
    LinkResult,
    require_device_name,
)

__all__ = [
    "LINK_LIFETIME_MS",
    "RESULT_WAIT_MS",
    "CompanionAnswered",
    "CompanionConfirmed",
    "CompanionStart",
    "LinkedDevice",
    "PrimaryAnswered",
    "PrimaryOffered",
    "begin_companion",
    "begin_primary",
]

LINK_LIFETIME_MS: Final = 300_000
"""From a code to the digits, and from an offer to the user's confirmation."""
RESULT_WAIT_MS: Final = 600_000
"""From the digits to the signed list: the phone may be offline once more."""


# --- The new device -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class LinkedDevice(Secret):
    """What a new device is once it is linked.

    Attributes:
        address: its own.
        key_pair: its identity.
        token: what it shows at its back end, 32 bytes, secret.
        signed_list: the list in which it stands, verified.
    """

    address: Address
    key_pair: KeyPair
    token: bytes
    signed_list: SignedDeviceList


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class CompanionStart(Secret):
    """A new device that shows its code.

    Attributes:
        link_code: the code, secret.
        key_pair: of its ephemeral key.
        ends_at_ms: when it waits no longer for the offer and for the digits.
    """

    link_code: LinkCode
    key_pair: KeyPair
    ends_at_ms: int

    @property
    def code(self) -> str:
        """What to show as a QR code; secret to all but who scans it."""
        return self.link_code.to_text()

    @property
    def link_id(self) -> bytes:
        """The name of the box at the back end, 16 bytes."""
        return link_id(self.link_code.encode())

    @forgets_secrets
    def take_offer(
        self,
        data: bytes,
        *,
        name: str,
        token: bytes,
        entropy: EntropySource,
        now_ms: int,
        capabilities: bytes = b"",
    ) -> "CompanionAnswered":
        """Open the first offer that comes, draw an identity, answer (96 bytes of entropy).

        Args:
            data: the offer.
            name: what the device calls itself, at most 64 bytes in UTF-8.
            token: what it will show at its back end, 32 bytes, secret.
            entropy: where its identity, and the randomness of its signature, come from.
            now_ms: milliseconds since 1970.
            capabilities: what it understands, encoded, at most 256 bytes.

        Raises:
            LinkFailed: the time is over, or it is no offer for this code.
            InvalidArgument: of the other arguments one has the wrong type or length.
        """
        require_device_name(name)
        require_bytes("token", token, TOKEN_BYTES)
        require_bytes("capabilities", capabilities)
        if len(capabilities) > MAX_CAPABILITIES_BYTES:
            raise InvalidArgument(f"capabilities has more than {MAX_CAPABILITIES_BYTES} bytes")
        require_time(self.ends_at_ms, now_ms)
        try:
            sealing, offer = self._open(data)
        except RemoteError as error:
            raise link_failed("the offer to link", error) from error
        address, account_key = offer.address, offer.account_key
        if address.app != self.link_code.app:
            raise LinkFailed(f"the offer to link is of an account of {address.app}: scan again")
        key_pair = generate_key_pair(entropy)
        consent = sign_consent(address.user_id, address.device, key_pair, account_key, entropy)
        answer = LinkAnswer(key_pair.public, consent, hash_token(token), name, capabilities)
        sealed = sealing.seal(sealing.keys.answer, answer.encode())
        digits = link_digits(sealing.keys.digits, data, sealed)
        device = _Companion(address, account_key, key_pair, token)
        return CompanionAnswered(
            sealed, device, sealing, digits.encode(), self.link_id, self.ends_at_ms
        )

    def _open(self, data: bytes) -> tuple[LinkSealing, LinkOffer]:
        message = LinkMessage.decode(data)
        if message.ephemeral_key is None:
            raise DecodeError("an offer lacks its ephemeral key")
        offered = message.ephemeral_key
        sealing = LinkSealing.agreed(self.link_code, offered, self.key_pair.private, offered)
        return sealing, LinkOffer.decode(sealing.open(sealing.keys.offer, message))


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _Companion(Secret):
    """What a new device is to become."""

    address: Address
    account_key: PublicKey
    key_pair: KeyPair
    token: bytes


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class CompanionAnswered(Secret):
    """A new device that waits for the digits.

    Attributes:
        answer: the message for device 1.
        device: what it is to become.
        sealing: opens the result.
        digits: what the user has to type, six digits in ASCII, secret: never shown here.
        link_id: the name of the box at the back end, 16 bytes.
        ends_at_ms: when it waits no longer.
    """

    answer: bytes
    device: _Companion
    sealing: LinkSealing
    digits: bytes
    link_id: bytes
    ends_at_ms: int

    @property
    def user(self) -> UserId:
        """The account that the device is to be linked to: what the user is asked about."""
        return self.device.address.user_id

    @forgets_secrets
    def enter_digits(self, text: str, now_ms: int) -> "CompanionConfirmed":
        """Compare what the user has typed, in constant time; one try.

        Raises:
            LinkFailed: the time is over, or the digits are wrong.
            InvalidArgument: it is not text.
        """
        require_type("digits", text, str)
        require_time(self.ends_at_ms, now_ms)
        if not is_equal(text.encode("utf-8", "replace"), self.digits):
            raise LinkFailed(
                "the digits are not those of this attempt: another phone may have answered; show a "
                "new code"
            )
        return CompanionConfirmed(self.device, self.sealing, self.link_id, now_ms + RESULT_WAIT_MS)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class CompanionConfirmed(Secret):
    """A new device that waits for the list.

    Attributes:
        device, sealing, link_id: as before.
        ends_at_ms: when it waits no longer.
    """

    device: _Companion
    sealing: LinkSealing
    link_id: bytes
    ends_at_ms: int

    @forgets_secrets
    def take_result(self, data: bytes, now_ms: int) -> LinkedDevice:
        """Open the result, and check that the list in it makes this device one of the account.

        Raises:
            LinkFailed: the time is over, or it does not.
        """
        require_time(self.ends_at_ms, now_ms)
        device = self.device
        try:
            result = self.sealing.open_later(self.sealing.keys.result, data)
            signed = LinkResult.decode(result).device_list
            verify_list(signed)
        except RemoteError as error:
            raise link_failed("the result of linking", error) from error
        account = device.address.user_id, device.account_key
        if (signed.list.user, signed.list.account_key) != account:
            raise LinkFailed("the list is of another account than the one offered: link again")
        if not is_listed(signed.list, device.address.device, device.key_pair.public):
            raise LinkFailed("the list does not have this device: link again")
        return LinkedDevice(device.address, device.key_pair, device.token, signed)


@forgets_secrets
def begin_companion(app: App | str, entropy: EntropySource, now_ms: int) -> CompanionStart:
    """Draw a code for a new device (64 bytes of entropy).

    Raises:
        InvalidArgument: there is no app of such a name.
    """
    name = require_app(app)
    key_pair = generate_key_pair(entropy)
    code = LinkCode(name, key_pair.public, entropy.bytes(LINK_SECRET_BYTES))
    return CompanionStart(code, key_pair, now_ms + LINK_LIFETIME_MS)


# --- Device 1 -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PrimaryAnswered(Secret):
    """Device 1 that shows name and digits, and asks its user.

    Attributes:
        listed: the new device, as it is to stand in the list; its consent is verified.
        token_hash: SHA-256 of what it will show at its back end, 32 bytes.
        name: what it calls itself.
        digits: to show, six digits.
        sealing: seals the result.
        link_id: the name of the box at the back end, 16 bytes.
        ends_at_ms: until when the user may confirm.
    """

    listed: ListedDevice
    token_hash: bytes
    name: str
    digits: str
    sealing: LinkSealing
    link_id: bytes
    ends_at_ms: int

    def result(self, signed: SignedDeviceList) -> bytes:
        """Return the message with the signed list in which the new device stands."""
        return self.sealing.seal(self.sealing.keys.result, LinkResult(signed).encode())


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PrimaryOffered(Secret):
    """Device 1 that waits for an answer.

    Attributes:
        offer: the message for the new device.
        address: the one that it is to have.
        own: the account's list.
        sealing: opens the answer.
        link_id: the name of the box at the back end, 16 bytes.
        ends_at_ms: when it waits no longer.
    """

    offer: bytes
    address: Address
    own: DeviceList
    sealing: LinkSealing
    link_id: bytes
    ends_at_ms: int

    @forgets_secrets
    def take_answer(self, data: bytes, now_ms: int) -> PrimaryAnswered:
        """Open the answer and verify the consent in it.

        Raises:
            LinkFailed: the time is over, it does not open, or the account has its key already.
            DecodeError: it opens, and is malformed.
            InvalidKey: it opens, and its key is malformed, not canonical or of low order.
            InvalidSignature: it opens, and the device has not signed that it belongs here.
        """
        require_time(self.ends_at_ms, now_ms)
        try:
            opened = self.sealing.open_later(self.sealing.keys.answer, data)
        except RemoteError as error:
            raise link_failed("the answer of the new device", error) from error
        answer = LinkAnswer.decode(opened)
        if _is_taken(self.own, answer.identity_key):
            raise LinkFailed("the new device has a key of the account: make it anew")
        listed = ListedDevice(
            self.address.device, answer.identity_key, answer.device_signature, answer.capabilities
        )
        verify_consent(self.address.user_id, listed, self.own.account_key)
        digits = link_digits(self.sealing.keys.digits, self.offer, data)
        return PrimaryAnswered(
            *(listed, answer.token_hash, answer.name, digits),
            *(self.sealing, self.link_id, self.ends_at_ms),
        )


@forgets_secrets
def begin_primary(
    code: str, own: DeviceList, number: int, entropy: EntropySource, now_ms: int
) -> PrimaryOffered:
    """Make an offer to the device whose code was scanned (32 bytes of entropy).

    Args:
        code: the text of the code.
        own: the list of the account that this device signs for.
        number: for the new device, one that is free.
        entropy: where the ephemeral key comes from.
        now_ms: milliseconds since 1970.

    Raises:
        InvalidArgument: the code is not text, or the number is not free.
        DecodeError: it is no code.
        UnsupportedVersion: a code of a later version.
        InvalidKey: its key is malformed, not canonical or of low order.
        LinkFailed: it is a code of another app.
    """
    address = Address(own.user.app, own.user.user, number)
    if own.find(number) is not None:
        raise InvalidArgument(f"number must be free: there is a device {number} in the list")
    link_code = LinkCode.from_text(code)
    if link_code.app != address.app:
        raise LinkFailed(f"the code is of a device for {link_code.app}, not for {address.app}")
    key_pair = generate_key_pair(entropy)
    sealing = LinkSealing.agreed(
        link_code, key_pair.public, key_pair.private, link_code.ephemeral_key
    )
    offer = LinkOffer(address, own.account_key).encode()
    sealed = sealing.seal(sealing.keys.offer, offer, key_pair.public)
    identifier = link_id(link_code.encode())
    return PrimaryOffered(sealed, address, own, sealing, identifier, now_ms + LINK_LIFETIME_MS)


def _is_taken(own: DeviceList, identity_key: PublicKey) -> bool:
    return any(each.identity_key == identity_key for each in own.devices)
