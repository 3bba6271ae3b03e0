# SPDX-License-Identifier: Apache-2.0
"""Signatures of device lists and of consents, checked and made by libsignal-client."""

from dataclasses import replace

import pytest

from e2ecross import UserId
from e2ecross.crypto.account_kdf import consent_message, device_list_message
from e2ecross.crypto.keys import decode_public_key
from e2ecross.errors import InvalidSignature
from e2ecross.protocol.device_list import verify_consent, verify_list
from e2ecross.wire.device_list import DeviceList, ListedDevice, SignedDeviceList
from tests.support.device_lists import Household
from tests.support.vectors import devices, unhex

from .peers import LIBSIGNAL_0_103, Peer, StartPeer

ANA = UserId("whatsapp", "ana")


@pytest.fixture
def libsignal(start_peer: StartPeer) -> Peer:
    """libsignal-client 0.103.0."""
    return start_peer(LIBSIGNAL_0_103, "ours.1", "theirs.1")


def _signed(signed: SignedDeviceList) -> list[tuple[bytes, bytes, bytes]]:
    """Key, what was signed and signature: of the list, and of each device that consents to it."""
    account_key = signed.list.account_key
    found = [(bytes(account_key), device_list_message(signed.data), signed.signature)]
    for each in signed.list.devices[1:]:
        user, key = signed.list.user, each.identity_key
        message = consent_message(user.app, user.user, each.device, key, account_key)
        found.append((bytes(key), message, each.device_signature))
    return found


def test_it_verifies_what_we_have_signed(libsignal: Peer) -> None:
    signed = Household(ANA).sign(4, devices=(1, 2, 3, 127))
    parts = _signed(signed)
    assert len(parts) == 4
    for key, message, signature in parts:
        assert libsignal.verifies(key, message, signature)
        assert not libsignal.verifies(key, message + b"\0", signature)
        assert not libsignal.verifies(key, message, signature[:-1] + bytes((signature[-1] ^ 1,)))
    keys = [key for key, _, _ in parts]
    for number, (_, message, signature) in enumerate(parts):
        accepted = [libsignal.verifies(key, message, signature) for key in keys]
        assert accepted == [place == number for place in range(len(keys))]


def test_it_verifies_the_recorded_ones(libsignal: Peer) -> None:
    for case in devices("lists"):
        for key, message, signature in _signed(SignedDeviceList.decode(unhex(case["signed"]))):
            assert libsignal.verifies(key, message, signature), case["name"]


def test_we_verify_what_it_has_signed(libsignal: Peer, start_peer: StartPeer) -> None:
    """Its devices make up an account: one signs the list, another one consents."""
    other = start_peer(LIBSIGNAL_0_103, "ours.1", "theirs.2")
    account_key, companion_key = [
        decode_public_key(each.sign(b"")[0]) for each in (libsignal, other)
    ]
    message = consent_message(ANA.app, ANA.user, 2, companion_key, account_key)
    consent = ListedDevice(2, companion_key, other.sign(message)[1])
    verify_consent(ANA, consent, account_key)
    both = (ListedDevice(1, account_key, b""), consent)
    device_list = DeviceList(ANA, 2, bytes(32), 1_700_000_000_000, both)
    data = device_list.encode()
    signed = SignedDeviceList(data, libsignal.sign(device_list_message(data))[1], device_list)
    verify_list(SignedDeviceList.decode(signed.encode()))
    with pytest.raises(InvalidSignature):
        verify_list(replace(signed, signature=other.sign(device_list_message(data))[1]))
