# SPDX-License-Identifier: Apache-2.0
"""In version 4, where either ratchet can be told to jump, a forged message costs a bounded walk.

The attacker: a back end that writes messages in Ana's name, with the numbers that cost most in both
ratchets at once, to a device with as many sessions of version 4 as there can be. What is counted
here is steps along chains; docs/assurance.md has them in milliseconds.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import pytest

from e2ecross import Envelope, MessageKind, Policy
from e2ecross.crypto.keys import generate_key_pair
from e2ecross.errors import AuthenticationFailed, DuplicateMessage, TooManySkipped
from e2ecross.protocol import message_chain, root_chain
from e2ecross.protocol.session import Session
from e2ecross.protocol.spqr import epoch_chains
from e2ecross.state.session_store import load_sessions
from e2ecross.wire.limits import (
    MAX_ARCHIVED_SESSIONS,
    MAX_CHAIN_STEPS_PER_MESSAGE,
    MAX_FORWARD_JUMP,
    MAX_FORWARD_JUMP_ARCHIVED,
    MAX_FORWARD_JUMP_PQ,
    MAX_UINT32,
    SPQR_STEP_COST,
)
from e2ecross.wire.spqr_message import SpqrKind, SpqrMessage, encode_spqr_message
from tests.attacks.support import (
    ANA,
    BUDI,
    TOKO,
    Person,
    Rows,
    assert_refused,
    edit_wrapper,
    meet,
    person,
)
from tests.attacks.support_4 import spqr_of
from tests.fuzz.world import load
from tests.support import protobuf
from tests.support.entropy import SeededEntropy

SESSIONS = MAX_ARCHIVED_SESSIONS + 1
NEW_KEY = generate_key_pair(SeededEntropy("forger")).public
REFUSED = (AuthenticationFailed, DuplicateMessage, TooManySkipped)
LIMITS = [MAX_FORWARD_JUMP_PQ, MAX_FORWARD_JUMP]

Forge = Callable[[int, int], Envelope]


@cache
def _crowded() -> tuple[Person, Person, Rows]:
    """Ana, Budi, and Budi's rows: full of sessions with Ana."""
    ana, budi = person(ANA), person(BUDI, one_time=SESSIONS + 4)
    for _ in range(SESSIONS):
        meet(ana, budi, kyber=True)
    return ana, budi, budi.dump()


@pytest.fixture(params=LIMITS, ids=["default policy", "highest policy"])
def crowded(request: pytest.FixtureRequest) -> tuple[Person, Person]:
    ana, budi, rows = _crowded()
    allows = replace(budi, policy=Policy(max_forward_jump=request.param))
    return ana, load(allows, rows)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often what costs time is called."""
    counted: Counter[str] = Counter()

    def count(module: Any, name: str) -> None:  # noqa: ANN401
        genuine = getattr(module, name)

        def counting(*arguments: Any) -> Any:  # noqa: ANN401
            counted[name] += 1
            return genuine(*arguments)

        monkeypatch.setattr(module, name, counting)

    count(message_chain, "derive_next_chain_key")
    count(epoch_chains, "derive_next_link")
    count(epoch_chains, "derive_link")
    count(root_chain, "agree")
    return counted


def _signal(ratchet_key: bytes, counter: int, index: int) -> bytes:
    said = encode_spqr_message(SpqrMessage(1, index, SpqrKind.NONE, 0, b""))
    items: list[protobuf.Field] = [(1, ratchet_key), (2, counter), (3, MAX_UINT32)]
    return b"\x44" + protobuf.message([*items, (4, bytes(96)), (5, said)]) + bytes(8)


def _sessions(budi: Person) -> list[Session]:
    with budi.store.transaction() as tx:
        record = load_sessions(tx, ANA)
    assert record.current is not None
    return [record.current, *record.archived]


def _forgeries(budi: Person) -> dict[str, tuple[Forge, bool]]:
    """By name: how to forge for jumps in both ratchets, and whether one session alone is asked."""
    sessions = _sessions(budi)
    current, archived = sessions[0], sessions[-1]
    last = spqr_of(current).chains.epochs[0].receiving.counter
    toko = person(TOKO)
    wrapped = {}
    for one_time in (True, False):
        toko.device.start_session(budi.bundle(one_time=one_time, kyber=True))
        wrapped[one_time] = replace(toko.send(budi, "hello"), sender=ANA)

    def plain(key: bytes, start: int = 0) -> Forge:
        return lambda jump, pq_jump: Envelope(
            bytes(16),
            ANA,
            BUDI,
            MessageKind.SIGNAL,
            _signal(key, min(start + jump, MAX_UINT32), min(last + pq_jump, MAX_UINT32)),
        )

    def inside(around: Envelope, **edits: Any) -> Forge:  # noqa: ANN401
        return lambda jump, pq_jump: edit_wrapper(
            around, message=_signal(NEW_KEY, jump, min(max(pq_jump, 1), MAX_UINT32)), **edits
        )

    def repeated(session: Session) -> Forge:
        return inside(
            wrapped[True],
            base_key=session.base_key,
            identity_key=session.remote_identity_key,
        )

    def newest(session: Session) -> tuple[bytes, int]:
        chain = session.ratchet.receiving[-1]
        return chain.ratchet_key, chain.message_number

    return {
        "unknown chain": (plain(NEW_KEY), False),
        "chain of the current session": (plain(*newest(current)), True),
        "chain of an archived one": (plain(*newest(archived)), False),
        "first message": (inside(wrapped[True]), True),
        "first message without one-time prekey": (inside(wrapped[False]), True),
        "repeated first message": (repeated(current), True),
        "repeated, of an archived session": (repeated(archived), True),
    }


def test_no_forged_message_walks_further_and_nothing_is_stored(
    crowded: tuple[Person, Person], work: Counter[str]
) -> None:
    ana, budi = crowded
    limit = budi.policy.max_forward_jump
    jumps = [1, MAX_FORWARD_JUMP_ARCHIVED, limit - 1, limit, limit + 1, MAX_UINT32]
    most: Counter[str] = Counter()
    for name, (forge, alone) in _forgeries(budi).items():
        for jump, pq_jump in product(jumps, repeat=2):
            if jump != pq_jump and {jump, pq_jump} <= {1, limit - 1, MAX_FORWARD_JUMP_ARCHIVED}:
                continue  # nothing new, and it takes long
            work.clear()
            assert_refused(budi, forge(jump, pq_jump), *REFUSED)
            walked, pq_walked = work["derive_next_chain_key"], work["derive_next_link"]
            cost = walked + SPQR_STEP_COST * pq_walked
            if alone:
                assert walked <= limit, (name, jump, pq_jump)
                assert pq_walked <= limit, (name, jump, pq_jump)
            assert cost <= max((1 + SPQR_STEP_COST) * limit, MAX_CHAIN_STEPS_PER_MESSAGE)
            assert work["derive_link"] <= SESSIONS
            assert work["agree"] <= SESSIONS + 1
            most[name] = max(most[name], cost)
    # The bound is reached where it may be: the walks are those that are counted.
    assert most["chain of the current session"] >= 0.9 * (1 + SPQR_STEP_COST) * limit
    assert most["first message"] >= 0.9 * (1 + SPQR_STEP_COST) * limit
    # All of it did no harm.
    assert budi.read(ana.send(budi, "genuine")) == "genuine"


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("over", [0, 1])
def test_the_jump_that_is_allowed_and_the_next(limit: int, over: int) -> None:
    """SPQR counts from the last key that was used, and so it is the one that refuses."""
    ana, budi = person(ANA), person(BUDI, policy=Policy(max_forward_jump=limit))
    meet(ana, budi, kyber=True)
    assert budi.read(ana.send(budi, "a chain of its own")) == "a chain of its own"
    for _ in range(limit - 1 + over):
        ana.send(budi, "lost")
    last = ana.send(budi, "last")
    if over:
        assert_refused(budi, last, TooManySkipped)
    else:
        assert budi.read(last) == "last"
