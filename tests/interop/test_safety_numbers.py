# SPDX-License-Identifier: Apache-2.0
"""Safety numbers against libsignal-client, in both forms and both directions."""

from .conftest import BUDI
from .conversation import exchange, start
from .ours import Ours
from .peers import Peer

ANA_ID, BUDI_ID = b"whatsapp:ana", b"whatsapp:budi"
DIANA_ID = b"whatsapp:diana"


def test_both_forms_are_the_same(ours: Ours, libsignal_client: Peer) -> None:
    start(ours, libsignal_client, one_time=True)
    exchange(ours, libsignal_client, b"now the peer knows our identity key")
    with ours.device() as device:
        mine = device.safety_number(BUDI)
    digits, scannable = libsignal_client.safety_number(BUDI_ID, ANA_ID)
    assert len(digits) == 60
    assert mine.digits == digits
    assert mine.matches(scannable)
    assert libsignal_client.compare(BUDI_ID, ANA_ID, mine.scannable)
    assert libsignal_client.safety_number(ANA_ID, BUDI_ID)[0] != digits


def test_the_peer_started(ours: Ours, libsignal_client: Peer) -> None:
    start(libsignal_client, ours, one_time=True)
    exchange(libsignal_client, ours, b"now we know the peer's identity key")
    with ours.device() as device:
        mine = device.safety_number(BUDI)
    digits, scannable = libsignal_client.safety_number(BUDI_ID, ANA_ID)
    assert mine.digits == digits
    assert mine.matches(scannable)
    assert libsignal_client.compare(BUDI_ID, ANA_ID, mine.scannable)


def test_what_does_not_match(ours: Ours, libsignal_client: Peer, more_of_ours: Ours) -> None:
    bundle = libsignal_client.bundle(one_time=False)
    ours.process(bundle)
    more_of_ours.process(bundle)
    libsignal_client.process(ours.bundle(one_time=False))
    with ours.device() as device:
        mine = device.safety_number(BUDI)
    with more_of_ours.device() as device:
        other = device.safety_number(BUDI)
    _, scannable = libsignal_client.safety_number(BUDI_ID, ANA_ID)
    _, wrong_name = libsignal_client.safety_number(BUDI_ID, DIANA_ID)
    assert not mine.matches(wrong_name)
    assert not mine.matches(mine.scannable), "one's own code"
    assert not other.matches(scannable), "someone else's device"
    assert not libsignal_client.compare(BUDI_ID, ANA_ID, other.scannable)
    assert not libsignal_client.compare(BUDI_ID, ANA_ID, scannable), "one's own code"
    assert not libsignal_client.compare(BUDI_ID, DIANA_ID, mine.scannable)
