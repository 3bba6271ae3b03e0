# SPDX-License-Identifier: Apache-2.0
"""A store that was put back to an older state is refused, or re-keyed; never silently used.

The attacker: copies the store, lets the device go on, and puts the copy back. (So does every
backup of a platform.) Then compares all ciphertexts of both timelines, and plays back what the
device has received in the one that was lost.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from e2ecross import Device, Envelope, PublishedKeys, Text
from e2ecross.errors import (
    AuthenticationFailed,
    DuplicateMessage,
    NoSession,
    RemoteError,
    RestoredStore,
    UnknownPrekey,
    UnknownSession,
)
from e2ecross.protocol import ratchet
from e2ecross.stores import MemoryStore, SQLiteStore
from e2ecross.wire.signal_message import SignalMessage, decode_signal_message
from tests.attacks.support import ANA, BUDI, TOKO, Person, inner_message, meet, person
from tests.support.entropy import SeededEntropy
from tests.support.restores import Copy, put_back, take_copy
from tests.support.witness import Keychain

Pair = tuple[bytes, bytes]


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[Pair]:
    """Every (cipher key, IV) that something was encrypted with, by anybody, in any timeline."""
    pairs: list[Pair] = []
    genuine: Callable[[bytes, bytes, bytes], bytes] = vars(ratchet)["cbc_encrypt"]

    def spy(cipher_key: bytes, iv: bytes, plaintext: bytes) -> bytes:
        pairs.append((cipher_key, iv))
        return genuine(cipher_key, iv, plaintext)

    monkeypatch.setattr(ratchet, "cbc_encrypt", spy)
    return pairs


@dataclass
class Ana:
    """Somebody whose store is put back.

    Attributes:
        who: she, with whatever store she has at the moment.
        folder: where her store's file is, or None for a store in memory.
        keychain: her witness, or None.
        restores: how often she was opened as restored.
    """

    who: Person
    folder: Path | None
    keychain: Keychain | None
    restores: int = 0
    copies: list[Copy | Path] = field(default_factory=list)

    def back_up(self) -> int:
        """Copy the store, as it is."""
        if self.folder is None:
            self.copies.append(take_copy(self.who.store))
        else:
            self._close()
            target = self.folder / f"copy {len(self.copies)}.db"
            shutil.copy(self.folder / "ana.db", target)
            self.copies.append(target)
            self._reopen()
            self._load()
        return len(self.copies) - 1

    def put_back(self, which: int = 0) -> None:
        """Let the store be that copy; the app is not started yet."""
        copy = self.copies[which]
        if isinstance(copy, Path):
            assert self.folder is not None
            self._close()
            shutil.copy(copy, self.folder / "ana.db")
            self._reopen()
        else:
            put_back(self.who.store, copy)

    def open(self, *, restored: bool) -> None:
        """Start the app; its randomness is never what it was before."""
        self.restores += restored
        self.who.entropy = SeededEntropy(f"ana restored {self.restores} {len(self.copies)}")
        self._load(restored=restored)

    def publish(self, one_time: int = 8) -> PublishedKeys:
        """Upload new keys; they replace what the back end has."""
        published = self.who.device.publish(one_time)
        self.who.device.confirm_published(published)
        self.who.published, self.who.handed_out = published, 0
        return published

    def _load(self, *, restored: bool = False) -> None:
        who = self.who
        who.device = Device.open(
            who.store,
            policy=who.policy,
            clock=who.clock,
            entropy=who.entropy,
            witness=self.keychain,
            restored=restored,
        )

    def _close(self) -> None:
        self.who.store.close()

    def _reopen(self) -> None:
        assert self.folder is not None
        self.who.store = SQLiteStore(self.folder / "ana.db")


@pytest.fixture(params=["memory", "sqlite"])
def ana(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ana]:
    """She has talked with Budi, and has a witness."""
    folder = tmp_path if request.param == "sqlite" else None
    store = MemoryStore() if folder is None else SQLiteStore(folder / "ana.db")
    found = Ana(person(ANA, store=store), folder, Keychain())
    found._load()
    yield found
    found.who.store.close()


def numbers(envelopes: list[Envelope]) -> list[tuple[bytes, int]]:
    """Ratchet key and message number of each, as anybody can read them."""
    messages: list[SignalMessage] = [
        decode_signal_message(inner_message(envelope)) for envelope in envelopes
    ]
    return [(bytes(message.ratchet_key), message.counter) for message in messages]


def assert_nothing_is_used_twice(used: list[Pair], sent: list[Envelope], at_least: int) -> None:
    assert len(used) >= at_least
    assert len(set(used)) == len(used)
    assert len({key for key, _ in used}) == len(used)
    assert len(set(numbers(sent))) == len(sent)


# --- Refused ------------------------------------------------------------------------------------

_LOST: dict[str, Callable[[Person, Person], object]] = {
    "one message": lambda ana, budi: ana.send(budi, "lost"),
    "one raw message": lambda ana, budi: ana.device.encrypt_raw(BUDI, b"lost"),
    "one session": lambda ana, budi: ana.start(budi),
    "one publication": lambda ana, budi: ana.device.publish(1),
}


def first_message_of_toko(ana: Person, _: Person) -> None:
    toko = person(TOKO)
    toko.start(ana)
    ana.read(toko.send(ana, "hello"))


@pytest.mark.parametrize("lost", [*_LOST, "one first message"])
def test_with_a_witness_it_is_refused_and_not_changed(ana: Ana, lost: str) -> None:
    """Whatever was lost, if only one operation."""
    budi = person(BUDI)
    meet(ana.who, budi)
    ana.back_up()
    _LOST.get(lost, first_message_of_toko)(ana.who, budi)
    ana.put_back()
    before = ana.who.dump()
    for _ in range(2):
        with pytest.raises(RestoredStore):
            ana.open(restored=False)
        assert ana.who.dump() == before
    ana.open(restored=True)
    ana.open(restored=False)


def test_a_store_that_was_not_put_back_opens(ana: Ana) -> None:
    budi = person(BUDI)
    meet(ana.who, budi)
    ana.back_up()
    ana.put_back()  # nothing has happened in between
    ana.open(restored=False)
    assert budi.read(ana.who.send(budi, "nothing was lost")) == "nothing was lost"


def test_without_restored_the_same_keys_would_be_used_again(ana: Ana, used: list[Pair]) -> None:
    """That this is what the rest of this file is about, and that its search would find it."""
    budi = person(BUDI)
    meet(ana.who, budi)
    ana.who.send(budi, "so that the copy has a chain to send with")
    ana.back_up()
    sent = [ana.who.send(budi, "lost")]
    ana.put_back()
    ana.keychain = None
    ana.open(restored=False)
    sent.append(ana.who.send(budi, "again"))
    assert used[-1] == used[-2]
    assert len(set(numbers(sent))) == 1
    with pytest.raises(AssertionError):
        assert_nothing_is_used_twice(used, sent, 2)


# --- Re-keyed -----------------------------------------------------------------------------------


def test_no_key_and_no_number_is_used_twice(ana: Ana, used: list[Pair]) -> None:
    """Three timelines from one copy, and one from a copy of a restored store."""
    budi, toko = person(BUDI, one_time=40), person(TOKO, one_time=40)
    meet(ana.who, budi)
    toko.start(ana.who)
    ana.who.read(toko.send(ana.who, "hello"))
    ana.who.send(budi, "before the copy")
    ana.back_up()
    sent: list[Envelope] = []
    to_read: list[tuple[Person, Envelope]] = []
    for timeline in range(4):
        if timeline:
            ana.put_back(0 if timeline < 3 else 1)
            ana.open(restored=True)
            ana.publish()
        for peer in (budi, toko):
            if timeline:
                with pytest.raises(NoSession):
                    ana.who.send(peer, "under an old key")
                ana.who.start(peer)
            for number in range(4):
                sent.append(ana.who.send(peer, f"{timeline} {number}"))
                to_read.append((peer, sent[-1]))
        for peer, envelope in to_read[-8:]:
            peer.read(envelope)
            answer = peer.send(ana.who, "turn")
            ana.who.read(answer)
            sent += [answer, ana.who.send(peer, "turned")]
            peer.read(sent[-1])
        if timeline == 1:
            ana.back_up()
    assert_nothing_is_used_twice(used, sent, 4 * 8 * 3)


def test_a_message_that_turned_the_ratchet_before_is_read_and_answered_in_a_new_session(
    ana: Ana, used: list[Pair]
) -> None:
    """Both timelines read the same message, and answer it: the answers have nothing in common."""
    budi = person(BUDI)
    meet(ana.who, budi)
    budi.read(ana.who.send(budi, "turns his ratchet"))
    turn = budi.send(ana.who, "turns hers")
    ana.back_up()
    ana.who.read(turn)
    sent = [ana.who.send(budi, "in the lost timeline")]
    ana.put_back()
    ana.open(restored=True)
    ana.who.read(turn)
    with pytest.raises(NoSession):  # the peer may have gone on from the lost answer
        ana.who.send(budi, "in the old session")
    ana.who.start(budi)
    sent.append(ana.who.send(budi, "after the restore"))
    assert_nothing_is_used_twice(used, sent, 6)
    assert budi.read(sent[1]) == "after the restore"


def test_late_messages_still_open(ana: Ana) -> None:
    budi = person(BUDI)
    meet(ana.who, budi)
    skipped = budi.send(ana.who, "skipped")
    ana.who.read(budi.send(ana.who, "overtakes it"))
    late = budi.send(ana.who, "late")
    ana.back_up()
    ana.who.send(budi, "lost")
    ana.put_back()
    ana.open(restored=True)
    assert [ana.who.read(envelope) for envelope in (late, skipped)] == ["late", "skipped"]
    with pytest.raises(NoSession):
        ana.who.send(budi, "in the old session")
    for envelope in (late, skipped):
        with pytest.raises(DuplicateMessage):
            ana.who.device.decrypt(envelope)


def test_sessions_restart(ana: Ana, used: list[Pair]) -> None:
    """What the lost timeline has changed at the other end does not stop the two of them."""
    budi = person(BUDI)
    meet(ana.who, budi)
    ana.back_up()
    for text in ("one", "two"):
        budi.read(ana.who.send(budi, text))
        ana.who.read(budi.send(ana.who, text))
    ana.put_back()
    ana.open(restored=True)
    beyond = budi.send(ana.who, "for a ratchet that is lost")
    with pytest.raises(AuthenticationFailed):
        ana.who.device.decrypt(beyond)
    ana.publish()
    budi.start(ana.who)
    assert ana.who.read(budi.send(ana.who, "again")) == "again"
    assert budi.read(ana.who.send(budi, "good")) == "good"
    assert_nothing_is_used_twice(used, [], 8)


@pytest.mark.parametrize("one_time", [True, False])
def test_first_messages_of_the_lost_timeline_do_not_open_again(ana: Ana, one_time: bool) -> None:
    budi = person(BUDI)
    ana.back_up()
    ana.publish()
    budi.start(ana.who, one_time=one_time)
    first = budi.send(ana.who, "first")
    ana.who.read(first)
    answered = budi.send(ana.who, "wrapped as well")
    ana.put_back()
    ana.open(restored=True)
    ana.publish()
    for envelope in (first, answered):
        before = ana.who.dump()
        with pytest.raises(UnknownPrekey):
            ana.who.device.decrypt(envelope)
        assert ana.who.dump() == before


@pytest.mark.parametrize("one_time", [True, False])
def test_first_messages_from_before_the_copy_do_not_open_again(ana: Ana, one_time: bool) -> None:
    """Neither where the session is known, nor where it was pushed out of the archive."""
    budi, toko = person(BUDI), person(TOKO)
    firsts = []
    for peer in (budi, toko):
        peer.start(ana.who, one_time=one_time)
        firsts.append(peer.send(ana.who, "first"))
        ana.who.read(firsts[-1])
    ana.back_up()
    ana.who.send(budi, "lost")
    ana.put_back()
    ana.open(restored=True)
    for envelope in firsts:
        with pytest.raises(DuplicateMessage):
            ana.who.device.decrypt(envelope)


def test_sessions_of_the_lost_timeline_are_unknown(ana: Ana) -> None:
    budi = person(BUDI)
    ana.back_up()
    ana.who.start(budi)
    budi.read(ana.who.send(budi, "first"))
    answer = budi.send(ana.who, "answer")
    ana.put_back()
    ana.open(restored=True)
    with pytest.raises(UnknownSession):
        ana.who.device.decrypt(answer)


def test_prekeys_of_the_lost_timeline_are_refused_and_no_id_comes_twice(ana: Ana) -> None:
    ana.back_up()
    given: list[int] = [p.id for p in ana.who.published.one_time_prekeys]
    given.append(ana.who.published.signed_prekey.id)
    for timeline in range(6):
        published = ana.publish(20)
        given += [p.id for p in published.one_time_prekeys]
        if published.signed_prekey.id not in given or timeline:
            given.append(published.signed_prekey.id)
        stranger = person(BUDI, installation=str(timeline))
        stranger.start(ana.who)
        late = stranger.send(ana.who, "to a prekey of a lost timeline")
        if timeline == 3:
            ana.back_up()
        ana.put_back(-1)
        ana.open(restored=True)
        with pytest.raises(UnknownPrekey):
            ana.who.device.decrypt(late)
    assert len(set(given)) == len(given)


def test_what_is_known_of_contacts_is_marked_as_old(ana: Ana) -> None:
    """The lost timeline may have accepted another key, or verified this one."""
    budi = person(BUDI)
    meet(ana.who, budi)
    ana.back_up()
    new = person(BUDI, installation="new phone")
    new.start(ana.who)
    ana.who.device.decrypt(new.send(ana.who, "new phone"))
    ana.who.device.accept_identity(BUDI, new.device.identity_key)
    ana.who.send(new, "to the new one")
    ana.put_back()
    ana.open(restored=True)
    identity = ana.who.device.remote_identity(BUDI)
    assert identity is not None
    assert identity.stale
    assert identity.identity_key == budi.device.identity_key


def test_nothing_of_the_lost_timeline_is_read_twice_by_the_other_end(ana: Ana) -> None:
    budi = person(BUDI)
    meet(ana.who, budi)
    ana.back_up()
    lost = ana.who.send(budi, "lost")
    ana.put_back()
    ana.open(restored=True)
    ana.who.start(budi)
    assert budi.read(ana.who.send(budi, "new")) == "new"
    assert budi.read(lost) == "lost"
    with pytest.raises(RemoteError):
        budi.device.decrypt(lost)
    assert ana.who.device.encrypt(BUDI, Text("on")).recipient == BUDI
