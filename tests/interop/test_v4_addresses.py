# SPDX-License-Identifier: Apache-2.0
"""Who sends to whom, inside first messages, where both names are UUIDs."""

from collections.abc import Callable
from uuid import UUID

import pytest

from e2ecross import Address
from e2ecross.errors import AuthenticationFailed

from . import surgery
from .conversation import exchange, start
from .ours import MakeOurs, Ours
from .peers import LIBSIGNAL_0_103, PREKEY, SIGNAL, Peer, PeerRefused, Sealed, StartPeer

ANA_UUID = "9d0652a3-dcc3-4d11-975f-74d61598733f"
BUDI_UUID = "796abedb-ca4e-4f18-8803-1fde5b921f9f"
OTHER_UUID = "c04a3b52-7d38-4c5c-9c40-2a54dcbd5ac5"
ANA = Address("whatsapp", ANA_UUID)
BUDI = Address("whatsapp", BUDI_UUID, 3)


def addresses_in(sealed: Sealed) -> bytes | None:
    """What a message says of its ends."""
    place = surgery.find_inner_field(sealed, surgery.ADDRESSES)
    return None if place is None else sealed.data[place]


def named(address: Address) -> bytes:
    """An end as it is written there: the kind of name, the UUID, the device."""
    return b"\0" + UUID(address.user).bytes + bytes([address.device])


def pair(
    make_ours: MakeOurs, start_peer: StartPeer, *, us: str = ANA_UUID, peer: str = f"{BUDI_UUID}.3"
) -> tuple[Ours, Peer]:
    """Ours, which is Ana and writes to Budi, and a peer that takes itself and us for others."""
    return make_ours(None, ANA, BUDI), start_peer(LIBSIGNAL_0_103, f"{us}.1", peer)


@pytest.mark.parametrize("spelling", [str.lower, str.upper])
def test_both_sides_name_the_ends_until_they_are_answered(
    make_ours: MakeOurs, start_peer: StartPeer, spelling: Callable[[str], str]
) -> None:
    ours, peer = pair(make_ours, start_peer, us=spelling(ANA_UUID), peer=f"{spelling(BUDI_UUID)}.3")
    for first, second, expected in (
        (ours, peer, named(ANA) + named(BUDI)),
        (peer, ours, named(BUDI) + named(ANA)),
    ):
        start(first, second, one_time=True)
        for _ in range(3):
            sealed = exchange(first, second, b"first")
            assert sealed.kind == PREKEY
            assert addresses_in(sealed) == expected
        for sender, receiver in ((second, first), (first, second)):
            sealed = exchange(sender, receiver, b"settled")
            assert sealed.kind == SIGNAL
            assert addresses_in(sealed) is None


@pytest.mark.parametrize(
    "names",
    [
        {"peer": f"{OTHER_UUID}.3"},
        {"peer": f"{BUDI_UUID}.2"},
        {"peer": f"PNI:{BUDI_UUID}.3"},
        {"us": OTHER_UUID},
    ],
    ids=["another-name", "another-device", "another-kind-of-name", "takes-us-for-another"],
)
def test_neither_side_reads_what_is_for_others(
    make_ours: MakeOurs, start_peer: StartPeer, names: dict[str, str]
) -> None:
    ours, peer = pair(make_ours, start_peer, **names)
    start(peer, ours, one_time=True)
    with pytest.raises(AuthenticationFailed):
        ours.decrypt(peer.encrypt(b"from someone else"))
    assert not ours.has_session()
    start(ours, peer, one_time=True)
    with pytest.raises(PeerRefused, match="decryption failed"):
        peer.decrypt(ours.encrypt(b"to someone else"))


def test_plain_names_are_not_named(ours: Ours, libsignal_0_103: Peer) -> None:
    for first, second in ((ours, libsignal_0_103), (libsignal_0_103, ours)):
        start(first, second, one_time=True)
        sealed = exchange(first, second, b"first")
        assert sealed.kind == PREKEY
        assert addresses_in(sealed) is None


@pytest.mark.parametrize("peers_own", [f"{BUDI_UUID}.3", "whatsapp:budi.3"], ids=["uuid", "plain"])
def test_a_peer_that_knows_one_of_the_ends_by_a_plain_name(
    make_ours: MakeOurs, start_peer: StartPeer, peers_own: str
) -> None:
    """It names nobody, which we accept; it cannot check what we name, and refuses it."""
    ours, peer = pair(make_ours, start_peer, us="whatsapp:ana", peer=peers_own)
    start(peer, ours, one_time=True)
    assert addresses_in(exchange(peer, ours, b"first")) is None
    exchange(ours, peer, b"answer")
    start(ours, peer, one_time=True)
    with pytest.raises(PeerRefused, match="decryption failed"):
        peer.decrypt(ours.encrypt(b"named"))


def test_a_peer_of_plain_names_with_one_of_ours(make_ours: MakeOurs, start_peer: StartPeer) -> None:
    """With one plain name on our side as well, nobody names anybody."""
    ours = make_ours(None, Address("whatsapp", "ana"), BUDI)
    peer = start_peer(LIBSIGNAL_0_103, "whatsapp:ana.1", f"{BUDI_UUID}.3")
    for first, second in ((ours, peer), (peer, ours)):
        start(first, second, one_time=True)
        assert addresses_in(exchange(first, second, b"first")) is None
