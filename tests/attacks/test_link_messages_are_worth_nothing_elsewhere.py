# SPDX-License-Identifier: Apache-2.0
"""A link message counts in one slot of one attempt, as it was made; whatever else comes ends it.

The attacker: the back end. It has all messages of all attempts, and accounts and devices of its
own; what it never sees is a code. It makes offers and answers, swaps and repeats messages, and
changes them.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import pytest

from e2ecross import Address, DeviceLink, LinkState, Pairing
from e2ecross.crypto.keys import generate_key_pair
from e2ecross.errors import BackendError, LinkFailed
from e2ecross.protocol.device_list import sign_list
from e2ecross.protocol.link_sealing import LinkSealing
from e2ecross.protocol.linking import begin_companion, begin_primary
from e2ecross.stores import MemoryStore
from e2ecross.wire.linking import LinkCode, LinkMessage, LinkOffer, LinkResult
from tests.attacks.support import ANA, flips
from tests.support.devices import BackendSimulator, FakeClock, dump
from tests.support.entropy import SeededEntropy
from tests.support.pairing import LinkScene, never

OTHER: Final = Address("whatsapp", "mallory")
OFFER, ANSWER, RESULT = 0, 1, 2
SLOTS: Final = (OFFER, ANSWER, RESULT)
ATTEMPTS: Final = ("an earlier one", "the last one", "of another account")


class Liar:
    """A back end that answers what it likes for slots of link boxes."""

    def __init__(self, inner: BackendSimulator) -> None:
        self._inner = inner
        self.lies: dict[int, bytes] = {}

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def get_link(self, link_id: bytes, slot: int) -> bytes | None:
        return self.lies.get(slot) or self._inner.get_link(link_id, slot)


class World:
    """Ana's phone, after two devices were linked to it, and a back end that has kept all."""

    def __init__(self) -> None:
        self.clock, self.backend = FakeClock(), BackendSimulator()
        self.liar = Liar(self.backend)
        self.scene = LinkScene(self.liar, self.clock)  # type: ignore[arg-type]
        other = LinkScene(self.backend, self.clock, OTHER)
        self.kept: dict[str, list[bytes]] = {}
        for name, scene in zip(ATTEMPTS, (self.scene, self.scene, other), strict=True):
            scene.store = MemoryStore()
            scene.link()
            (box,) = self.backend.boxes.values()
            self.kept[name] = [data for data in box if data is not None]
            self.backend.boxes.clear()
        self.scene.store = MemoryStore()
        self.rows = self.scene.phone_rows()

    def lead_to(self, slot: int) -> tuple[DeviceLink, Pairing]:
        """An attempt in which the message of a slot is looked for next."""
        if slot == OFFER:
            return self.scene.begin()
        if slot == ANSWER:
            link, pairing = self.scene.begin()
            link.poll()
            return link, pairing
        link, pairing = self.scene.typed()
        pairing.confirm()
        self.rows = self.scene.phone_rows()
        return link, pairing

    def refuse(self, slot: int, data: bytes) -> None:
        """Hand out a message in a slot; the attempt ends, and no store changes."""
        link, pairing = self.lead_to(slot)
        self.check_refused(slot, data, link, pairing)

    def check_refused(self, slot: int, data: bytes, link: DeviceLink, pairing: Pairing) -> None:
        """The same in an attempt that has come to that slot."""
        reader = pairing if slot == ANSWER else link
        self.liar.lies[slot] = data
        with pytest.raises(LinkFailed):
            reader.poll()
        self.liar.lies.clear()
        with pytest.raises(LinkFailed, match="over"):  # the genuine one comes too late
            reader.poll()
        assert pairing.digits == "" or slot == RESULT
        self.check_nothing_has_changed()

    def check_nothing_has_changed(self) -> None:
        """Neither in the phone's store nor in that of the new device."""
        assert self.scene.phone_rows() == self.rows
        assert not dump(self.scene.store)


@pytest.fixture
def world() -> World:
    return World()


# --- Messages in other places ---------------------------------------------------------------


@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize("of", SLOTS)
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_message_of_another_attempt_counts_in_no_slot(
    world: World, slot: int, attempt: str, of: int
) -> None:
    world.refuse(slot, world.kept[attempt][of])


@pytest.mark.parametrize(("slot", "of"), [(ANSWER, OFFER), (RESULT, OFFER), (RESULT, ANSWER)])
def test_a_message_of_this_attempt_counts_in_no_other_slot(
    world: World, slot: int, of: int
) -> None:
    link, pairing = world.lead_to(slot)
    (box,) = world.backend.boxes.values()
    data = box[of]
    assert data is not None
    world.check_refused(slot, data, link, pairing)


def test_the_genuine_one_in_its_slot_counts(world: World) -> None:
    """So what is refused above is refused for what it is."""
    link, pairing = world.scene.begin()
    assert link.poll() is LinkState.WANTS_DIGITS
    assert pairing.poll() is LinkState.SHOWS_DIGITS
    link.enter_digits(pairing.digits)
    pairing.confirm()
    (box,) = world.backend.boxes.values()
    for slot, data in enumerate(box):
        assert data is not None
        world.liar.lies[slot] = data
    assert link.finish(pause=never).device.address.user_id == ANA.user_id


def test_an_offer_that_was_answered_is_not_answered_again(world: World) -> None:
    """The first offer counts: neither it nor another one is looked at again."""
    link, pairing = world.scene.begin()
    link.poll()
    answers = [box[ANSWER] for box in world.backend.boxes.values()]
    world.liar.lies[OFFER] = world.kept["the last one"][OFFER]
    for _ in range(3):
        assert link.poll() is LinkState.WANTS_DIGITS
    assert [box[ANSWER] for box in world.backend.boxes.values()] == answers
    pairing.cancel()


# --- Messages that were changed -------------------------------------------------------------


def changed(data: bytes) -> Iterator[bytes]:
    """A bit of each byte, and other lengths."""
    for place, flipped in flips(data):
        if place % 7 == flipped[place] % 7:  # some bits of some bytes: each takes an attempt
            yield flipped
    yield data[:-1]
    yield data + b"\0"
    yield b"\0"


@pytest.mark.parametrize("slot", SLOTS)
def test_a_message_that_was_changed_ends_it(world: World, slot: int) -> None:
    link, pairing = world.lead_to(slot)
    (box,) = world.backend.boxes.values()
    genuine = box[slot]
    assert genuine is not None
    tried = 0
    for data in changed(genuine):
        state = (pairing if slot == ANSWER else link)._attempt.found
        world.check_refused(slot, data, link, pairing)
        (pairing if slot == ANSWER else link)._attempt.found = state
        tried += 1
    assert tried > 50
    assert (pairing if slot == ANSWER else link).poll() is not LinkState.WAITING


@pytest.mark.parametrize("slot", SLOTS)
def test_what_is_no_message_at_all_is_an_error_of_the_back_end(world: World, slot: int) -> None:
    """It may be another one a second later; nothing is opened, and nothing changes."""
    link, pairing = world.lead_to(slot)
    reader = pairing if slot == ANSWER else link
    for data in (bytes(10_241), "text", 7, object()):
        world.liar.lies[slot] = data  # type: ignore[assignment]
        with pytest.raises(BackendError):
            reader.poll()
    world.check_nothing_has_changed()
    world.liar.lies.clear()
    assert reader.poll() is not LinkState.WAITING


# --- Messages that the back end makes -------------------------------------------------------


def without_any_code(world: World, _: LinkCode) -> bytes:
    """It has the id of the box alone, and makes up the rest."""
    start = begin_companion("whatsapp", SeededEntropy("made up"), world.clock.now_ms)
    return begin_primary(
        start.code, world.scene.held.list, 9, SeededEntropy("back end"), world.clock.now_ms
    ).offer


def without_the_secret(world: World, code: LinkCode) -> bytes:
    """It has even the public key in the code, as who breaks X25519 later might."""
    guessed = replace(code, secret=bytes(32))
    return begin_primary(
        guessed.to_text(), world.scene.held.list, 9, SeededEntropy("back end"), world.clock.now_ms
    ).offer


def without_the_key(world: World, code: LinkCode) -> bytes:
    """It has the secret, and not the public key."""
    public = generate_key_pair(SeededEntropy("another")).public
    return without_the_secret(world, replace(code, ephemeral_key=public))


def unsealed(world: World, code: LinkCode) -> bytes:
    """An offer that is not sealed at all."""
    key = generate_key_pair(SeededEntropy("back end")).public
    listed = world.scene.held.list
    offer = LinkOffer(Address("whatsapp", "ana", 2), listed.account_key).encode()
    return LinkMessage(key, offer).encode()


@pytest.mark.parametrize("make", [without_any_code, without_the_secret, without_the_key, unsealed])
def test_without_the_code_nobody_makes_an_offer(
    world: World, make: Callable[[World, LinkCode], bytes]
) -> None:
    link, pairing = world.scene.begin()
    code = LinkCode.from_text(link.code)
    world.check_refused(OFFER, make(world, code), link, pairing)


def test_the_same_offer_made_with_the_code_is_one(world: World) -> None:
    link = world.scene.new_link()
    world.liar.lies[OFFER] = begin_primary(
        link.code, world.scene.held.list, 9, SeededEntropy("back end"), world.clock.now_ms
    ).offer
    with pytest.raises(LinkFailed, match="no such link box"):
        link.poll()  # it is answered, and nobody has opened a box


def test_without_the_keys_of_an_attempt_nobody_makes_a_result(world: World) -> None:
    """Even with a list that the owner's key has signed, and that has the device."""
    link, pairing = world.scene.typed()
    state = pairing._attempt.found
    listed = getattr(state, "listed")  # noqa: B009
    own = world.scene.held.list
    signed = sign_list(
        replace(own, seq=own.seq + 1, previous=bytes(32), devices=(*own.devices, listed)),
        world.scene.phone.device._context.identity_key_pair,
        SeededEntropy("thief"),
    )
    code = LinkCode("whatsapp", own.account_key, bytes(32))
    mine = generate_key_pair(SeededEntropy("back end"))
    sealing = LinkSealing.agreed(code, mine.public, mine.private, own.account_key)
    result = LinkResult(signed).encode()
    for data in (
        sealing.seal(sealing.keys.result, result),
        LinkMessage(None, result).encode(),
    ):
        world.check_refused(RESULT, data, link, pairing)
        link, pairing = world.scene.typed()
