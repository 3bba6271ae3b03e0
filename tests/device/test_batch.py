# SPDX-License-Identifier: Apache-2.0
"""Many messages at once are the same messages, and one commit."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross import Address, Device, Envelope, Message, Text
from e2ecross.errors import (
    DecodeError,
    E2ECrossError,
    InvalidArgument,
    NoSession,
    RecordCorrupted,
    RemoteError,
    RestoredStore,
    StoreError,
    UntrustedIdentity,
    WitnessFailed,
)
from e2ecross.state.epoch import read_epoch
from e2ecross.stores import MemoryStore, Store, Table
from tests.support.devices import (
    ANA,
    BUDI,
    SpyStore,
    Stores,
    dump,
    introduce,
    make_device,
    new_bundle,
    say,
    start,
)
from tests.support.neighbours import neighbours
from tests.support.restores import put_back, take_copy
from tests.support.witness import Keychain

PEOPLE = [Address("messenger", f"toko-{number}") for number in range(4)]
NEIGHBOURS = neighbours(BUDI, 4)
"""To whom, and from whom, everything is one commit also where there are stripes."""
HALO = Text("halo")


def crowd(
    store: Store | None = None, addresses: Sequence[Address] = PEOPLE
) -> tuple[Device, list[Device]]:
    """Ana, who has sessions with all of these."""
    ana = make_device(ANA, store)
    people = [make_device(address) for address in addresses]
    for who in people:
        introduce(ana, who)
    return ana, people


def texts(results: Sequence[object]) -> list[object]:
    return [
        result.content.text
        if isinstance(result, Message) and isinstance(result.content, Text)
        else result
        for result in results
    ]


def codes(results: Sequence[object]) -> list[object]:
    return [r.code if isinstance(r, E2ECrossError) else type(r).__name__ for r in results]


def test_every_recipient_reads_its_own_message(stores: Stores) -> None:
    ana, people = crowd(stores.open("ana"))
    envelopes = ana.encrypt_many(PEOPLE, HALO)
    assert len({e.message_id for e in envelopes if isinstance(e, Envelope)}) == len(PEOPLE)
    for who, envelope in zip(people, envelopes, strict=True):
        assert isinstance(envelope, Envelope)
        assert who.decrypt(envelope).content == HALO
    answers = [who.encrypt(ANA, Text(str(who.address))) for who in people]
    assert texts(ana.decrypt_many(answers)) == [str(who.address) for who in people]
    for who in people:
        say(ana, who, "goes on")


def test_one_by_one_is_the_same_to_the_byte() -> None:
    one, _ = crowd(addresses=NEIGHBOURS)
    many, people = crowd(addresses=NEIGHBOURS)
    expected = [one.encrypt(address, HALO) for address in NEIGHBOURS]
    assert many.encrypt_many(iter(NEIGHBOURS), HALO) == expected
    assert dump(many._context.store) == dump(one._context.store)
    answers = [who.encrypt(ANA, HALO).encode() for who in people for _ in range(3)]
    answers.insert(3, b"\x01nonsense")
    messages = []
    for answer in answers:
        try:
            messages.append(one.decrypt(answer))
        except RemoteError as error:
            messages.append(error)  # type: ignore[arg-type]
    results = many.decrypt_many(answers)
    assert texts(results)[:3] == ["halo"] * 3
    assert isinstance(results[3], DecodeError)
    assert [r for r in results if isinstance(r, Message)] == messages[:3] + messages[4:]
    assert dump(many._context.store) == dump(one._context.store)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=12))
def test_any_mixture_is_read_as_one_by_one(sent: list[tuple[int, int]]) -> None:
    """Late ones, duplicates, forged ones, and first messages among them."""
    one, _ = crowd()
    many, people = crowd()
    mixture: list[Envelope] = []
    for number, kind in sent:
        who = people[number]
        envelope = who.encrypt(ANA, Text(f"{number} {kind}"))
        if kind == 1:
            mixture.append(envelope)  # twice
        elif kind == 2:
            start(who, one)
            many.publish(1)  # as many draws
            who.start_session(new_bundle(one))
            continue
        elif kind == 3:
            envelope = Envelope(
                bytes(16), envelope.sender, ANA, envelope.kind, envelope.ciphertext[:-1] + b"x"
            )
        elif kind == 4:
            mixture.insert(0, envelope)
            continue
        mixture.append(envelope)
    alone: list[object] = []
    for envelope in mixture:
        try:
            alone.append(one.decrypt(envelope))
        except RemoteError as error:
            alone.append(error)
    together = many.decrypt_many(mixture)
    assert codes(together) == codes(alone) or any(kind == 2 for _, kind in sent)
    if not any(kind == 2 for _, kind in sent):
        assert texts([r for r in together if isinstance(r, Message)]) == texts(
            [r for r in alone if isinstance(r, Message)]
        )


def test_first_messages_are_read_each_with_its_prekey(stores: Stores) -> None:
    ana = make_device(ANA, stores.open("ana"))
    people = [make_device(address) for address in PEOPLE]
    for who in people:
        start(who, ana)
    envelopes = [who.encrypt(ANA, HALO) for who in people for _ in range(2)]
    assert texts(ana.decrypt_many(envelopes)) == ["halo"] * 8
    assert codes(ana.decrypt_many(envelopes)) == ["duplicate_message"] * 8
    with ana._context.store.transaction() as tx:
        assert tx.count(Table.ONE_TIME_PREKEYS) == 0


def test_whom_nothing_can_be_sent_to_does_not_stop_the_others(stores: Stores) -> None:
    ana, people = crowd(stores.open("ana"))
    stranger, changed = Address("whatsapp", "stranger"), make_device(PEOPLE[1], seed="new")
    start(changed, ana)
    ana.decrypt(changed.encrypt(ANA, HALO))
    results = ana.encrypt_many([PEOPLE[0], stranger, *PEOPLE[1:]], HALO)
    assert isinstance(results[1], NoSession)
    assert isinstance(results[2], UntrustedIdentity)
    assert results[1].__traceback__ is None
    for who, envelope in ((people[0], results[0]), (people[2], results[3])):
        assert isinstance(envelope, Envelope)
        assert who.decrypt(envelope).content == HALO


def test_a_contact_with_damaged_records_does_not_stop_the_others() -> None:
    ana, people = crowd()
    answers = [who.encrypt(ANA, HALO) for who in people for _ in range(2)]
    store = ana._context.store
    places = [where[1:] for where in dump(store) if where[0] is Table.SESSIONS]
    place = next(where for where in places if b"toko-1" in where[0])
    with store.transaction() as tx:
        tx.put(Table.SESSIONS, *place, b"\x01damaged")
    results = ana.encrypt_many([PEOPLE[1], *PEOPLE], HALO)
    assert [type(result) for result in results] == [
        RecordCorrupted,
        Envelope,
        RecordCorrupted,
        Envelope,
        Envelope,
    ]
    assert codes(ana.decrypt_many(answers)) == [
        *["Message"] * 2,
        *["record_corrupted"] * 2,
        *["Message"] * 4,
    ]


def test_of_a_sender_with_damaged_records_nothing_is_read(stores: Stores) -> None:
    """Also not what came before the message for which a damaged one is needed."""
    ana, people = crowd(stores.open("ana"))
    store, who = ana._context.store, people[0]
    late, *read, next_one = [who.encrypt(ANA, Text(str(number))) for number in range(70)]
    other = people[1].encrypt(ANA, HALO)
    ana.decrypt_many(read)  # as many that the next one has to do with another row of stored keys
    ((place, row),) = (
        (where, record) for where, record in dump(store).items() if where[0] is Table.SKIPPED_KEYS
    )
    with store.transaction() as tx:
        tx.put(*place, b"\x01damaged")
    results = ana.decrypt_many([next_one, other, late])
    assert codes(results) == ["record_corrupted", "Message", "record_corrupted"]
    with store.transaction() as tx:
        tx.put(*place, row)
    assert texts(ana.decrypt_many([next_one, late])) == ["69", "0"]


def test_where_a_record_of_the_device_is_damaged_nothing_is_sent_or_changed() -> None:
    ana, _ = crowd()
    with ana._context.store.transaction() as tx:
        tx.put(Table.STRIPE, b"", b"", b"\x01damaged")
    before = dump(ana._context.store)
    with pytest.raises(RecordCorrupted, match="a stripe record"):
        ana.encrypt_many(PEOPLE, HALO)
    assert dump(ana._context.store) == before


def test_errors_in_a_result_hold_no_frames() -> None:
    """Their locals hold keys, and a result is kept longer than an error that is caught."""
    ana, people = crowd()
    twice, damaged = people[0].encrypt(ANA, HALO), people[1].encrypt(ANA, HALO)
    store = ana._context.store
    place = next(where for where in dump(store) if b"toko-1" in where[1] and where[2])
    with store.transaction() as tx:
        tx.put(*place, b"\x01damaged")
    results = [
        *ana.decrypt_many([b"nonsense", twice, twice, damaged]),
        *ana.encrypt_many([PEOPLE[1], BUDI], HALO),
    ]
    errors = [result for result in results if isinstance(result, E2ECrossError)]
    assert [error.code for error in errors] == [
        "decode_error",
        "duplicate_message",
        *["record_corrupted"] * 2,
        "no_session",
    ]
    for error in errors:
        assert error.__traceback__ is None
        assert error.__cause__ is error.__context__ is None


def test_a_store_that_fails_keeps_and_releases_nothing() -> None:
    spy = SpyStore(MemoryStore())
    ana, people = crowd(spy, NEIGHBOURS)
    answers = [who.encrypt(ANA, HALO) for who in people]
    before = dump(spy.inner)
    for writes in range(9):
        spy.writes_until_failure = writes
        with pytest.raises(StoreError, match="write has failed"):
            ana.encrypt_many([*NEIGHBOURS, *NEIGHBOURS], HALO)
    for writes in range(4):
        spy.writes_until_failure = writes
        with pytest.raises(StoreError, match="write has failed"):
            ana.decrypt_many(answers)
    spy.writes_until_failure = None
    spy.fail_commit = True
    with pytest.raises(StoreError, match="commit"):
        ana.encrypt_many(NEIGHBOURS, HALO)
    spy.fail_commit = False
    assert dump(spy.inner) == before
    assert texts(ana.decrypt_many(answers)) == ["halo"] * 4


def test_progress_is_told_and_may_stop_everything(stores: Stores) -> None:
    ana, people = crowd(stores.open("ana"), NEIGHBOURS)
    told: list[tuple[int, int]] = []
    ana.encrypt_many([*NEIGHBOURS, NEIGHBOURS[0]], HALO, progress=lambda *both: told.append(both))
    assert told == [(2, 5), (3, 5), (4, 5), (5, 5)]
    told.clear()
    doubled = [people[0].encrypt(ANA, HALO), *(who.encrypt(ANA, HALO) for who in people)]
    ana.decrypt_many([*doubled, b"nonsense"], progress=lambda *both: told.append(both))
    assert told == [(2, 6), (3, 6), (4, 6), (5, 6), (6, 6)]
    answers = [who.encrypt(ANA, HALO) for who in people]
    told.clear()
    before = dump(ana._context.store)

    def stop(done: int, total: int) -> None:
        told.append((done, total))
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ana.decrypt_many(answers, progress=stop)
    with pytest.raises(KeyboardInterrupt):
        ana.encrypt_many(NEIGHBOURS, HALO, progress=stop)
    assert told == [(1, 4), (2, 4), (3, 4)] * 2
    assert dump(ana._context.store) == before
    assert texts(ana.decrypt_many(answers)) == ["halo"] * 4


def test_the_witness_hears_of_it_once(stores: Stores) -> None:
    ana, people = crowd(stores.open("ana"))
    keychain = Keychain()
    ana = Device.open(ana._context.store, entropy=ana._context.entropy, witness=keychain)
    envelopes = ana.encrypt_many(PEOPLE * 3, HALO)
    assert len(keychain.calls) == 1
    with ana._context.store.transaction() as tx:
        assert read_epoch(tx) == keychain.number == 4 * 2 + 12
    people[0].decrypt_many([e for e in envelopes if isinstance(e, Envelope)][:1])


def test_when_the_witness_fails_what_was_read_is_released_and_what_was_sent_is_not() -> None:
    keychain = Keychain()
    ana, people = crowd()
    ana = Device.open(ana._context.store, entropy=ana._context.entropy, witness=keychain)
    start(people[0], ana)
    first = people[0].encrypt(ANA, HALO)  # one that changes the epoch
    keychain.error = OSError()
    with pytest.raises(WitnessFailed):
        ana.encrypt_many(PEOPLE, HALO)
    assert texts(ana.decrypt_many([first])) == ["halo"]


@pytest.mark.parametrize("before", ["encrypt", "encrypt_many", "decrypt_many"])
@pytest.mark.parametrize("after", ["encrypt", "encrypt_many", "decrypt", "decrypt_many"])
def test_a_store_that_was_put_back_meanwhile_is_refused(
    before: str, after: str, stores: Stores
) -> None:
    """Whichever operation has seen it further ahead, and whichever comes then."""
    ana, (who, *_) = crowd(stores.open("ana"), NEIGHBOURS[:2])
    store, (one, two) = ana._context.store, NEIGHBOURS[:2]
    start(who, ana)
    first, second = who.encrypt(ANA, HALO), who.encrypt(ANA, HALO)
    calls: dict[str, Callable[[], object]] = {
        "encrypt": lambda: ana.encrypt(one, HALO),
        "encrypt_many": lambda: ana.encrypt_many([one, two], HALO),
        "decrypt": lambda: ana.decrypt(second),
        "decrypt_many": lambda: ana.decrypt_many([second]),
    }
    copy = take_copy(store)
    if before == "decrypt_many":
        assert texts(ana.decrypt_many([first])) == ["halo"]  # uses prekeys up
    else:
        calls[before]()
    put_back(store, copy)
    with pytest.raises(RestoredStore):
        calls[after]()
    assert take_copy(store) == copy


def test_nothing_is_nothing() -> None:
    ana, _ = crowd()
    before = dump(ana._context.store)
    assert ana.encrypt_many([], HALO) == []
    assert ana.decrypt_many([]) == []
    assert dump(ana._context.store) == before


@pytest.mark.parametrize("bad", ["whatsapp:ana", b"x", 5, None, ["whatsapp:budi"], [ANA]])
def test_what_is_no_list_of_others_is_refused(bad: object) -> None:
    ana, _ = crowd()
    with pytest.raises(InvalidArgument, match="addresses"):
        ana.encrypt_many(bad, HALO)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="envelopes"):
        ana.decrypt_many(bad)  # type: ignore[arg-type]


def test_what_is_no_content_or_no_function_is_refused() -> None:
    ana, _ = crowd()
    with pytest.raises(InvalidArgument, match="content"):
        ana.encrypt_many(PEOPLE, "halo")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="progress"):
        ana.encrypt_many(PEOPLE, HALO, progress=5)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="progress"):
        ana.decrypt_many([], progress=5)  # type: ignore[arg-type]


def test_an_envelope_for_somebody_else_is_refused_alone() -> None:
    ana, people = crowd()
    introduce(people[0], make_device(BUDI))
    astray, genuine = people[0].encrypt(BUDI, HALO), people[0].encrypt(ANA, HALO)
    assert codes(ana.decrypt_many([astray, genuine])) == ["envelope_mismatch", "Message"]
