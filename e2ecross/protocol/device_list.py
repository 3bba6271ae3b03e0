# SPDX-License-Identifier: Apache-2.0
"""Lists of an account's devices: signed, verified, judged against what is known.

Rules:
- The account's key, which is the identity key of device 1, signs the list. Every other device has
  signed with its own key that it belongs there: nobody's key is listed without its holder.
- Lists are ordered by number alone. No clock can lock anybody out: how old a list may be is the
  reader's policy.
- One who signs without knowing the newest list is noticed; one who leaves a gap is not.

Source: docs/wire-format.md, device lists.
"""

import enum

from e2ecross.address import UserId
from e2ecross.crypto.account_kdf import consent_message, device_list_message, hash_device_list
from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.keys import KeyPair, PublicKey
from e2ecross.crypto.xeddsa import sign, verify_signature
from e2ecross.errors import EnvelopeMismatch
from e2ecross.wire.device_list import DeviceList, ListedDevice, SignedDeviceList

__all__ = [
    "HINT_BYTES",
    "Verdict",
    "hash_list",
    "hint_of",
    "is_expired",
    "is_listed",
    "judge",
    "judge_own",
    "sign_consent",
    "sign_list",
    "targets",
    "verify_consent",
    "verify_list",
]

HINT_BYTES = 16


class Verdict(enum.Enum):
    """What a verified list is to a reader."""

    NEWER = "newer"
    """It takes the place of the one that is held, if any is."""
    RESET = "reset"
    """Likewise; the account was restored from a backup."""
    SAME = "same"
    OLDER = "older"
    """It is ignored."""
    FORK = "fork"
    """Another one of the same number."""
    BROKEN_CHAIN = "broken_chain"
    """It continues another list than the one that is held."""
    HOSTING_LOWERED = "hosting_lowered"
    """It says that who had the account's key has it no more."""
    OTHER_KEY = "other_key"
    """It is signed with another account key."""
    CONFLICT = "conflict"
    """One that this device, which signs the lists of its account, has not signed."""


def hash_list(signed: SignedDeviceList) -> bytes:
    """The hash of a list, 32 bytes, which does not depend on its signature."""
    return hash_device_list(signed.data)


def hint_of(signed: SignedDeviceList) -> bytes:
    """What messages say of a list, 16 bytes."""
    return hash_list(signed)[:HINT_BYTES]


def sign_list(
    device_list: DeviceList, account_key_pair: KeyPair, entropy: EntropySource
) -> SignedDeviceList:
    """Sign a list with the account's key (draws 64 bytes of entropy)."""
    data = device_list.encode()
    signature = sign(account_key_pair, device_list_message(data), entropy)
    return SignedDeviceList(data, signature, device_list)


def sign_consent(
    user: UserId, device: int, key_pair: KeyPair, account_key: PublicKey, entropy: EntropySource
) -> bytes:
    """Sign that a device belongs to an account (draws 64 bytes of entropy).

    Args:
        user: the account.
        device: the number that the device has there.
        key_pair: the device's identity.
        account_key: the account's, 33 bytes.
        entropy: where the randomness of the signature comes from.

    Returns:
        The signature, 64 bytes.
    """
    message = consent_message(user.app, user.user, device, key_pair.public, account_key)
    return sign(key_pair, message, entropy)


def verify_consent(user: UserId, listed: ListedDevice, account_key: PublicKey) -> None:
    """Check that a device has signed that it belongs to an account with this key (33 bytes).

    Raises:
        InvalidSignature: it has not.
    """
    key = listed.identity_key
    message = consent_message(user.app, user.user, listed.device, key, account_key)
    verify_signature(key, message, listed.device_signature)


def verify_list(signed: SignedDeviceList, known: SignedDeviceList | None = None) -> None:
    """Check the signatures of a list.

    Args:
        signed: the list.
        known: one that was verified before: what stands in it, under the same account key, is not
            verified again.

    Raises:
        InvalidSignature: one does not verify.
    """
    if known is not None and known.data == signed.data:
        return
    account_key = signed.list.account_key
    verify_signature(account_key, device_list_message(signed.data), signed.signature)
    before: tuple[ListedDevice, ...] = ()
    if known is not None and _is_of_same_account(known.list, signed.list):
        before = known.list.devices
    verified = {(each.device, each.identity_key, each.device_signature) for each in before}
    for each in signed.list.devices[1:]:
        if (each.device, each.identity_key, each.device_signature) not in verified:
            verify_consent(signed.list.user, each, account_key)


def judge(
    signed: SignedDeviceList,
    user: UserId,
    pinned: PublicKey | None,
    held: SignedDeviceList | None,
    rival: SignedDeviceList | None = None,
) -> Verdict:
    """Judge a verified list of another's account, or at another device than 1 of the own one.

    Args:
        signed: the list.
        user: the account that was asked for.
        pinned: the account's key that is accepted, 33 bytes; None: none was seen.
        held: the newest list that was accepted.
        rival: one that contradicts it.

    Raises:
        EnvelopeMismatch: it is of another account.
    """
    new = _of(signed, user)
    if pinned is not None and new.account_key != pinned:
        return Verdict.OTHER_KEY
    if held is None:
        return Verdict.NEWER
    old = held.list
    if new.seq < old.seq:
        return Verdict.OLDER
    if new.seq == old.seq:
        return Verdict.SAME if signed.data == held.data else Verdict.FORK
    if new.seq == old.seq + 1 and not _continues(new, held, rival):
        return Verdict.BROKEN_CHAIN
    if new.hosting < old.hosting:
        return Verdict.HOSTING_LOWERED
    return Verdict.NEWER if new.previous else Verdict.RESET


def judge_own(
    signed: SignedDeviceList, user: UserId, account_key: PublicKey, held: SignedDeviceList | None
) -> Verdict:
    """Judge a verified list of the own account at device 1, which has signed all that there are.

    Args:
        signed: the list, from outside.
        user: the own account.
        account_key: its key, 33 bytes.
        held: the newest list that this device has signed.

    Returns:
        SAME, OLDER, OTHER_KEY (refused), or CONFLICT.

    Raises:
        EnvelopeMismatch: it is of another account.
    """
    new = _of(signed, user)
    if new.account_key != account_key:
        return Verdict.OTHER_KEY
    if held is not None and signed.data == held.data:
        return Verdict.SAME
    if held is None or new.seq >= held.list.seq:
        return Verdict.CONFLICT
    # An older one of its own says no more of who has the key than the newest: that never falls. And
    # the newest names the one before it: a contact who has another one of that number refuses it.
    is_before = new.seq + 1 == held.list.seq
    if new.hosting > held.list.hosting or (is_before and hash_list(signed) != held.list.previous):
        return Verdict.CONFLICT
    return Verdict.OLDER


def is_expired(signed: SignedDeviceList, accepted_at_ms: int, now_ms: int, max_age_ms: int) -> bool:
    """Tell whether a list is too old for any device but 1.

    Args:
        signed: the list.
        accepted_at_ms: when it was; a clock of its signer that is ahead does not make it younger.
        now_ms: milliseconds since 1970.
        max_age_ms: how old it may be, milliseconds.
    """
    return now_ms - min(signed.list.signed_at_ms, accepted_at_ms) > max_age_ms


def is_listed(device_list: DeviceList, number: int, identity_key: bytes) -> bool:
    """Tell whether a device has this number and key (33 bytes, checked or not) in a list."""
    found = device_list.find(number)
    return found is not None and found.identity_key == identity_key


def targets(
    signed: SignedDeviceList, rival: SignedDeviceList | None = None, *, expired: bool = False
) -> tuple[ListedDevice, ...]:
    """Return the devices that are sent to.

    Args:
        signed: the newest accepted list.
        rival: one that contradicts it: then only those that stand in both.
        expired: whether it is too old: then device 1 alone.
    """
    devices = signed.list.devices
    if expired:
        return devices[:1]
    if rival is None:
        return devices
    other = rival.list
    return tuple(each for each in devices if is_listed(other, each.device, each.identity_key))


def _of(signed: SignedDeviceList, user: UserId) -> DeviceList:
    if signed.list.user != user:
        raise EnvelopeMismatch(f"a device list of {signed.list.user} came as that of {user}")
    return signed.list


def _is_of_same_account(one: DeviceList, other: DeviceList) -> bool:
    return (one.user, one.account_key) == (other.user, other.account_key)


def _continues(new: DeviceList, held: SignedDeviceList, rival: SignedDeviceList | None) -> bool:
    before = [held] if rival is None else [held, rival]
    return new.previous in [hash_list(signed) for signed in before]
