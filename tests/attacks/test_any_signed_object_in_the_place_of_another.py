# SPDX-License-Identifier: Apache-2.0
"""A signature over one kind of object verifies for no other kind.

The attacker: whoever collects everything that identity keys sign, and serves each where another
one is expected, to somebody who has the same keys as the genuine one.

An identity key signs curve prekeys, KEM prekeys, the lists of its account, its consent to belong
to one, commits of groups; and in the clients of others alternate identities and device signatures,
which are here as what they sign. Each is checked under the one key that has signed them all, so
that nothing but what is signed tells them apart.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import pytest

from e2ecross.crypto.keys import generate_key_pair
from e2ecross.crypto.xeddsa import sign, verify_signature
from e2ecross.errors import InvalidSignature, RemoteError
from e2ecross.protocol.device_list import sign_consent, sign_list, verify_consent, verify_list
from e2ecross.protocol.group_commit import sign_commit, verify_commit
from e2ecross.protocol.verified_bundle import verify_bundle
from e2ecross.wire.device_list import DeviceList, ListedDevice, SignedDeviceList
from e2ecross.wire.group import MemberId
from e2ecross.wire.group_commit import SignedGroupCommit
from tests.attacks.support import ANA, NOW_MS, Attacker, dump, person
from tests.support.groups import make_genesis

SIGNER: Final = Attacker("signer of everything")
KEY: Final = SIGNER.identity
ENTROPY: Final = SIGNER.entropy
USER: Final = ANA.user_id
ACCOUNT: Final = generate_key_pair(ENTROPY)
BUNDLE: Final = SIGNER.bundle(ANA, kyber=True)
LIST: Final = DeviceList(USER, 1, b"", NOW_MS, (ListedDevice(1, KEY.public, b""),))
COMMIT: Final = make_genesis(MemberId(USER, KEY.public))
FOREIGN: Final = b"\xff" * 32 + generate_key_pair(ENTROPY).public
OTHERS_DEVICE: Final = b"\x06\x00" + bytes(40)


def _signed_prekey(signature: bytes) -> None:
    verify_bundle(replace(BUNDLE, signed_prekey_signature=signature))


def _kem_prekey(signature: bytes) -> None:
    verify_bundle(replace(BUNDLE, kyber_prekey_signature=signature))


def _list(signature: bytes) -> None:
    verify_list(SignedDeviceList(LIST.encode(), signature, LIST))


def _consent(signature: bytes) -> None:
    verify_consent(USER, ListedDevice(2, KEY.public, signature), ACCOUNT.public)


def _consent_to_another_number(signature: bytes) -> None:
    verify_consent(USER, ListedDevice(3, KEY.public, signature), ACCOUNT.public)


def _commit(signature: bytes) -> None:
    verify_commit(SignedGroupCommit(COMMIT.encode(), signature, COMMIT))


def _of_bytes(message: bytes) -> Callable[[bytes], None]:
    return lambda signature: verify_signature(KEY.public, message, signature)


VERIFY: Final[Mapping[str, Callable[[bytes], None]]] = {
    "signed prekey": _signed_prekey,
    "KEM prekey": _kem_prekey,
    "device list": _list,
    "consent": _consent,
    "consent to another number": _consent_to_another_number,
    "commit of a group": _commit,
    "alternate identity of another client": _of_bytes(FOREIGN),
    "device signature of another client": _of_bytes(OTHERS_DEVICE),
}
SIGNED: Final[Mapping[str, bytes]] = {
    "signed prekey": BUNDLE.signed_prekey_signature,
    "KEM prekey": BUNDLE.kyber_prekey_signature or b"",
    "device list": sign_list(LIST, KEY, ENTROPY).signature,
    "consent": sign_consent(USER, 2, KEY, ACCOUNT.public, ENTROPY),
    "consent to another number": sign_consent(USER, 3, KEY, ACCOUNT.public, ENTROPY),
    "commit of a group": sign_commit(COMMIT, KEY, ENTROPY).signature,
    "alternate identity of another client": sign(KEY, FOREIGN, ENTROPY),
    "device signature of another client": sign(KEY, OTHERS_DEVICE, ENTROPY),
}


@pytest.mark.parametrize("place", VERIFY)
@pytest.mark.parametrize("thing", SIGNED)
def test_only_the_diagonal_verifies(thing: str, place: str) -> None:
    if thing == place:
        VERIFY[place](SIGNED[thing])
        return
    with pytest.raises(InvalidSignature):
        VERIFY[place](SIGNED[thing])


@pytest.mark.parametrize("thing", sorted(SIGNED.keys() - {"signed prekey"}))
def test_a_bundle_with_the_signature_of_something_else_starts_no_session(thing: str) -> None:
    victim = person(ANA)
    bundle = replace(
        BUNDLE, address=replace(ANA, user="budi"), signed_prekey_signature=SIGNED[thing]
    )
    before = dump(victim.store)
    with pytest.raises(RemoteError):
        victim.device.start_session(bundle)
    assert dump(victim.store) == before


def test_what_is_signed_here_begins_as_nothing_that_others_sign() -> None:
    """The first two bytes: no key type, and no mark of clients that are deployed."""
    begins = {b"\x05", b"\x08", b"\xff", b"\x06\x00", b"\x06\x01", b"\x06\x05", b"\x06\x06"}
    ours = (b"\x06\x65",)
    assert not [one for one in ours for other in begins if one.startswith(other)]
