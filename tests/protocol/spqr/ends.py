# SPDX-License-Identifier: Apache-2.0
"""Two ends of the SPQR ratchet, and what happened at them."""

import random
from collections.abc import Callable
from typing import NamedTuple

from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.spqr_kdf import AuthKey, SpqrKey
from e2ecross.errors import RemoteError
from e2ecross.protocol.spqr.machine import Machine, Stage
from e2ecross.protocol.spqr.state import (
    SpqrState,
    find_spqr_key,
    spqr_send,
    start_spqr,
    use_spqr_key,
)
from e2ecross.wire.spqr_message import SpqrKind, SpqrMessage, decode_spqr_message
from tests.support.entropy import SeededEntropy

__all__ = ["AUTH_KEY", "JUMP", "Ends", "Sent", "converse", "machine_of", "receive"]

AUTH_KEY = AuthKey(bytes(range(32)))
JUMP = 25_000

Transition = tuple[Stage, SpqrKind | None, Stage]


class Sent(NamedTuple):
    data: bytes
    key: SpqrKey | None

    @property
    def message(self) -> SpqrMessage:
        return decode_spqr_message(self.data)


def machine_of(state: SpqrState | None) -> Machine:
    assert state is not None
    return state.machine


def receive(
    state: SpqrState | None, data: bytes, *, may_have_no_key: bool = False, jump: int = JUMP
) -> tuple[SpqrState | None, SpqrKey | None]:
    found = find_spqr_key(state, data, jump, may_have_no_key=may_have_no_key)
    return use_spqr_key(state, found), found.key


class Ends:
    """Initiator (0) and responder (1).

    Attributes:
        states: of both.
        transitions: that happened: stage before, kind received (None: sent), stage after.
        keep: called with each new state, and gives the one to go on with.
    """

    def __init__(
        self,
        seed: int | str = 0,
        required: tuple[bool, bool] = (True, True),
        keep: Callable[[int, SpqrState], SpqrState] = lambda _, state: state,
    ) -> None:
        self.entropy: list[EntropySource] = [SeededEntropy(f"{seed}/{end}") for end in (0, 1)]
        self.keep = keep
        self.states: list[SpqrState | None] = [
            keep(end, start_spqr(AUTH_KEY, is_initiator=end == 0, is_required=required[end]))
            for end in (0, 1)
        ]
        self.transitions: set[Transition] = set()

    def send(self, end: int) -> Sent:
        before = self.states[end]
        state, data, key = spqr_send(before, self.entropy[end])
        self._advance(end, None, state)
        return Sent(data, key)

    def deliver(self, end: int, data: bytes) -> SpqrKey | None:
        kind = decode_spqr_message(data).kind if data else None
        state, key = receive(self.states[end], data, may_have_no_key=end == 1)
        self._advance(end, kind, state)
        return key

    def _advance(self, end: int, kind: SpqrKind | None, state: SpqrState | None) -> None:
        before = self.states[end]
        if before is not None and state is not None:
            self.transitions.add((before.machine.stage, kind, state.machine.stage))
            state = self.keep(end, state)
        self.states[end] = state

    def exchange(self, end: int) -> None:
        """Send from an end, and deliver."""
        sent = self.send(end)
        assert self.deliver(1 - end, sent.data) == sent.key

    def until(self, end: int, *stages: Stage, limit: int = 400) -> None:
        """Ping-pong until an end is in one of the stages."""
        for turn in range(limit):
            if machine_of(self.states[end]).stage in stages:
                return
            self.exchange(turn % 2)
        raise AssertionError(f"{stages} not reached")

    def epochs(self) -> tuple[int, int]:
        return machine_of(self.states[0]).epoch, machine_of(self.states[1]).epoch


def converse(ends: Ends, rng: random.Random, steps: int, loss: float, late: float) -> int:
    """Send, lose, delay and repeat messages at random; return how many were read.

    Every message that is read has its key; any other one is refused with an error of ours.
    """
    queues: list[list[Sent]] = [[], []]
    used: set[bytes] = set()
    read = 0
    for _ in range(steps):
        end = rng.randrange(2)
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            queues[1 - end].append(ends.send(end))
        queue = queues[end]
        while queue and rng.random() > late:
            sent = queue.pop(rng.randrange(len(queue)) if rng.random() < late else 0)
            if rng.random() < loss:
                continue
            for _ in range(rng.choice((1, 1, 1, 2))):
                try:
                    key = ends.deliver(end, sent.data)
                except RemoteError:
                    state = ends.states[end]
                    assert state is not None
                    oldest = state.chains.epochs[0].epoch
                    assert sent.data in used or sent.message.epoch - 1 < oldest
                else:
                    assert key is not None
                    assert key == sent.key
                    assert sent.data not in used
                    used.add(sent.data)
                    read += 1
    return read
