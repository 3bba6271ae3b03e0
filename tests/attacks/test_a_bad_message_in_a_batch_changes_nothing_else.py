# SPDX-License-Identifier: Apache-2.0
"""A batch that goes wrong in the middle is the messages that did not, and nothing else.

The attacker: a back end that mixes refused messages into what it delivers for one contact, and a
store that is damaged halfway. A batch saves one check: it does not undo after a message that is
refused, because that one has written nothing; and a store writes of a session only what has not
stayed the same object. Both are tried here against the same messages read one by one, and against
sessions that are written whole.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, zip_longest
from pathlib import Path

import pytest

from e2ecross import Envelope, Message, Policy, Text
from e2ecross.crypto.keys import generate_key_pair
from e2ecross.errors import E2ECrossError, RecordCorrupted, RemoteError, SessionExhausted
from e2ecross.protocol.message_chain import SendingChain
from e2ecross.protocol.session_record import NO_SESSIONS
from e2ecross.state.context import address_key
from e2ecross.state.epoch import count_operation
from e2ecross.state.session_store import load_sessions, save_sessions
from e2ecross.state.trust import observe_identity
from e2ecross.stores import MemoryStore, SQLiteStore, Store, Table
from e2ecross.wire.limits import MAX_UINT32
from tests.attacks.support import (
    ANA,
    BUDI,
    TOKO,
    Attacker,
    Person,
    dump,
    edit_wrapper,
    flips,
    meet,
    payload_for,
    person,
    signal_fields,
    with_ciphertext,
)
from tests.attacks.support_4 import edit_message
from tests.fuzz.world import load
from tests.support.entropy import SeededEntropy
from tests.support.parties import sending_chain
from tests.support.values import with_fields

VERSIONS = pytest.mark.parametrize("kyber", [False, True], ids=["version 3", "version 4"])
SESSION_TABLES = {Table.SESSIONS, Table.SESSION_RECORDS, Table.SKIPPED_KEYS, Table.SPQR}
CAREFUL = Policy(refuse_changed_identity=True)
DEVICE = "e2ecross.device"
NEW_KEY = generate_key_pair(SeededEntropy("forger")).public


@pytest.fixture(params=["memory", "file"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Makes an empty store of either kind, again and again."""
    made: list[Store] = []

    def make() -> Store:
        file = request.param == "file"
        made.append(SQLiteStore(tmp_path / f"{len(made)}.db") if file else MemoryStore())
        return made[-1]

    yield make
    for store in made:
        store.close()


def assert_written_whole(victim: Person, peer: Person) -> None:
    """What was written piece by piece is what is written of the same sessions at once."""
    whole, place = MemoryStore(), address_key(peer.address)
    with victim.store.transaction() as tx, whole.transaction() as other:
        save_sessions(other, place, NO_SESSIONS, load_sessions(tx, peer.address))

    def of_peer(store: Store) -> list[tuple[str, bytes, bytes, bytes]]:
        return [r for r in dump(store) if r[0] in SESSION_TABLES and r[1].startswith(place)]

    assert of_peer(victim.store) == of_peer(whole)


def _genuine(ana: Person, budi: Person) -> list[Envelope]:
    """Some in order, one late, some lost, and one that turns the ratchet."""
    late, *sent = [ana.send(budi, f"{number}") for number in range(6)]
    for number in range(70):
        ana.send(budi, f"lost {number}")
    ana.read(budi.send(ana, "so that Ana turns the ratchet"))
    return [*sent, late, *(ana.send(budi, f"turned {number}") for number in range(4))]


def _bad(ana: Person, budi: Person, genuine: list[Envelope], *, kyber: bool) -> list[Envelope]:
    """Refused each for another reason, before the MAC and after it; no key is drawn for them."""
    attacker = Attacker()
    first = attacker.seal(attacker.session(budi.bundle(kyber=kyber)), payload_for(ANA, BUDI))
    flipped = list(flips(genuine[3].ciphertext))
    bad = [
        *(with_ciphertext(genuine[3], changed) for _, changed in flipped[:: len(flipped) // 20]),
        replace(genuine[4], message_id=bytes(16)),
        edit_message(genuine[2], ratchet_key=NEW_KEY),
        edit_message(genuine[2], counter=30_000),
        edit_message(genuine[2], counter=MAX_UINT32),
        edit_wrapper(first, pre_key_id=999),
        edit_wrapper(first, signed_pre_key_id=999),
        edit_wrapper(first, message=genuine[0].ciphertext),
        genuine[0],
    ]
    return [genuine[0], *bad]


def _after_the_mac(budi: Person, *, kyber: bool) -> list[Envelope]:
    """Refused after keys were drawn: of a new identity, and with a plaintext that is none."""
    attacker = Attacker("under a new identity")
    refused = []
    for plaintext in (None, b"no payload"):
        session = attacker.session(budi.bundle(one_time=False, kyber=kyber))
        payload = payload_for(ANA, BUDI)
        if plaintext is None:
            refused.append(attacker.seal(session, payload))
        else:
            refused.append(attacker.seal_bytes(session, payload, plaintext))
    return refused


@VERSIONS
def test_among_messages_that_are_read(empty: Callable[[], Store], kyber: bool) -> None:
    ana, budi = person(ANA), person(BUDI, policy=CAREFUL)
    meet(ana, budi, kyber=kyber)
    genuine = _genuine(ana, budi)
    bad = _bad(ana, budi, genuine, kyber=kyber)
    mixed = [*filter(None, chain(*zip_longest(genuine, bad))), *_after_the_mac(budi, kyber=kyber)]
    rows = budi.dump()
    one, many = load(budi, rows, empty()), load(budi, rows, empty())
    texts = [one.read(envelope) for envelope in genuine]
    results = many.device.decrypt_many(mixed)
    read = [result for result in results if isinstance(result, Message)]
    assert [m.content.text for m in read if isinstance(m.content, Text)] == texts
    errors = {result.code for result in results if isinstance(result, RemoteError)}
    assert errors >= {
        "authentication_failed",
        "duplicate_message",
        "identity_changed",
        "too_many_skipped",
        "unknown_prekey",
    }
    assert many.dump() == one.dump()
    assert_written_whole(many, ana)
    assert_written_whole(one, ana)
    assert many.read(ana.send(many, "goes on")) == "goes on"


def _numbers(envelopes: list[Envelope]) -> list[object]:
    """Ratchet key and number of each: with which message key it was encrypted."""
    return [
        tuple(dict(signal_fields(envelope)[0]).get(n) for n in (1, 2)) for envelope in envelopes
    ]


@VERSIONS
def test_a_chain_that_ends_among_messages_to_one_peer(
    empty: Callable[[], Store], kyber: bool
) -> None:
    """Those before its end leave, each under a key of its own; so do those to others."""
    ana, budi, toko = person(ANA), person(BUDI), person(TOKO)
    for peer in (budi, toko):
        meet(ana, peer, kyber=kyber)
    ana.send(budi, "so that there is a chain")
    with ana.store.transaction() as tx:
        before = load_sessions(tx, BUDI)
        assert before.current is not None
        chain = sending_chain(before.current)
        late = SendingChain(chain.ratchet_key_pair, chain.chain_key, MAX_UINT32 - 3)
        session = with_fields(
            before.current, ratchet=with_fields(before.current.ratchet, sending=late)
        )
        save_sessions(tx, address_key(BUDI), before, with_fields(before, current=session))
    ana = load(ana, ana.dump(), empty())
    results = ana.device.encrypt_many([BUDI, BUDI, TOKO, BUDI, BUDI, BUDI], Text("hello"))
    kinds = [type(result) for result in results]
    assert kinds == [*[Envelope] * 4, *[SessionExhausted] * 2]
    released = [result for result in results if isinstance(result, Envelope)]
    assert toko.read(released[2]) == "hello"
    assert len(set(_numbers(released))) == len(released)
    ana.reload()
    for result in ana.device.encrypt_many([BUDI] * 2, Text("again")):
        assert isinstance(result, SessionExhausted)
    assert_written_whole(ana, budi)


class _Failing:
    """A function that raises `RecordCorrupted` at one of its calls."""

    def __init__(self, genuine: Callable[..., object], at: int) -> None:
        self.genuine, self.left = genuine, at

    def __call__(self, *args: object, **kwargs: object) -> object:
        self.left -= 1
        if self.left == 0:
            raise RecordCorrupted("damaged, as it seems")
        return self.genuine(*args, **kwargs)


@VERSIONS
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_record_that_is_damaged_among_messages_to_one_peer(
    empty: Callable[[], Store], monkeypatch: pytest.MonkeyPatch, at: int, kyber: bool
) -> None:
    """None of them leaves, and their keys count as unused: in the file, and in what is cached."""
    ana, budi, toko = person(ANA), person(BUDI), person(TOKO)
    for peer in (budi, toko):
        meet(ana, peer, kyber=kyber)
    ana = load(ana, ana.dump(), empty())
    released = [ana.send(budi, "before")]
    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(f"{DEVICE}.sending.count_operation", _Failing(count_operation, at))
            results = ana.device.encrypt_many([BUDI, BUDI, BUDI, TOKO], Text("hello"))
        assert [isinstance(result, RecordCorrupted) for result in results] == [*[True] * 3, False]
        assert isinstance(results[3], Envelope)
        assert toko.read(results[3]) == "hello"
        released.append(ana.send(budi, "after"))
        ana.reload()
        more = ana.device.encrypt_many([BUDI, BUDI], Text("again"))
        released += [result for result in more if isinstance(result, Envelope)]
    assert len(set(_numbers(released))) == len(released) == 10
    assert [budi.read(envelope) for envelope in released] == [
        "before",
        *["after", "again", "again"] * 3,
    ]
    assert_written_whole(ana, budi)


@VERSIONS
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_record_that_is_damaged_among_messages_of_one_sender(
    empty: Callable[[], Store], monkeypatch: pytest.MonkeyPatch, at: int, kyber: bool
) -> None:
    """None of them was read: each is read once when the record is whole again, out of order too."""
    ana, budi, toko = person(ANA), person(BUDI), person(TOKO)
    for peer in (ana, toko):
        meet(peer, budi, kyber=kyber)
    budi = load(budi, budi.dump(), empty())
    sent = [ana.send(budi, f"{number}") for number in range(70)]
    budi.read(sent[5])
    before = [row for row in budi.dump() if row[1].startswith(address_key(ANA))]
    batch = [sent[69], sent[0], sent[3]]
    with monkeypatch.context() as patch:
        patch.setattr(f"{DEVICE}.receiving.observe_identity", _Failing(observe_identity, at))
        results = budi.device.decrypt_many([*batch, toko.send(budi, "of another sender")])
    assert [isinstance(result, RecordCorrupted) for result in results] == [*[True] * 3, False]
    assert isinstance(results[3], Message)
    assert [row for row in budi.dump() if row[1].startswith(address_key(ANA))] == before
    again = budi.device.decrypt_many([*batch, *batch])
    assert [isinstance(result, Message) for result in again] == [*[True] * 3, *[False] * 3]
    assert {r.code for r in again if isinstance(r, E2ECrossError)} == {"duplicate_message"}
    assert_written_whole(budi, ana)
