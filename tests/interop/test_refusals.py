# SPDX-License-Identifier: Apache-2.0
"""What neither side accepts; the conversation goes on after every refusal."""

from dataclasses import replace

import pytest

from e2ecross.errors import (
    AuthenticationFailed,
    DuplicateMessage,
    InvalidSignature,
    RemoteError,
    UnknownPrekey,
    UnknownSession,
)

from . import surgery
from .conversation import exchange, start
from .ours import Ours
from .peers import PREKEY, SIGNAL, Party, Peer, PeerRefused, Sealed


def _converse(ours: Ours, peer: Peer) -> None:
    start(ours, peer, one_time=True)
    exchange(ours, peer, b"first")
    exchange(peer, ours, b"answer")


def _damaged(sealed: Sealed) -> dict[str, Sealed]:
    """One bit changed in each part of the authenticated message, but for the version."""
    place = surgery.inner(sealed)
    ciphertext = surgery.inner_field(sealed, surgery.CIPHERTEXT)
    ratchet_key = surgery.inner_field(sealed, surgery.RATCHET_KEY)
    counter = surgery.inner_field(sealed, surgery.COUNTER)
    previous_counter = surgery.inner_field(sealed, surgery.PREVIOUS_COUNTER)
    return {
        "first byte of the MAC": surgery.flip(sealed, place.stop - surgery.MAC_BYTES),
        "last byte of the MAC": surgery.flip(sealed, place.stop - 1, bit=7),
        "first byte of the ciphertext": surgery.flip(sealed, ciphertext.start),
        "last byte of the ciphertext": surgery.flip(sealed, ciphertext.stop - 1, bit=7),
        "ratchet key": surgery.flip(sealed, ratchet_key.start + 9),
        "counter": surgery.flip(sealed, counter.start),
        "previous counter": surgery.flip(sealed, previous_counter.start),
    }


def test_peer_refuses_what_it_has_read(ours: Ours, peer: Peer) -> None:
    start(ours, peer, one_time=True)
    first = exchange(ours, peer, b"first")
    with pytest.raises(PeerRefused):
        peer.decrypt(first)
    exchange(peer, ours, b"answer")
    second = exchange(ours, peer, b"second")
    assert (first.kind, second.kind) == (PREKEY, SIGNAL)
    for sealed in (first, second):
        with pytest.raises(PeerRefused):
            peer.decrypt(sealed)
    exchange(ours, peer, b"third")


def test_we_refuse_what_we_have_read(ours: Ours, peer: Peer) -> None:
    start(peer, ours, one_time=True)
    first = exchange(peer, ours, b"first")
    with pytest.raises(DuplicateMessage):
        ours.decrypt(first)
    exchange(ours, peer, b"answer")
    second = exchange(peer, ours, b"second")
    assert (first.kind, second.kind) == (PREKEY, SIGNAL)
    for sealed in (first, second):
        with pytest.raises(DuplicateMessage):
            ours.decrypt(sealed)
    exchange(peer, ours, b"third")


@pytest.mark.parametrize("we_read", [True, False], ids=["we-read", "peer-reads"])
def test_damaged_messages(ours: Ours, peer: Peer, we_read: bool) -> None:
    _converse(ours, peer)
    sender: Party = peer if we_read else ours
    receiver: Party = ours if we_read else peer
    sealed = sender.encrypt(b"genuine")
    for part, damaged in _damaged(sealed).items():
        with pytest.raises(receiver.refusal):
            pytest.fail(f"{part}: read as {receiver.decrypt(damaged)!r}")
    if we_read or peer.kind.checks_version_byte:
        for bit in range(8):
            with pytest.raises(receiver.refusal):
                receiver.decrypt(surgery.flip(sealed, 0, bit))
    assert receiver.decrypt(sealed) == b"genuine"
    exchange(receiver, sender, b"on we go")
    exchange(sender, receiver, b"indeed")


def test_we_name_a_wrong_mac(ours: Ours, peer: Peer) -> None:
    _converse(ours, peer)
    parts = _damaged(peer.encrypt(b"genuine"))
    for part in ("first byte of the MAC", "last byte of the ciphertext", "previous counter"):
        with pytest.raises(AuthenticationFailed):
            ours.decrypt(parts[part])


def test_damaged_first_message_costs_the_peer_nothing(ours: Ours, peer: Peer) -> None:
    start(ours, peer, one_time=True)
    sealed = ours.encrypt(b"genuine")
    ids = peer.prekey_ids()
    for part, damaged in _damaged(sealed).items():
        with pytest.raises(PeerRefused):
            pytest.fail(f"{part}: read as {peer.decrypt(damaged)!r}")
    assert peer.prekey_ids() == ids
    assert peer.decrypt(sealed) == b"genuine"
    exchange(peer, ours, b"answer")


def test_damaged_first_message_costs_us_nothing(ours: Ours, peer: Peer) -> None:
    start(peer, ours, one_time=True)
    sealed = peer.encrypt(b"genuine")
    for part, damaged in _damaged(sealed).items():
        with pytest.raises(RemoteError):
            pytest.fail(f"{part}: read as {ours.decrypt(damaged)!r}")
    for number in (surgery.BASE_KEY, surgery.IDENTITY_KEY):
        key = surgery.wrapper_field(sealed, number)
        with pytest.raises(RemoteError):
            ours.decrypt(surgery.flip(sealed, key.start + 9))
    assert not ours.has_session()
    assert ours.decrypt(sealed) == b"genuine"  # so the one-time prekey is still there
    exchange(ours, peer, b"answer")


def test_foreign_identity_in_the_wrapper(ours: Ours, peer: Peer) -> None:
    start(peer, ours, one_time=True)
    exchange(peer, ours, b"first")
    second = peer.encrypt(b"second")
    key = surgery.wrapper_field(second, surgery.IDENTITY_KEY)
    with pytest.raises(RemoteError):
        ours.decrypt(surgery.flip(second, key.start + 9))
    assert ours.decrypt(second) == b"second"
    exchange(ours, peer, b"answer")


def test_forged_bundles(ours: Ours, peer: Peer) -> None:
    bundle = peer.bundle(one_time=True)
    other = peer.bundle(one_time=True)
    forged = replace(bundle, signed_prekey=other.signed_prekey)
    with pytest.raises(InvalidSignature):
        ours.process(forged)
    assert not ours.has_session()
    if peer.kind.checks_bundles:
        bundle = ours.bundle(one_time=True)
        signature = bytearray(bundle.signed_prekey_signature)
        signature[5] ^= 1
        with pytest.raises(PeerRefused):
            peer.process(replace(bundle, signed_prekey_signature=bytes(signature)))
    _converse(ours, peer)


def test_one_time_prekeys_serve_once_at_the_peer(
    ours: Ours, more_of_ours: Ours, peer: Peer
) -> None:
    bundle = peer.bundle(one_time=True)
    ours.process(bundle)
    more_of_ours.process(bundle)
    exchange(ours, peer, b"first come")
    peer.contact = str(more_of_ours.address)
    with pytest.raises(PeerRefused, match=r"(?i)prekey"):
        peer.decrypt(more_of_ours.encrypt(b"too late"))
    peer.contact = str(ours.address)
    exchange(peer, ours, b"answer")


def test_one_time_prekeys_serve_once_at_ours(ours: Ours, peer: Peer) -> None:
    bundle = ours.bundle(one_time=True)
    peer.process(bundle)
    exchange(peer, ours, b"first come")
    peer.process(bundle)
    with pytest.raises(UnknownPrekey):
        ours.decrypt(peer.encrypt(b"too late"))
    start(peer, ours, one_time=True)
    exchange(peer, ours, b"with a new one")
    exchange(ours, peer, b"answer")


def test_message_from_nowhere(ours: Ours, more_of_ours: Ours, peer: Peer) -> None:
    _converse(ours, peer)
    with pytest.raises(UnknownSession):
        more_of_ours.decrypt(peer.encrypt(b"not for you"))
