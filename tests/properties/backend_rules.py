# SPDX-License-Identifier: Apache-2.0
"""Rules of a state machine: what a back end does to whom it serves."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from e2ecross import Address
from e2ecross.errors import BackendError
from tests.properties.hostile_backend import (
    BUNDLE_LIES,
    NUMBER_LIES,
    REFUSALS,
    LyingBackend,
    Snapshot,
)
from tests.support.devices import ANA, BUDI, TOKO

__all__ = ["PEOPLE", "TOO_HIGH", "BackendRules", "index", "who"]

PEOPLE = (ANA, BUDI, TOKO)
METHODS = ("register", "publish", "publish_devices", "epochs", "one_time_prekey_count",
           "fetch_keys", "deposit_all", "fetch", "acknowledge")  # fmt: skip

TOO_HIGH = (1, 5, 10**6, 2**63)

who = st.sampled_from(PEOPLE)
index = st.integers(0, 2**16)


class BackendRules(RuleBasedStateMachine):
    """A back end that does whatever it likes."""

    def __init__(self, backend: LyingBackend) -> None:
        super().__init__()
        self.backend = backend
        self.snapshots: list[Snapshot] = []

    @rule(whose=who, what=st.sampled_from(("lose", "damage", "damage", "garble")), which=index)
    def harm(self, whose: Address, what: str, which: int) -> None:
        """Lose or change an envelope in a mailbox."""
        box = self.backend.mailbox(whose)
        if box:
            place = which % len(box)
            if what == "damage":
                self.backend.damage(whose, place, which)
            elif what == "lose":
                self.backend.lose(whose, place)
            else:
                self.backend.garble(whose, place)

    @rule(whose=who, which=index)
    def replay(self, whose: Address, which: int) -> None:
        """Put anything that ever came for somebody into the mailbox again."""
        ever = [d for d, fate in self.backend.fates.items() if fate.envelope.recipient == whose]
        if ever:
            self.backend.inject(whose, ever[which % len(ever)])

    @rule(whose=who, order=st.randoms(use_true_random=False))
    def reorder(self, whose: Address, order: Any) -> None:  # noqa: ANN401
        """Hand out in another order."""
        places = list(range(len(self.backend.mailbox(whose))))
        order.shuffle(places)
        self.backend.reorder(whose, places)

    @rule(lie=st.sampled_from(sorted(NUMBER_LIES)), hides=st.booleans())
    def lie_about_numbers(self, lie: str, hides: bool) -> None:
        """Hand out once under wrong numbers; or, the next time, nothing."""
        self.backend.number_lies.append(NUMBER_LIES[lie])
        self.backend.hides += int(hides)

    @rule(method=st.sampled_from(METHODS), late=st.booleans(), error=st.sampled_from(REFUSALS))
    def fail(self, method: str, late: bool, error: type[BackendError]) -> None:
        """Lose a call, or its answer, or refuse it."""
        if late:
            self.backend.lose_answer(method)
        else:
            self.backend.fail(method, error("a lie") if method != "register" else None)

    @rule(whom=who, errors=st.lists(st.sampled_from(REFUSALS), min_size=1, max_size=3))
    def refuse(self, whom: Address, errors: list[type[BackendError]]) -> None:
        """Refuse the next envelopes for somebody."""
        self.backend.refusals.setdefault(whom, []).extend(errors)

    @rule(whom=who)
    def go_down(self, whom: Address) -> None:
        """Be out of reach where somebody's mailbox is; or in reach again."""
        self.backend.down_for ^= {whom}

    @rule(count=st.sampled_from((-1, 0, 10**12)), times=st.integers(1, 5))
    def miscount(self, count: int, times: int) -> None:
        """Count prekeys wrongly."""
        self.backend.counts += [count] * times

    @rule(whose=who, lie=st.sampled_from(BUNDLE_LIES))
    def hand_out(self, whose: Address, lie: str) -> None:
        """Hand out wrong keys, or none."""
        self.backend.bundle_lies.setdefault(whose, []).append(lie)

    @rule()
    def tell_no_epochs(self) -> None:
        """Forget what devices have told of their stores."""
        self.backend.tells_no_epoch ^= True

    @rule(whose=who, by=st.sampled_from(TOO_HIGH), is_true=st.booleans())
    def tell_too_high_epochs(self, whose: Address, by: int, is_true: bool) -> None:
        """Tell a device that more was seen of it than there ever was; or tell the truth again."""
        self.backend.epoch_lies.pop(whose, None)
        if not is_true:
            self.backend.epoch_lies[whose] = by

    @rule()
    def back_up(self) -> None:
        """Copy the back end's state."""
        self.snapshots.append(self.backend.snapshot())

    @precondition(lambda self: self.snapshots)
    @rule(which=index)
    def put_back(self, which: int) -> None:
        """Put the back end back to an earlier state."""
        self.backend.put_back(self.snapshots[which % len(self.snapshots)])
