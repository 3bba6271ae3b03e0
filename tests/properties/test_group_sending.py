# SPDX-License-Identifier: Apache-2.0
"""Sending into groups, whatever happens in between: sends, changes, devices, restores.

What holds after each step, by what has left the store: no (key, iteration) twice; nobody who is out
at the heads of a key was given it; who has a row is not granted the same key again.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from e2ecross import Address, Device
from e2ecross.device.group_changes import add_members, change_settings, remove_members
from e2ecross.device.posted import KeysAsked
from e2ecross.errors import E2ECrossError
from e2ecross.state.group_keys import find_group_key
from e2ecross.state.groups import find_state
from e2ecross.wire.envelope import EnvelopeCopies
from e2ecross.wire.group import GroupId
from e2ecross.wire.sender_key_message import SenderKeyForm, decode_sender_key_message
from tests.support.depth import deepened
from tests.support.devices import ANA, BUDI, TOKO, start
from tests.support.entropy import SeededEntropy
from tests.support.group_sending import announce, empty, granted, grants, send
from tests.support.group_world import GroupWorld
from tests.support.restores import put_back, take_copy

CITRA = Address("messenger", "citra")
OTHERS = (BUDI, TOKO, CITRA)


class Sending(RuleBasedStateMachine):
    """Ana, in a group with three others, of whom she alone changes anything."""

    @initialize()
    def begin(self) -> None:
        self.world = GroupWorld((ANA, *OTHERS), sessions=True)
        self.ana = self.world.devices[ANA]
        self.context = self.ana._context
        self.group: GroupId = self.world.create(ANA, *OTHERS)
        self.lives = 0
        self.used: set[tuple[int, int]] = set()
        self.given: dict[int, set[Address]] = {}
        self.copy = take_copy(self.context.store)

    def leave(self) -> None:
        """What is in the outbox leaves; it is looked at."""
        for item in empty(self.ana):
            if isinstance(item.sent, EnvelopeCopies):
                message = decode_sender_key_message(SenderKeyForm.UUID, item.sent.ciphertext)
                used = (message.chain_id, message.iteration)
                assert used not in self.used
                self.used.add(used)
                assert {*item.sent.recipients} <= self.given[message.chain_id]

    def note(self) -> None:
        """Who has the present key now."""
        with self.context.store.transaction() as tx:
            key, state = find_group_key(tx, self.group), find_state(tx, self.group)
        assert state is not None
        if key is None:  # nobody else is in
            return
        has = granted(self.ana, self.group)
        given = self.given.setdefault(key.key.chain_id, set())
        given |= has
        inside = {member.user.device(1) for member in state.members}
        if key.heads == state.heads:
            assert given <= inside

    @rule(times=st.integers(1, 3), is_backed_up=st.booleans())
    def sends(self, times: int, is_backed_up: bool) -> None:
        if is_backed_up:  # what is sent now is lost with the store
            self.copy = take_copy(self.context.store)
        for number in range(times):
            before = granted(self.ana, self.group)
            posted = send(self.ana, self.group, asked=self.asked())
            self.note()
            if number:
                assert not grants(self.ana)
                assert granted(self.ana, self.group) == before
            with self.context.store.transaction() as tx:
                state = find_state(tx, self.group)
            assert state is not None
            inside = {member.user.device(1) for member in state.members} - {ANA}
            assert {*posted.recipients} == inside
            self.leave()

    @rule(who=st.sampled_from(OTHERS))
    def removes(self, who: Address) -> None:
        try:
            remove_members(self.context, self.group, [who.user_id])
        except E2ECrossError:
            return

    @rule(who=st.sampled_from(OTHERS))
    def adds(self, who: Address) -> None:
        assert add_members(self.context, self.group, [who.user_id], self.asked()) is None

    @rule(name=st.integers(0, 9))
    def renames(self, name: int) -> None:
        change_settings(self.context, self.group, name=f"{name}")

    @rule()
    def tells(self) -> None:
        announce(self.ana, self.group, self.asked())
        self.note()
        self.leave()

    @rule(hours=st.sampled_from((1, 24, 8 * 24)))
    def waits(self, hours: int) -> None:
        self.world.clock.advance(hours * 60 * 60 * 1000)

    @precondition(lambda self: self.lives < 4)  # each leaves out many prekey ids
    @rule()
    def is_restored(self) -> None:
        store = self.context.store
        put_back(store, self.copy)
        self.lives += 1
        self.ana = self.world.devices[ANA] = Device.open(
            store,
            restored=True,
            clock=self.world.clock,
            entropy=SeededEntropy(f"life {self.lives}"),
        )
        self.context = self.ana._context
        for each in OTHERS:
            start(self.ana, self.world.devices[each], kyber=True)
        empty(self.ana)
        self.copy = take_copy(self.context.store)

    def asked(self) -> KeysAsked:
        return KeysAsked(users={each.user_id for each in (ANA, *OTHERS)})


TestSending = Sending.TestCase
TestSending.settings = settings(max_examples=deepened(80), stateful_step_count=20)


def test_a_store_that_was_put_back_sends_under_no_iteration_again() -> None:
    """The steps that matter most, which a search may miss."""
    machine = Sending()
    machine.begin()
    machine.sends(times=1, is_backed_up=False)
    machine.sends(times=2, is_backed_up=True)
    machine.is_restored()
    machine.sends(times=2, is_backed_up=False)
