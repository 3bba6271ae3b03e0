# SPDX-License-Identifier: Apache-2.0
"""Device 1 signs, a thief of its key signs, a contact sees some of it: the contact ends with both.

Whatever of the lists reaches the contact, in whichever order they were signed, the newest that
device 1 has signed takes the place of all others there as soon as it is shown, and no list of
device 1 is ever a contradiction to one that it has signed before.
"""

from contextlib import suppress
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from e2ecross import Policy
from e2ecross.device.device_lists import take_list
from e2ecross.device.own_list import (
    add_device,
    ensure_own_list,
    finish_restore,
    number_for_device,
    renew_if_due,
    request_capabilities,
    request_unlink,
    restore_devices,
    unlink_device,
)
from e2ecross.errors import DevicesConflict, InvalidArgument
from e2ecross.protocol.device_list import Verdict, judge, verify_list
from e2ecross.state.accounts import put_own_account
from e2ecross.wire.device_list import SignedDeviceList
from tests.support.accounts import account, own_account
from tests.support.device_lists import Household
from tests.support.devices import ANA, DAY_MS, FakeClock, make_device
from tests.support.linked import candidate

OWN = ANA.user_id


class OwnList(RuleBasedStateMachine):
    """Device 1, a thief of its key, and a contact who is shown some of their lists."""

    def __init__(self) -> None:
        """Everybody has seen the first list."""
        super().__init__()
        self.clock = FakeClock()
        self.phone = make_device(ANA, clock=self.clock, policy=Policy(max_devices=4))
        ensure_own_list(self.phone._context)
        self.thief = Household(OWN, "thief", self.phone._context.identity_key_pair)
        self.seen = self.signed = self.held
        self.rival: SignedDeviceList | None = None  # of what is seen, and
        self.noted: SignedDeviceList | None = None  # of what the phone holds
        self.drawn = 0

    @property
    def held(self) -> SignedDeviceList:
        signed = account(self.phone, OWN).held
        assert signed is not None
        return signed

    @property
    def numbers(self) -> list[int]:
        return [each.device for each in self.held.list.devices]

    @property
    def is_undecided(self) -> bool:
        own = own_account(self.phone)
        return own.must_reset or own.conflict

    # What the phone does.

    @rule()
    def link(self) -> None:
        self.drawn += 1
        try:
            number = number_for_device(self.phone._context)
        except (DevicesConflict, InvalidArgument):
            assert self.is_undecided or len(self.numbers) == 4
            return
        assert not self.is_undecided
        assert number not in self.numbers
        new = candidate(self.phone, number, seed=str(self.drawn))
        add_device(self.phone._context, new.entry, "laptop", new.token_hash)
        assert number in self.numbers

    @rule(place=st.integers(0, 3), asked=st.booleans())
    def unlink(self, place: int, asked: bool) -> None:
        others = self.numbers[1:]
        if not others:
            return
        number, before = others[place % len(others)], self.held
        was_undecided = self.is_undecided
        if asked:
            with self.phone._context.store.transaction() as tx:
                request_unlink(self.phone._context, tx, number)
        else:
            with suppress(DevicesConflict):
                unlink_device(self.phone._context, number)
        if was_undecided:
            assert self.held == before
        else:
            assert number not in self.numbers

    @rule(days=st.sampled_from([-3, 1, 7, 40]))
    def renew(self, days: int) -> None:
        self.clock.advance(days * DAY_MS)
        before, was_undecided = self.held, self.is_undecided
        renew_if_due(self.phone._context)
        if self.held != before:
            assert not was_undecided
            assert self.held.list.devices == before.list.devices

    @rule(data=st.binary(max_size=3))
    def change_capabilities(self, data: bytes) -> None:
        for number in self.numbers[1:2]:
            with self.phone._context.store.transaction() as tx:
                request_capabilities(self.phone._context, tx, number, data)

    @rule()
    def restore_store(self) -> None:
        """Its store is opened as restored, and is as it was."""
        own = own_account(self.phone)
        with self.phone._context.store.transaction() as tx:
            put_own_account(tx, replace(own, must_reset=True))
        finish_restore(self.phone._context)
        assert not own_account(self.phone).must_reset or len(self.numbers) > 1 or self.is_undecided

    @precondition(lambda self: self.is_undecided)
    @rule(data=st.data())
    def decide(self, data: st.DataObject) -> None:
        keep = data.draw(st.sets(st.sampled_from(self.numbers)))
        restore_devices(self.phone._context, keep)
        assert not self.is_undecided
        assert self.numbers == sorted({1, *keep})

    # What the thief does.

    @rule(
        ahead=st.integers(-5, 50) | st.integers(0, 20_000),
        hosting=st.sampled_from([0, 0, 2]),
        knows=st.booleans(),
        shows=st.booleans(),
        reaches=st.booleans(),
    )
    def sign_as_thief(
        self, ahead: int, hosting: int, knows: bool, shows: bool, reaches: bool
    ) -> None:
        """Sign something newer, of the same number, or of one that was; show it to somebody."""
        newest = max((self.seen, self.held), key=lambda signed: signed.list.seq)
        seq = max(1, newest.list.seq + ahead)
        signed = (
            self.thief.sign(
                seq,
                previous=newest if knows else bytes(32) if seq > 1 else b"",
                devices=(1, 99),
                hosting=hosting,
                signed_at_ms=self.clock(),
            )
            if seq > 1
            else self.thief.sign(1, devices=(1, 99), hosting=hosting)
        )
        if shows:
            self.show(signed)
        if shows or reaches:  # what a contact has seen comes back with hints
            context = self.phone._context
            with context.store.transaction() as tx:
                take_list(context, tx, OWN, signed, self.clock())

    # What the contact sees.

    def show(self, signed: SignedDeviceList) -> Verdict:
        verify_list(signed, self.seen)
        verdict = judge(signed, OWN, self.seen.list.account_key, self.seen, self.rival)
        if verdict in (Verdict.NEWER, Verdict.RESET):
            self.seen, self.rival = signed, None
        elif verdict is Verdict.FORK and self.rival is None:
            self.rival = signed
        return verdict

    @precondition(lambda self: not self.is_undecided)
    @rule()
    def meet(self) -> None:
        """The contact is shown the newest list of device 1, which has nothing to decide."""
        self.show(self.held)
        assert self.seen == self.held
        assert self.rival is None

    @invariant()
    def lists_go_on(self) -> None:
        """What was signed follows what was signed before, verifies, and has its bounds."""
        after, before = self.held, self.signed
        rival, self.noted = self.noted, account(self.phone, OWN).rival
        if after == before:
            return
        verify_list(after)
        assert SignedDeviceList.decode(after.encode()) == after
        assert after.list.seq > before.list.seq
        assert after.list.hosting >= before.list.hosting
        key = self.phone._context.identity_key_pair.public
        assert judge(after, OWN, key, before, rival) in (Verdict.NEWER, Verdict.RESET)
        self.signed = after


TestOwnList = OwnList.TestCase
TestOwnList.settings = settings(stateful_step_count=30)
