# SPDX-License-Identifier: Apache-2.0
"""Copies among other envelopes, beside a model: any order of calls, repetitions, restarts, resets.

What waits is that of a model that keeps every envelope whole; and no shared ciphertext is there
without its copies, or one too many.
"""

from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import invariant, rule

from e2ecross.address import Address
from e2ecross.errors import BackendError, NotRegistered
from e2ecross.relay import Relay
from tests.relay.support import copies, shared_rows, token
from tests.relay.test_mailbox_model import LIMITS, NOBODY, PEOPLE, MailboxModel

CROWD = st.sets(PEOPLE | st.just(NOBODY), min_size=1)
OTHER_IDS = 100
"""An envelope of the same id would have another ciphertext; that is another test."""


class CopiesModel(MailboxModel):
    def open(self) -> Relay:
        return Relay(self.path, authorise=lambda *_: True, limits=LIMITS, clock=self.clock)

    @property
    def path(self) -> Path:
        return Path(self.folder.name) / "relay.db"

    @rule(sender=PEOPLE, crowd=CROWD, numbers=st.sets(st.integers(0, 12)), epoch=st.integers(0, 5))
    def deposit_copies(
        self, sender: Address, crowd: set[Address], numbers: set[int], epoch: int
    ) -> None:
        """Messages with any recipients; the same id may come again with others."""
        if not crowd - {sender}:
            return
        for number in sorted(numbers):
            message = copies(sender, OTHER_IDS + number, *(crowd - {sender}))
            expected: dict[int, type[BackendError]] = {}
            for place, recipient in enumerate(message.recipients):
                error = self.hear(sender, message.encode_for(recipient))
                if error is not None:
                    expected[place] = error
            answer = self.relay.deposit_copies(token(sender), message.encode(), epochs={0: epoch})
            assert {n: type(error) for n, error in answer.refused.items()} == expected
            assert answer.epochs == ({0: self.epochs[sender]} if epoch else {})
            self.epochs[sender] = max(self.epochs[sender], epoch)

    @rule(sender=PEOPLE, other=PEOPLE, recipient=PEOPLE)
    def deposit_for_another(self, sender: Address, other: Address, recipient: Address) -> None:
        if sender not in (other, recipient):
            data = copies(sender, OTHER_IDS, recipient).encode()
            with pytest.raises(NotRegistered):
                self.relay.deposit_copies(token(other), data, epochs={0: 9})

    @rule(owner=PEOPLE)
    def reset(self, owner: Address) -> None:
        """Claim it under another token: what waits goes as if it had been acknowledged."""
        for generation in (1, 0):
            self.relay.register(owner, token(owner, generation))
        for data in self.waiting[owner]:
            self.forgotten_at[data] = self.clock.now_ms + LIMITS.remembered_ms
        self.waiting[owner].clear()
        self.epochs[owner] = 0

    @invariant()
    def what_is_shared_has_its_copies(self) -> None:
        shared_rows(self.path)

    @invariant()
    def all_is_fetched_whole(self) -> None:
        for owner, box in self.waiting.items():
            after, found = 0, list[bytes]()
            while page := self.relay.fetch(owner, token(owner), LIMITS.fetch_messages, after):
                after = page[-1].number
                found += [data for _, data in page]
            assert found == box


TestCopies = CopiesModel.TestCase
