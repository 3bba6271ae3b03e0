# SPDX-License-Identifier: Apache-2.0
"""A code that somebody has photographed gets them neither the new device nor a place in an account.

The attacker: somebody with an account of their own, who sees the code on the screen and answers
first, with or without the back end on their side; they have the code, and no private key of the
new device or of its owner's phone.
"""

import pytest

from e2ecross import Address, DeviceLink, LinkState
from e2ecross.crypto.keys import generate_key_pair
from e2ecross.errors import BackendRefused, LinkFailed
from e2ecross.protocol.device_list import sign_consent
from e2ecross.protocol.link_sealing import LinkSealing
from e2ecross.protocol.linking import begin_primary
from e2ecross.wire.linking import LinkAnswer, LinkCode, LinkMessage
from tests.attacks.support import ANA
from tests.support.devices import BackendSimulator, FakeClock, dump
from tests.support.entropy import SeededEntropy
from tests.support.pairing import LinkScene

MALLORY = Address("whatsapp", "mallory")


class World:
    """Ana's phone, her new laptop, and Mallory's phone."""

    def __init__(self, backend: BackendSimulator, clock: FakeClock) -> None:
        self.backend, self.clock = backend, clock
        self.ana = LinkScene(backend, clock, ANA)
        self.mallory = LinkScene(backend, clock, MALLORY)
        self.link: DeviceLink = self.ana.new_link()
        self.code = self.link.code
        self.rows = self.ana.phone_rows()
        self.mallorys_rows = self.mallory.phone_rows()

    def check_nothing_has_changed(self) -> None:
        """In any store, and at the back end."""
        self.ana.check_nothing_is_left(self.rows)
        assert self.mallory.phone_rows() == self.mallorys_rows
        for scene in (self.ana, self.mallory):
            assert self.backend.lists[scene.address.user_id] == scene.held.encode()
        with pytest.raises(LinkFailed, match="over"):
            self.link.poll()


@pytest.fixture
def world(backend: BackendSimulator, clock: FakeClock) -> World:
    return World(backend, clock)


def test_who_answers_first_shuts_the_owner_out_and_gains_nothing(world: World) -> None:
    """The owner's phone shows no digits, so she has none to type: whatever she types is wrong."""
    pairing = world.mallory.phone.link_device(world.code)
    with pytest.raises(BackendRefused, match="link box"):
        world.ana.phone.link_device(world.code)
    assert world.link.poll() is LinkState.WANTS_DIGITS
    assert world.link.user == MALLORY.user_id  # as she is asked
    pairing.poll()
    guess = f"{(int(pairing.digits) + 1) % 1_000_000:06}"
    with pytest.raises(LinkFailed, match="another phone"):
        world.link.enter_digits(guess)
    pairing.cancel()
    world.check_nothing_has_changed()


def test_who_gives_up_ends_it_for_both(world: World) -> None:
    world.mallory.phone.link_device(world.code).cancel()
    world.link.poll()
    world.link.cancel()
    world.check_nothing_has_changed()
    assert world.ana.link().device.address.user_id == ANA.user_id


def test_one_who_confirms_all_the_same_gets_no_device(world: World) -> None:
    """Mallory's own account has an entry then that nobody holds the token and the store for."""
    pairing = world.mallory.phone.link_device(world.code)
    world.link.poll()
    pairing.poll()
    pairing.confirm()
    assert world.link.poll() is LinkState.WANTS_DIGITS  # the result is not even looked at
    with pytest.raises(LinkFailed):
        world.link.enter_digits("")
    assert not dump(world.ana.store)
    assert world.ana.phone_rows() == world.rows
    with pytest.raises(LinkFailed, match="over"):
        world.link.poll()


class TwoFaced:
    """A back end that hands each its own box, so that both phones have made the first offer."""

    def __init__(self, world: World, offer: bytes) -> None:
        self._inner, self._offer = world.backend, offer

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def get_link(self, link_id: bytes, slot: int) -> bytes | None:
        return self._offer if slot == 0 else self._inner.get_link(link_id, slot)


def test_a_back_end_that_lets_both_be_first_gains_nothing(world: World) -> None:
    """The owner's phone cannot open what was answered to another one: it shows no digits."""
    held = world.mallory.held.list
    offered = begin_primary(
        world.code, held, 2, SeededEntropy("mallory's offer"), world.clock.now_ms
    )
    world.link._checked._backend = TwoFaced(world, offered.offer)  # type: ignore[assignment]
    pairing = world.ana.phone.link_device(world.code)
    assert world.link.poll() is LinkState.WANTS_DIGITS
    assert world.link.user == MALLORY.user_id
    with pytest.raises(LinkFailed, match="answer"):
        pairing.poll()
    assert pairing.digits == ""
    with pytest.raises(LinkFailed, match="digits"):
        world.link.enter_digits("123456")
    world.check_nothing_has_changed()


def test_who_has_the_code_cannot_answer_in_the_place_of_the_new_device(world: World) -> None:
    """To seal the answer takes the private half of the key in the code."""
    pairing = world.ana.phone.link_device(world.code)
    code, entropy = LinkCode.from_text(world.code), SeededEntropy("mallory's device")
    (link_id,) = world.backend.boxes
    offer = world.backend.get_link(link_id, 0)
    assert offer is not None
    offered = LinkMessage.decode(offer).ephemeral_key
    assert offered is not None
    mine, identity = generate_key_pair(entropy), generate_key_pair(entropy)
    account_key = world.ana.held.list.account_key
    consent = sign_consent(ANA.user_id, 2, identity, account_key, entropy)
    answer = LinkAnswer(identity.public, consent, bytes(32), "Ana's laptop").encode()
    # What she can agree on: her key with that of the phone, or with that in the code.
    for public in (offered, code.ephemeral_key):
        sealing = LinkSealing.agreed(code, offered, mine.private, public)
        world.backend.boxes[link_id][1] = sealing.seal(sealing.keys.answer, answer)
        with pytest.raises(LinkFailed):
            pairing.poll()
        assert pairing.digits == ""
        world.ana.check_nothing_is_left(world.rows)
        world.backend.boxes.clear()
        pairing = world.ana.phone.link_device(world.code)
    assert world.mallory.phone_rows() == world.mallorys_rows


def test_the_digits_of_another_attempt_are_wrong_ones(world: World) -> None:
    """Also of one of the same phone, at the same moment."""
    other, pairing = world.ana.begin()
    other.poll()
    pairing.poll()
    third = world.mallory.phone.link_device(world.code)
    world.link.poll()
    third.poll()
    assert third.digits != pairing.digits
    with pytest.raises(LinkFailed):
        world.link.enter_digits(pairing.digits)
    pairing.cancel()
    world.check_nothing_has_changed()
