# SPDX-License-Identifier: Apache-2.0
"""A forged message that claims a jump costs a bounded walk, and nothing of it is kept.

The attacker: a back end that writes messages in Ana's name, with the numbers and public keys that
cost most, to a device with as many sessions and stored message keys as there can be. What is
counted here is steps along chains, one HMAC each; docs/assurance.md has them in milliseconds.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2ecross.errors import AuthenticationFailed, TooManySkipped
from e2ecross.protocol import message_chain, root_chain
from e2ecross.stores import SQLiteStore
from e2ecross.wire.limits import (
    MAX_CHAIN_STEPS_PER_MESSAGE,
    MAX_FORWARD_JUMP,
    MAX_FORWARD_JUMP_ARCHIVED,
    MAX_SKIPPED_KEYS_ARCHIVED,
    MAX_SKIPPED_KEYS_PER_SESSION,
    MAX_UINT32,
)
from tests.attacks.crowded import crowded_rows, forgeries, sessions_of
from tests.attacks.support import (
    Person,
    assert_refused,
)
from tests.fuzz.world import load

JUMPS = [0, 1, 780, 781, 2000, 2001, 12_500, 25_000, 25_001, MAX_UINT32]
STORE_KEY = bytes(range(32))


@pytest.fixture(params=["memory", "sealed file"])
def crowded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Person, Person]]:
    ana, budi, rows = crowded_rows()
    store = None
    if request.param == "sealed file":
        store = SQLiteStore(tmp_path / "budi.db", key=STORE_KEY)
    victim = load(budi, rows, store)
    yield ana, victim
    victim.store.close()


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
    count(message_chain, "derive_message_key")
    count(message_chain, "derive_message_and_chain_key")
    count(root_chain, "agree")
    return counted


def test_no_forged_message_walks_further_and_nothing_is_stored(
    crowded: tuple[Person, Person], work: Counter[str]
) -> None:
    ana, budi = crowded
    jumps = [780, 25_000] if isinstance(budi.store, SQLiteStore) else JUMPS
    for name, (forge, longest, sessions) in forgeries(budi).items():
        for jump in jumps:
            envelope = forge(jump)
            work.clear()
            assert_refused(budi, envelope, AuthenticationFailed, TooManySkipped)
            tried = sessions
            if jump > MAX_FORWARD_JUMP_ARCHIVED:
                tried = 1
            if jump:
                tried = min(tried, MAX_CHAIN_STEPS_PER_MESSAGE // jump)
            if jump > longest:
                tried = 0
            steps = tried * jump
            if name == "chain of an archived one":  # the current session is tried before it
                first = sessions_of(budi)[-1].ratchet.receiving[-1].message_number + jump
                if first <= MAX_FORWARD_JUMP:
                    steps, tried = steps + first, tried + 1
            assert work["derive_next_chain_key"] == steps, (name, jump)
            # Its own key alone: none of those that it skips.
            assert work["derive_message_and_chain_key"] == tried, (name, jump)
            assert not work["derive_message_key"], (name, jump)
            assert work["agree"] <= sessions + (name == "chain of an archived one"), (name, jump)
            assert work["derive_next_chain_key"] <= MAX_CHAIN_STEPS_PER_MESSAGE
    # All of it did no harm.
    assert budi.read(ana.send(budi, "genuine")) == "genuine"


def test_what_is_loaded_for_a_message_is_bounded(crowded: tuple[Person, Person]) -> None:
    _, budi = crowded
    stored = [
        sum(len(chain.skipped) for chain in session.ratchet.receiving)
        for session in sessions_of(budi)
    ]
    assert stored[0] == MAX_SKIPPED_KEYS_PER_SESSION
    assert sum(stored[1:]) == MAX_SKIPPED_KEYS_ARCHIVED
