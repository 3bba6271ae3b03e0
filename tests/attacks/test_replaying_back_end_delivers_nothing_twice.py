# SPDX-License-Identifier: Apache-2.0
"""A client hands over each message once as new, whatever numbers its back end gives it.

The attacker: a back end that delivers mail again, under the same number, a new one, an old one or
none that makes sense, before and after the app has confirmed it, restarted, or replaced its keys.
What is compared: all tables but the inbox (where a failure is noted) and the device's own record
(which counts the rows of the inbox).
"""

from dataclasses import replace
from pathlib import Path

import pytest

from e2ecross import Envelope, Policy, PreKeyBundle
from e2ecross.stores import SQLiteStore, Store
from tests.attacks.hostile_backend import (
    FEW_PREKEYS,
    NEVER_ASKS,
    HostileBackend,
    Party,
    party,
    results,
)
from tests.attacks.support import ANA, BUDI, NOW_MS

DAY_MS = 24 * 60 * 60 * 1000


def _without_one_time_prekey(bundle: PreKeyBundle) -> PreKeyBundle:
    return replace(bundle, one_time_prekey_id=None, one_time_prekey=None)


@pytest.fixture(params=[True, False], ids=["one-time prekey", "no one-time prekey"])
def scene(request: pytest.FixtureRequest) -> tuple[HostileBackend, Party, Party]:
    """Ana and Budi, who have never met; with or without a one-time prekey."""
    backend = HostileBackend()
    if not request.param:
        backend.bundle_lie = _without_one_time_prekey
    return backend, party(ANA, backend), party(BUDI, backend)


def _talk(ana: Party, budi: Party) -> list[Envelope]:
    """Everything that Budi has received: of two chains, the first one with wrappers."""
    seen = [ana.send(budi, f"first {number}") for number in range(3)]
    assert budi.receive() == ["first 0", "first 1", "first 2"]
    budi.send(ana, "answer")
    assert ana.receive() == ["answer"]
    seen += [ana.send(budi, f"second {number}") for number in range(3)]
    assert budi.receive() == ["second 0", "second 1", "second 2"]
    return seen


def _assert_all_refused(budi: Party, seen: list[Envelope], *, asks: bool = False) -> None:
    """Nothing is shown, and nothing changes; but what is forgotten may be asked for again."""
    before = budi.rest()
    budi.backend.plant(BUDI, seen)
    words = budi.receive()
    assert len(words) == len(seen)
    assert set(words) <= {"duplicate_message", "unknown_prekey", "authentication_failed"}
    if asks:
        budi.assert_only_asked(before)
    else:
        assert budi.rest() == before


def test_under_new_numbers(scene: tuple[HostileBackend, Party, Party]) -> None:
    _, ana, budi = scene
    seen = _talk(ana, budi)
    _assert_all_refused(budi, seen)
    _assert_all_refused(budi, seen[::-1])
    budi.restart()
    _assert_all_refused(budi, seen)
    ana.send(budi, "goes on")
    assert budi.receive() == ["goes on"]


@pytest.mark.parametrize("policy", [NEVER_ASKS, FEW_PREKEYS], ids=["never asks", "asks"])
def test_after_signed_prekeys_were_replaced_and_deleted(
    scene: tuple[HostileBackend, Party, Party], policy: Policy
) -> None:
    """After 80 days Budi has forgotten which messages there were, and Ana what she has sent."""
    backend, ana, _ = scene
    backend.forget(BUDI)
    budi = party(BUDI, backend, policy=policy)
    seen = _talk(ana, budi)
    for days in (8, 40, 80):
        for who in (ana, budi):
            who.person.clock.now_ms = NOW_MS + days * DAY_MS
        budi.client.maintain()
        _assert_all_refused(budi, seen, asks=days == 80 and policy is not NEVER_ASKS)
        assert ana.receive() == []
        assert backend.waiting(BUDI) == []


def test_after_newer_sessions(scene: tuple[HostileBackend, Party, Party]) -> None:
    """The session that read them is an archived one."""
    _, ana, budi = scene
    seen = _talk(ana, budi)
    for _ in range(3):
        bundle = ana.backend.fetch_bundle(ANA, _token(ana), BUDI)
        ana.person.device.start_session(bundle)
        seen.append(ana.send(budi, "new session"))
        assert budi.receive() == ["new session"]
    _assert_all_refused(budi, seen)


def test_under_the_same_numbers(scene: tuple[HostileBackend, Party, Party]) -> None:
    """A back end that never forgets: not in one call, not in the next, not after a restart."""
    backend, ana, budi = scene
    seen = [ana.send(budi, str(number)) for number in range(4)]
    box = [(number, envelope.encode()) for number, envelope in enumerate(seen, 1)]
    backend.mail_lie = lambda _: box
    items = budi.client.receive()
    assert results(items) == ["0", "1", "2", "3"]
    # It was told that they have arrived: what comes now is told as a failure, never as a message.
    rest = budi.rest()
    assert set(results(budi.client.receive())) <= {"duplicate_message"}
    assert budi.rest() == rest
    # Not confirmed and restarted: again, but from the inbox, flagged, and decrypted once.
    budi.restart()
    again = budi.client.receive()
    assert results(again)[:4] == ["0", "1", "2", "3"]
    assert set(results(again)[4:]) <= {"duplicate_message"}
    assert all(item.redelivered for item in again[:4])
    budi.client.confirm(again)
    assert budi.rest() == rest
    # Confirmed: what comes now is told as a failure, never as a message.
    for _ in range(2):
        assert set(budi.receive()) <= {"duplicate_message"}
        budi.restart()
    assert budi.rest() == rest


def test_under_numbers_that_were_given_before(
    scene: tuple[HostileBackend, Party, Party],
) -> None:
    """Two messages under one number, descending and repeated numbers: some are lost, none twice."""
    backend, ana, budi = scene
    seen = [ana.send(budi, str(number)).encode() for number in range(4)]
    words: list[str] = []
    for box in (
        [(2, seen[0]), (2, seen[1]), (1, seen[2])],
        [(2, seen[1]), (2, seen[0])],
        [(5, seen[2]), (4, seen[3]), (5, seen[0])],
        [(9, seen[2]), (10, seen[3]), (11, seen[3]), (2**63, seen[3])],
        [(0, seen[0]), (-1, seen[1])],
    ):
        backend.mail_lie = lambda after, box=box: [item for item in box if item[0] > after]
        words += budi.receive()
    texts = [word for word in words if word.isdecimal()]
    assert len(texts) == len(set(texts)) >= 3


def test_the_app_is_asked_once_for_all_of_it(tmp_path: Path) -> None:
    """From a file, through restarts of the process between any two calls."""
    backend = HostileBackend()
    stores = [SQLiteStore(tmp_path / "budi.db")]
    ana, budi = party(ANA, backend), party(BUDI, backend, stores[0])
    seen = [ana.send(budi, str(number)) for number in range(3)]

    def reopen() -> None:
        stores.pop().close()
        store: Store = SQLiteStore(tmp_path / "budi.db")
        stores.append(store)  # type: ignore[arg-type]
        budi.person.store = store
        budi.restart()

    fresh: list[str] = []
    for _ in range(3):
        backend.plant(BUDI, seen)
        items = budi.client.receive()
        fresh += [word for word in results(items) if word.isdecimal()]
        budi.client.confirm(items)
        reopen()
    assert sorted(fresh) == ["0", "1", "2"]
    stores.pop().close()


def _token(who: Party) -> bytes:
    return who.client._way().token.value
