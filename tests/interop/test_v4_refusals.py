# SPDX-License-Identifier: Apache-2.0
"""What neither side accepts in version 4; the conversation goes on after every refusal."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from e2ecross import Address
from e2ecross.errors import (
    DuplicateMessage,
    InvalidArgument,
    InvalidKey,
    InvalidSignature,
    RemoteError,
    UnknownPrekey,
)

from . import surgery
from .conversation import exchange, start
from .ours import Ours
from .peers import Bundle, Party, Peer, PeerRefused, Sealed

who_reads = pytest.mark.parametrize("we_read", [True, False], ids=["we-read", "peer-reads"])


def ends(ours: Ours, peer: Peer, *, we_read: bool) -> tuple[Party, Party]:
    """Who sends, who reads."""
    return (peer, ours) if we_read else (ours, peer)


def refused(receiver: Party, part: str, damaged: Sealed) -> None:
    """See to it that this is not read."""
    with pytest.raises(receiver.refusal):
        pytest.fail(f"{part}: read as {receiver.decrypt(damaged)!r}")


@who_reads
def test_every_byte_of_the_post_quantum_part_is_authenticated(
    ours: Ours, libsignal_0_103: Peer, we_read: bool
) -> None:
    sender, receiver = ends(ours, libsignal_0_103, we_read=we_read)
    start(sender, receiver, one_time=True)
    exchange(sender, receiver, b"first")
    exchange(receiver, sender, b"answer")
    sealed = sender.encrypt(b"genuine")
    place = surgery.inner_field(sealed, surgery.PQ_RATCHET)
    assert place.stop - place.start == 1 + 3 + 1 + 32, "a chunk"
    for offset in range(place.start, place.stop):
        for bit in (0, 7):
            refused(receiver, f"byte {offset - place.start}", surgery.flip(sealed, offset, bit))
    refused(receiver, "without it", surgery.without_inner_field(sealed, surgery.PQ_RATCHET))
    assert receiver.decrypt(sealed) == b"genuine"
    for _ in range(50):  # so no damaged chunk was kept
        exchange(receiver, sender, b"on we go")
        exchange(sender, receiver, b"indeed")
    last = surgery.spqr(exchange(sender, receiver, b"in the next epoch"))
    assert last is not None
    assert last.key_epoch == 1


@who_reads
def test_damaged_first_messages_cost_nothing(
    ours: Ours, libsignal_0_103: Peer, we_read: bool
) -> None:
    sender, receiver = ends(ours, libsignal_0_103, we_read=we_read)
    start(sender, receiver, one_time=True)
    sealed = sender.encrypt(b"genuine")
    ciphertext = surgery.wrapper_field(sealed, surgery.KYBER_CIPHERTEXT)
    assert ciphertext.stop - ciphertext.start == 1569
    damaged = {
        "type of the Kyber ciphertext": surgery.flip(sealed, ciphertext.start, 1),
        "first byte of it": surgery.flip(sealed, ciphertext.start + 1),
        "last byte of it": surgery.flip(sealed, ciphertext.stop - 1, 7),
        "Kyber prekey id": surgery.flip(
            sealed, surgery.wrapper_field(sealed, surgery.KYBER_PREKEY_ID).start
        ),
        "no Kyber prekey id": surgery.without_field(sealed, surgery.KYBER_PREKEY_ID),
        "no Kyber ciphertext": surgery.without_field(sealed, surgery.KYBER_CIPHERTEXT),
        "neither": surgery.without_field(
            surgery.without_field(sealed, surgery.KYBER_PREKEY_ID), surgery.KYBER_CIPHERTEXT
        ),
        "version 3 outside": Sealed(sealed.kind, b"\x33" + sealed.data[1:]),
    }
    for part, message in damaged.items():
        refused(receiver, part, message)
    assert receiver.decrypt(sealed) == b"genuine"  # so both one-time prekeys are still there
    exchange(receiver, sender, b"answer")


@who_reads
def test_version_3_is_not_for_a_peer_of_today(
    ours: Ours, libsignal_0_103: Peer, we_read: bool
) -> None:
    if we_read:
        with pytest.raises(PeerRefused):
            libsignal_0_103.process(surgery.without_kyber(ours.bundle(one_time=True)))
    else:
        ours.process(surgery.without_kyber(libsignal_0_103.bundle(one_time=True)))
        first = ours.encrypt(b"of version 3")
        assert surgery.version(first) == 3
        refused(libsignal_0_103, "version 3", first)
    start(ours, libsignal_0_103, one_time=True)
    exchange(ours, libsignal_0_103, b"of version 4")
    exchange(libsignal_0_103, ours, b"answer")


def _flip(data: bytes | None, offset: int) -> bytes:
    assert data is not None
    return data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]


Forge = Callable[[Bundle, Bundle], Bundle]
FORGERIES: dict[str, tuple[Forge, type[RemoteError]]] = {
    "another Kyber prekey": (
        lambda bundle, other: replace(bundle, kyber_prekey=other.kyber_prekey),
        InvalidSignature,
    ),
    "a bit of its signature": (
        lambda bundle, _: replace(
            bundle, kyber_prekey_signature=_flip(bundle.kyber_prekey_signature, 5)
        ),
        InvalidSignature,
    ),
    "the signature of the other prekey": (
        lambda bundle, _: replace(bundle, kyber_prekey_signature=bundle.signed_prekey_signature),
        InvalidSignature,
    ),
    "an EC key in its place, well signed": (
        lambda bundle, _: replace(
            bundle,
            kyber_prekey=bundle.signed_prekey,
            kyber_prekey_signature=bundle.signed_prekey_signature,
        ),
        InvalidKey,
    ),
    "another type of KEM": (
        lambda bundle, _: replace(bundle, kyber_prekey=b"\x0a" + (bundle.kyber_prekey or b"")[1:]),
        InvalidKey,
    ),
    "a byte too few": (
        lambda bundle, _: replace(bundle, kyber_prekey=(bundle.kyber_prekey or b"")[:-1]),
        InvalidKey,
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_kyber_prekeys(ours: Ours, libsignal_0_103: Peer, forgery: str) -> None:
    forge, error = FORGERIES[forgery]
    peer = libsignal_0_103
    with pytest.raises(error):
        ours.process(forge(peer.bundle(one_time=True), peer.bundle(one_time=True)))
    assert not ours.has_session()
    with pytest.raises(PeerRefused):
        peer.process(forge(ours.bundle(one_time=True), ours.bundle(one_time=True)))
    start(ours, peer, one_time=True)
    exchange(ours, peer, b"with a genuine one")
    exchange(peer, ours, b"answer")


def test_half_a_kyber_prekey_is_no_bundle(ours: Ours, libsignal_0_103: Peer) -> None:
    bundle = libsignal_0_103.bundle(one_time=True)
    for half in (replace(bundle, kyber_prekey=None), replace(bundle, kyber_prekey_signature=None)):
        with pytest.raises(InvalidArgument):
            ours.process(half)
    assert not ours.has_session()


def test_kyber_prekeys_serve_once_at_the_peer(
    ours: Ours, more_of_ours: Ours, libsignal_0_103: Peer
) -> None:
    peer = libsignal_0_103
    bundle = peer.bundle(one_time=False, one_time_kyber=True)
    ours.process(bundle)
    more_of_ours.process(bundle)
    exchange(ours, peer, b"first come")
    peer.contact = str(more_of_ours.address)
    with pytest.raises(PeerRefused, match="no Kyber prekey"):
        peer.decrypt(more_of_ours.encrypt(b"too late"))
    peer.contact = str(ours.address)
    exchange(peer, ours, b"answer")


def test_kyber_prekeys_serve_once_at_ours(ours: Ours, libsignal_0_103: Peer) -> None:
    peer = libsignal_0_103
    bundle = ours.bundle(one_time=False, one_time_kyber=True)
    peer.process(bundle)
    exchange(peer, ours, b"first come")
    peer.process(bundle)
    with pytest.raises(UnknownPrekey):
        ours.decrypt(peer.encrypt(b"too late"))
    start(peer, ours, one_time=True)
    exchange(peer, ours, b"with a new one")
    exchange(ours, peer, b"answer")


def test_the_key_of_last_resort_serves_each_first_message_once_at_ours(
    ours: Ours, libsignal_0_103: Peer
) -> None:
    """A replayed first message is refused also where no session is there to know it."""
    peer = libsignal_0_103
    start(peer, ours, one_time=False)
    first = exchange(peer, ours, b"with the key of last resort")
    exchange(ours, peer, b"answer")
    ours.contact = Address("whatsapp", "citra")
    with pytest.raises(DuplicateMessage):
        ours.decrypt(first)
    assert not ours.has_session()
    ours.contact = Address("whatsapp", "budi")
    start(peer, ours, one_time=False)
    exchange(peer, ours, b"with the same key")


def test_the_key_of_last_resort_serves_each_first_message_once_at_the_peer(
    ours: Ours, libsignal_0_103: Peer
) -> None:
    """The peer tells its store what to remember; what it tells must not differ for a replay."""
    peer = libsignal_0_103
    start(ours, peer, one_time=False)
    first = exchange(ours, peer, b"with the key of last resort")
    peer.contact = "whatsapp:citra.1"
    with pytest.raises(PeerRefused, match="replayed"):
        peer.decrypt(first)
    peer.contact = str(ours.address)
    exchange(peer, ours, b"answer")
