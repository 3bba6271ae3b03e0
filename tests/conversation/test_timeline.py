# SPDX-License-Identifier: Apache-2.0
"""The bounds of a conversation, its record, and who may do what in it: content.md 6, 9 and 13."""

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.address import UserId
from e2ecross.conversation import timeline as module
from e2ecross.conversation.entry import Entry
from e2ecross.conversation.fact import Act, Fact
from e2ecross.conversation.slot import PostState
from e2ecross.conversation.storage import decode_slots, encode_slots, slot_bytes
from e2ecross.conversation.timeline import Slots
from e2ecross.errors import DecodeError, InvalidArgument, UnsupportedVersion
from e2ecross.wire.content import (
    Answer,
    Bytes,
    Delete,
    Edit,
    Expiry,
    Frame,
    Framed,
    Media,
    Mention,
    MessageRef,
    Options,
    Reaction,
    Text,
    UnsupportedContent,
    encode_content,
)
from e2ecross.wire.timeline_records import ActRecord, SlotRecord, TimelineRecord, nested_bytes
from tests.conversation.test_timeline_properties import conversations
from tests.support import protobuf
from tests.support.formats import ATTACHMENT, REF
from tests.support.timelines import ANA, BUDI, CITA, KEY, act, post, ref, seen

ID, OTHER_ID = b"\x01" * 16, b"\x02" * 16
DIGEST, OTHER_DIGEST = b"\xd1" * 32, b"\xd2" * 32
TARGET = ref(ANA, ID, DIGEST)
WRONG = ref(ANA, ID, OTHER_DIGEST)
HALO = post(ANA, ID, DIGEST, Framed(Text("halo"), KEY))
OTHER = post(ANA, ID, OTHER_DIGEST, Framed(Text("other"), KEY), 7)


def slots_of(*facts: Fact) -> Slots:
    slots = Slots(ANA)
    for fact in facts:
        slots.add(fact)
    return slots


def entry_of(*facts: Fact) -> Entry:
    (entry,) = slots_of(*facts).entries
    return entry


def number(value: int, size: int = 16) -> bytes:
    return value.to_bytes(size)


# --- What is shown --------------------------------------------------------------------------


def test_an_entry_shows_what_was_sent() -> None:
    mentions = (Mention(0, 4, BUDI),)
    media = Media(ATTACHMENT, "halo", mentions, REF)
    framed = Framed(media, KEY, Expiry(60), view_once=True)
    assert entry_of(post(BUDI, ID, DIGEST, framed, 9)) == Entry(
        *(BUDI, ID, 9, "post", ref(BUDI, ID, DIGEST), "halo", mentions, "halo"),  # type: ignore[arg-type]
        media=media,
        reply_to=REF,
        view_once=True,
    )
    entry = entry_of(post(BUDI, ID, DIGEST, framed, 9))
    assert entry.ref is not None
    assert entry.ref.expiry == Expiry(60)
    options = Options("who?", ("you", "me"))
    assert entry_of(post(BUDI, ID, DIGEST, Framed(options, KEY))).options == options
    plain = Entry(*(BUDI, ID, 5, "post", ref(BUDI, ID, DIGEST), "plain", (), "plain"))  # type: ignore[arg-type]
    assert entry_of(post(BUDI, ID, DIGEST, Text("plain"))) == plain
    assert entry_of(post(BUDI, ID, DIGEST, Bytes(b"x"))).text == ""
    assert entry_of(post(BUDI, ID, DIGEST, Text("plain"))).ref == ref(BUDI, ID, DIGEST)


def test_what_is_not_supported_shows_its_fallback() -> None:
    frame = Frame(KEY, Expiry(60), True, "[drawing]", b"x")
    entry = entry_of(
        post(BUDI, ID, DIGEST, UnsupportedContent(17, frame.encode())),
        act(BUDI, OTHER_ID, Edit(ref(BUDI, ID, DIGEST), 1, "x")),
        act(ANA, OTHER_ID, Reaction(ref(BUDI, ID, DIGEST), 1, "+")),
        seen(ANA, BUDI, 1, ID),
    )
    assert (entry.kind, entry.text, entry.first_text) == ("unsupported", "[drawing]", "")
    assert (entry.view_once, entry.edited) == (True, False)
    assert entry.ref is not None
    assert entry.ref.expiry == Expiry(60)
    assert entry.reactions == ((ANA, "+"),)
    assert entry.receipts == ((ANA, 1),)
    # Kinds 12 to 15 have no frame. They have no digest either, and no client makes facts of them.
    assert entry_of(post(BUDI, ID, DIGEST, UnsupportedContent(12, b"x"))).text == ""


def test_an_edit_brings_its_text_and_its_mentions() -> None:
    mentions = (Mention(0, 2, BUDI),)
    entry = entry_of(HALO, act(ANA, OTHER_ID, Edit(TARGET, 1, "hallo", mentions)))
    assert (entry.text, entry.mentions, entry.first_text) == ("hallo", mentions, "halo")
    assert entry.edited


@pytest.mark.parametrize(
    ("content", "text", "counts"),
    [
        (Framed(Text("halo"), KEY), "x", True),
        (Text("halo"), "x", True),
        (Framed(Text("halo"), KEY), "", False),
        (Framed(Media(ATTACHMENT, "halo"), KEY), "x", True),
        (Framed(Media(ATTACHMENT, "halo"), KEY), "", True),
        (Framed(Media(ATTACHMENT, "halo"), KEY, view_once=True), "x", False),
        (Framed(Text("halo"), KEY, view_once=True), "x", False),
        (Framed(Options("halo", ("a", "b")), KEY), "x", False),
        (Bytes(b"halo"), "x", False),
    ],
)
def test_an_edit_counts_where_there_is_something_to_edit(
    content: Any,  # noqa: ANN401
    text: str,
    counts: bool,
) -> None:
    entry = entry_of(
        post(BUDI, ID, DIGEST, content), act(BUDI, OTHER_ID, Edit(ref(BUDI, ID, DIGEST), 1, text))
    )
    assert entry.edited is counts
    assert entry.first_text == ("" if isinstance(content, Bytes) else "halo")
    assert entry.text == (text if counts else entry.first_text)


@pytest.mark.parametrize(
    ("chosen", "counts"),
    [((0,), True), ((2,), True), ((0, 2), True), ((3,), False), ((0, 1, 2), False), ((), False)],
)
def test_an_answer_counts_where_it_was_offered(chosen: tuple[int, ...], counts: bool) -> None:
    options = Framed(Options("who?", ("a", "b", "c"), max_choices=2), KEY)
    answer = act(BUDI, OTHER_ID, Answer(TARGET, 1, chosen))
    assert entry_of(post(ANA, ID, DIGEST, options), answer).answers == (((BUDI, chosen),) * counts)
    assert entry_of(HALO, answer).answers == ()


def test_reactions_answers_and_receipts_stand_in_the_order_of_accounts() -> None:
    options = Framed(Options("who?", ("a", "b")), KEY)
    target = ref(BUDI, ID, DIGEST)
    facts = [post(BUDI, ID, DIGEST, options)]
    for account in (ANA, CITA, UserId("instagram", "adi")):
        facts += [
            act(account, OTHER_ID, Reaction(target, 1, "+")),
            act(account, OTHER_ID, Answer(target, 1, (0,))),
            seen(account, BUDI, 1, ID),
        ]
    entry = entry_of(*facts)
    order = [UserId("instagram", "adi"), CITA, ANA]
    assert [account for account, _ in entry.reactions] == order
    assert [account for account, _ in entry.answers] == order
    assert [account for account, _ in entry.receipts] == order


def test_receipts_change_the_entries_of_all_their_messages() -> None:
    slots = Slots(ANA)
    first, second = post(ANA, OTHER_ID, DIGEST, Text("one"), 1), post(ANA, ID, DIGEST, Text("2"), 2)
    slots.add(second)
    slots.add(first)
    changed = slots.add(seen(BUDI, ANA, 2, ID, OTHER_ID))
    assert [entry.message_id for entry in changed] == [OTHER_ID, ID]
    assert slots.add(seen(BUDI, ANA, 1, ID, OTHER_ID)) == ()
    assert slots.add(seen(ANA, ANA, 2, ID)) == ()
    assert all(entry.receipts == ((BUDI, 2),) for entry in slots.entries)


# --- Who may ---------------------------------------------------------------------------------

EVERY_ACT: dict[str, Callable[[MessageRef], Act]] = {
    "edit": lambda target: Edit(target, 1, "forged"),
    "delete": lambda target: Delete(target),
    "reaction": lambda target: Reaction(target, 1, "+"),
    "answer": lambda target: Answer(target, 1, (0,)),
}
SAME_NAME = UserId("instagram", "ana")


@pytest.mark.parametrize("name", EVERY_ACT)
@pytest.mark.parametrize(
    ("account", "moderator", "may"),
    [
        (ANA, False, {"edit", "delete", "reaction", "answer"}),
        (BUDI, False, {"reaction", "answer"}),
        (BUDI, True, {"delete", "reaction", "answer"}),
        (SAME_NAME, False, {"reaction", "answer"}),
    ],
    ids=["author", "member", "admin", "namesake"],
)
def test_an_act_has_an_effect_of_whom_it_may(
    name: str, account: UserId, moderator: bool, may: set[str]
) -> None:
    content = Text("halo") if name == "edit" else Options("halo", ("a", "b"))
    message = post(ANA, ID, DIGEST, Framed(content, KEY))
    done = act(account, OTHER_ID, EVERY_ACT[name](TARGET), moderator=moderator)
    before, after = slots_of(message), slots_of(message, done)
    assert (before.to_bytes() != after.to_bytes()) is (name in may)
    assert (before.entries != after.entries) is (name in may)
    assert slots_of(done, message).to_bytes() == after.to_bytes()


@pytest.mark.parametrize("name", EVERY_ACT)
def test_an_act_on_another_digest_never_acts(name: str) -> None:
    """Of another content under that id, or of the same message in another conversation."""
    done = act(ANA, OTHER_ID, EVERY_ACT[name](WRONG))
    alone = slots_of(HALO).to_bytes()
    assert slots_of(HALO, done).to_bytes() == alone
    assert slots_of(done, HALO).to_bytes() == alone


def test_a_delete_says_who_has_made_it() -> None:
    by_author = act(ANA, OTHER_ID, Delete(TARGET), moderator=True, at=3)
    by_admin = act(BUDI, OTHER_ID, Delete(TARGET), moderator=True)
    for facts in permutations((HALO, by_author, by_admin)):
        assert entry_of(*facts).deleted_by == "author"
    assert entry_of(HALO, by_admin).deleted_by == "moderator"
    assert entry_of(HALO, replace(by_author, moderator=False)).deleted_by == "author"
    assert entry_of(HALO).deleted_by == ""
    assert (
        len({slots_of(*facts).to_bytes() for facts in permutations((HALO, by_author, by_admin))})
        == 1
    )


def test_copies_of_a_delete_are_one() -> None:
    copies = [
        act(ANA, number(at), Delete(TARGET), digest=number(at, 32), at=at) for at in (3, 1, 2)
    ]
    kept = {slots_of(*order, HALO).to_bytes() for order in permutations(copies)}
    assert kept == {slots_of(copies[1], HALO).to_bytes()}


def test_a_delete_takes_everything_with_it() -> None:
    facts = [
        HALO,
        act(ANA, number(1), Edit(TARGET, 9, "secret")),
        act(BUDI, number(2), Reaction(TARGET, 9, "secret")),
        act(BUDI, number(3), Answer(TARGET, 9, (1,))),
        act(ANA, number(4), Delete(TARGET)),
        seen(BUDI, ANA, 2, ID),
    ]
    for order in permutations(facts):
        slots = slots_of(*order)
        (entry,) = slots.entries
        assert entry == Entry(
            *(ANA, ID, 5, "deleted", TARGET),  # type: ignore[arg-type]
            receipts=((BUDI, 2),),
            deleted_by="author",
        )
        kept = slots.to_bytes()
        assert b"secret" not in kept
        assert KEY not in kept


def test_the_same_message_again_changes_nothing() -> None:
    slots = slots_of(post(ANA, ID, DIGEST, Text("halo")))
    kept = slots.to_bytes()
    assert slots.add(post(ANA, ID, DIGEST, Text("halo"), sent_at_ms=9)) == ()
    assert slots.to_bytes() == kept


def test_two_contents_under_one_id_are_both_gone() -> None:
    delete = act(ANA, OTHER_ID, Delete(TARGET))
    reaction = act(BUDI, OTHER_ID, Reaction(TARGET, 1, "+"))
    receipt = seen(BUDI, ANA, 1, ID)
    third = post(ANA, ID, b"\xd3" * 32, Framed(Text("third"), KEY), 6)
    for order in permutations((HALO, OTHER, delete, reaction, receipt, third)):
        assert entry_of(*order) == Entry(ANA, ID, 5, "conflicting", receipts=((BUDI, 1),))  # type: ignore[arg-type]
    for order in permutations((HALO, OTHER)):
        kept = slots_of(*order).to_bytes()
        assert b"halo" not in kept
        assert KEY not in kept


def test_what_was_viewed_is_gone_here_and_a_delete_still_deletes() -> None:
    slots = slots_of(HALO, act(BUDI, OTHER_ID, Reaction(TARGET, 1, "+")), seen(BUDI, ANA, 2, ID))
    slot = slots.find(ANA, ID)
    assert slot is not None
    slots.expire(slot)
    (entry,) = slots.entries
    assert entry == Entry(ANA, ID, 5, "gone", TARGET, receipts=((BUDI, 2),))  # type: ignore[arg-type]
    assert KEY not in slots.to_bytes()
    assert not TimelineRecord.decode(slots.to_bytes()).slots[0].acts
    late = act(BUDI, number(9), Reaction(TARGET, 2, "+"))
    kept = slots.to_bytes()
    assert slots.add(HALO) == slots.add(late) == ()
    assert slots.to_bytes() == kept
    assert [each.kind for each in slots.add(act(ANA, number(8), Delete(TARGET)))] == ["deleted"]
    for state in slots.find(ANA, ID), slots_of(HALO, OTHER).find(ANA, ID):
        assert state is not None
        before = slots.to_bytes()
        slots.expire(state)
        assert slots.find(ANA, ID) is state or state.state is PostState.CONFLICTING
        assert state.state is PostState.CONFLICTING or slots.to_bytes() == before


def test_an_own_message_that_is_viewed_once_is_gone_from_the_start() -> None:
    own = Fact(ANA, ID, 5, DIGEST, None)
    reaction = act(BUDI, OTHER_ID, Reaction(TARGET, 1, "+"))
    delete = act(ANA, OTHER_ID, Delete(TARGET))
    assert entry_of(own, reaction).kind == entry_of(reaction, own).kind == "gone"
    assert slots_of(own, reaction).to_bytes() == slots_of(reaction, own).to_bytes()
    assert entry_of(own, delete).kind == entry_of(delete, own).kind == "deleted"
    assert entry_of(own, OTHER).kind == "conflicting"


# --- Bounds ----------------------------------------------------------------------------------


def _reactions(account: UserId, count: int, *, first: int = 0) -> list[Fact]:
    return [
        act(account, number(i), Reaction(ref(ANA, ID, number(first + i, 32)), i + 1, "+"))
        for i in range(count)
    ]


def test_of_the_seventeenth_act_of_an_account_the_least_goes() -> None:
    flood = _reactions(BUDI, 17)
    records = TimelineRecord.decode(slots_of(*flood).to_bytes()).slots[0].acts
    assert [each.message_id for each in records] == [number(i) for i in range(1, 17)]
    assert slots_of(*flood).to_bytes() == slots_of(*flood[::-1]).to_bytes()
    assert slots_of(*flood[1:]).to_bytes() == slots_of(*flood).to_bytes()
    # A number that is not the least takes the place of another one; it is not one more.
    edits = [replace(each, content=Answer(each.content.target, 1, ())) for each in flood[:1]]  # type: ignore[union-attr]
    assert slots_of(*flood[1:], *edits).to_bytes() == slots_of(*flood[1:]).to_bytes()


def test_nobodys_acts_crowd_out_those_of_others_nor_a_delete() -> None:
    mine = act(CITA, number(99), Reaction(TARGET, 1, "-"))
    delete = act(ANA, number(98), Delete(TARGET))
    flood = [*_reactions(BUDI, 30), *_reactions(ANA, 30)]
    assert entry_of(mine, *flood, HALO).reactions == ((CITA, "-"),)
    assert entry_of(delete, *flood, HALO).kind == "deleted"
    more = [
        act(CITA, number(i), Delete(ref(ANA, ID, number(i, 32))), moderator=True) for i in range(40)
    ]
    assert entry_of(delete, *more, HALO).deleted_by == "author"


def test_of_the_seventeenth_delete_of_an_account_the_least_target_goes() -> None:
    deletes = [
        act(ANA, number(i), Delete(ref(ANA, ID, number(i, 32))), at=50 - i) for i in range(17)
    ]
    for order in (deletes, deletes[::-1]):
        (slot,) = TimelineRecord.decode(slots_of(*order, *_reactions(ANA, 16)).to_bytes()).slots
        kept = [each for each in slot.acts if each.kind == 6]
        assert [each.sent_at_ms for each in kept] == [50 - i for i in range(1, 17)]
        assert len(slot.acts) == 32


def _on_new(account: UserId, count: int, first: int = 0) -> list[Fact]:
    return [
        act(account, number(i), Reaction(ref(ANA, number(first + i), DIGEST), 1, "+"))
        for i in range(count)
    ]


def _slot_count(slots: Slots) -> int:
    return len(TimelineRecord.decode(slots.to_bytes()).slots)


def test_an_account_makes_a_hundred_slots_that_wait() -> None:
    slots = slots_of(*_on_new(BUDI, 101))
    assert _slot_count(slots) == 100
    assert slots.find(ANA, number(100)) is None
    slots.add(_on_new(CITA, 101)[100])  # of somebody else it is joined
    assert slots.find(ANA, number(100)) is not None
    slots.add(_on_new(BUDI, 101)[100])  # and what is there takes more of anybody
    assert len(slots.find(ANA, number(100)).acts) == 2  # type: ignore[union-attr]
    slots.add(_on_new(BUDI, 102)[101])
    assert slots.find(ANA, number(101)) is None
    # A post that comes makes room: for 101 that wait is one too many, for 99 there is one more.
    for i in (0, 1):
        slots.add(post(ANA, number(i), DIGEST, Text("here")))
    slots.add(_on_new(BUDI, 102)[101])
    assert slots.find(ANA, number(101)) is not None
    again = Slots.from_bytes(slots.to_bytes())
    for each in (slots, again):
        each.add(_on_new(BUDI, 103)[102])
        assert each.find(ANA, number(102)) is None


def test_a_thousand_slots_wait() -> None:
    slots = Slots(ANA)
    for i in range(11):
        for fact in _on_new(UserId("instagram", f"u{i}"), 100, first=100 * i):
            slots.add(fact)
    assert _slot_count(slots) == 1000
    assert slots.find(ANA, number(999)) is not None
    assert slots.find(ANA, number(1000)) is None
    slots.add(act(ANA, ID, Delete(ref(ANA, number(1000), DIGEST))))
    slots.add(act(ANA, ID, Delete(ref(ANA, number(0), DIGEST))))  # that slot waits no more
    assert _slot_count(slots) == 1001
    slots.add(_on_new(CITA, 1, first=2000)[0])
    slots.add(_on_new(CITA, 1, first=2001)[0])
    assert slots.find(ANA, number(2000)) is not None
    assert slots.find(ANA, number(2001)) is None


def test_receipts_for_messages_that_there_are_not_are_bounded_too() -> None:
    slots = slots_of(post(ANA, number(500), DIGEST, Text("here")))
    for start in range(0, 192, 64):
        slots.add(seen(BUDI, ANA, 1, *(number(start + i) for i in range(64))))
    assert _slot_count(slots) == 101
    (changed,) = slots.add(seen(BUDI, ANA, 2, number(300), number(500), number(99)))
    assert changed.receipts == ((BUDI, 2),)
    assert slots.find(ANA, number(300)) is None
    assert slots.find(ANA, number(99)).receipts[str(BUDI)] == (BUDI, 2)  # type: ignore[union-attr]


def test_beyond_its_bounds_the_first_messages_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TIMELINE_SLOTS", 3)
    slots = slots_of(*(post(ANA, number(i), DIGEST, Text("x"), 10 + i) for i in range(3)))
    slots.add(act(BUDI, ID, Reaction(ref(ANA, number(9), DIGEST), 1, "+"), at=11))
    assert [entry.message_id for entry in slots.entries] == [number(1), number(2)]
    assert slots.find(ANA, number(9)) is not None
    assert slots.add(post(ANA, number(0), DIGEST, Text("x"), 10)) == ()  # it leaves at once
    slots.add(post(ANA, number(5), DIGEST, Text("x"), 20))
    assert slots.find(ANA, number(1)) is None  # (11, author, 1) is before (11, author, 9)
    slots.add(seen(BUDI, ANA, 1, number(77)))  # by a receipt alone: the first of all
    assert slots.find(ANA, number(77)) is None
    slots.add(post(ANA, number(6), DIGEST, Text("x"), 30))
    assert slots.find(ANA, number(9)) is None
    assert [entry.message_id for entry in slots.entries] == [number(2), number(5), number(6)]
    assert slots._waiting == 0
    assert not slots._accounts
    for i in range(3):
        slots.add(act(ANA, ID, Delete(ref(ANA, number(i), OTHER_DIGEST)), at=100))
    assert _slot_count(slots) == 3


def test_what_only_a_receipt_tells_of_leaves_before_any_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_TIMELINE_SLOTS", 1)
    slots = slots_of(post(ANA, number(0), DIGEST, Text("x"), 1), seen(BUDI, ANA, 1, number(77)))
    assert [entry.message_id for entry in slots.entries] == [number(0)]


def test_bytes_are_bounded_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = [post(ANA, number(i), DIGEST, Text("x" * 100 * i), 10 + i) for i in range(5)]
    most = len(slots_of(*facts).to_bytes())
    monkeypatch.setattr(module, "MAX_TIMELINE_BYTES", most)
    assert len(slots_of(*facts).entries) == 5
    monkeypatch.setattr(module, "MAX_TIMELINE_BYTES", most - 1)
    slots = slots_of(*facts)
    assert [entry.message_id for entry in slots.entries] == [number(i) for i in range(1, 5)]
    assert len(slots.to_bytes()) == slots._bytes


def test_a_message_that_turns_out_older_moves() -> None:
    slots = slots_of(OTHER, post(BUDI, ID, DIGEST, Text("between"), 6))
    assert [entry.author for entry in slots.entries] == [BUDI, ANA]
    (changed,) = slots.add(HALO)
    assert changed.kind == "conflicting"
    assert [entry.author for entry in slots.entries] == [ANA, BUDI]


def test_messages_of_one_time_stand_by_author_and_id() -> None:
    facts = [
        post(account, message_id, DIGEST, Text("x"))
        for account in (ANA, BUDI)
        for message_id in (OTHER_ID, ID)
    ]
    for order in permutations(facts):
        found = [(entry.author, entry.message_id) for entry in slots_of(*order).entries]
        assert found == [(BUDI, ID), (BUDI, OTHER_ID), (ANA, ID), (ANA, OTHER_ID)]


# --- The record ------------------------------------------------------------------------------


@given(conversations)
def test_the_size_of_a_record_is_known_beforehand(facts: list[Fact]) -> None:
    slots = slots_of(*facts)
    data = slots.to_bytes()
    assert slots._bytes == len(data)
    assert Slots.from_bytes(data)._bytes == len(data)
    own, kept = decode_slots(data)
    assert encode_slots(own, kept[::-1]) == data
    assert len(encode_slots(own, ())) + sum(map(slot_bytes, kept)) == len(data)


@given(st.lists(st.integers(0, 2**22)))
def test_nested_messages_have_a_tag_and_a_length(sizes: list[int]) -> None:
    encoded = sum(size + 1 + len(protobuf.varint(size)) for size in sizes)
    assert nested_bytes(sizes) == encoded


@given(conversations, st.data())
def test_a_changed_record_is_refused_or_another_conversation(
    facts: list[Fact], data: st.DataObject
) -> None:
    kept = slots_of(*facts).to_bytes()
    at = data.draw(st.integers(0, len(kept) - 1))
    changed = kept[:at] + bytes((kept[at] ^ data.draw(st.integers(1, 255)),)) + kept[at + 1 :]
    try:
        slots = Slots.from_bytes(changed)
    except (DecodeError, UnsupportedVersion):
        return
    assert slots.to_bytes() == changed
    assert slots.entries is not None


SLOT = SlotRecord(ANA, ID, 1, 5, DIGEST, *encode_content(Text("halo")))
_REACTION = protobuf.message(
    [
        (
            1,
            protobuf.message(
                [(1, protobuf.message([(1, b"whatsapp"), (2, b"ana")])), (2, ID), (3, DIGEST)]
            ),
        ),
        (2, 1),
        (3, b"+"),
    ]
)
_DELETE = protobuf.message(protobuf.fields(_REACTION)[:1])
REACTION = ActRecord(4, BUDI, OTHER_ID, DIGEST, _REACTION, False, 9)
DELETE = ActRecord(6, ANA, b"", b"", _DELETE, False, 9)


def _framed(content: Any) -> tuple[int, bytes]:  # noqa: ANN401
    return encode_content(Framed(content, KEY))


@pytest.mark.parametrize(
    "slot",
    [
        SLOT,
        replace(SLOT, acts=(REACTION,), receipts=((BUDI, 1), (CITA, 2))),
        replace(SLOT, kind=0, body=b"", acts=(DELETE,)),
        replace(SLOT, kind=0, body=b"", state=3),
        replace(SLOT, kind=1, body=b""),
        replace(SLOT, kind=2, body=b""),
        SlotRecord(ANA, ID, 2, 5, b"", 0, b""),
        SlotRecord(ANA, ID, 0, 0, b"", 0, b"", (REACTION, DELETE)),
        SlotRecord(ANA, ID, 0, 0, b"", 0, b"", (), ((BUDI, 1),)),
    ],
)
def test_records_that_can_have_come_about_are_read(slot: SlotRecord) -> None:
    data = TimelineRecord(ANA, (slot,)).encode()
    assert Slots.from_bytes(data).to_bytes() == data


@pytest.mark.parametrize(
    "slot",
    [
        replace(SLOT, state=0),
        replace(SLOT, state=2),
        replace(SLOT, state=3),
        replace(SLOT, state=4),
        replace(SLOT, state=5),
        replace(SLOT, digest=b""),
        replace(SLOT, digest=bytes(31)),
        replace(SLOT, message_id=bytes(15)),
        replace(SLOT, kind=0),
        replace(SLOT, kind=0, body=b""),
        replace(SLOT, kind=8, body=encode_content(seen(BUDI, ANA, 1, ID).content)[1]),  # type: ignore[arg-type]
        replace(SLOT, kind=2**31 + 48, body=b"\x08\x01"),
        replace(SLOT, kind=4, body=_framed(Reaction(TARGET, 1, "+"))[1]),
        replace(SLOT, body=SLOT.body + b"\x10\x01"),
        replace(SLOT, body=b"\xff"),
        replace(SLOT, kind=3, body=_framed(Text("x"))[1][:-1]),
        replace(SLOT, kind=17, body=Frame(KEY, None, False, "", b"").encode()),
        replace(SLOT, state=4, kind=17, body=b"\xff"),
        replace(SLOT, state=4, kind=1),
        replace(SLOT, state=4, kind=0, body=b""),
        replace(SLOT, kind=3, body=b""),
        replace(SLOT, kind=1, body=b"", acts=(DELETE,)),
        replace(SLOT, state=3, kind=0, body=b"", digest=b""),
        replace(SLOT, state=3, kind=0, body=b"", acts=(REACTION,)),
        replace(SLOT, acts=(DELETE,)),
        replace(SLOT, kind=0, body=b"", acts=(REACTION, DELETE)),
        SlotRecord(ANA, ID, 2, 5, DIGEST, 0, b""),
        SlotRecord(ANA, ID, 2, 5, b"", 0, b"", (REACTION,)),
        SlotRecord(ANA, ID, 0, 0, b"", 0, b""),
        SlotRecord(ANA, ID, 0, 1, b"", 0, b"", (REACTION,)),
        replace(SLOT, acts=(REACTION, REACTION)),
        replace(SLOT, acts=(replace(REACTION, author=CITA), REACTION)),
        replace(SLOT, acts=(replace(REACTION, kind=3),)),
        replace(SLOT, acts=(replace(REACTION, kind=5),)),
        replace(SLOT, acts=(replace(REACTION, kind=8),)),
        replace(SLOT, acts=(replace(REACTION, message_id=b""),)),
        replace(SLOT, acts=(replace(REACTION, digest=b""),)),
        replace(SLOT, acts=(replace(REACTION, digest=b"", message_id=b""),)),
        replace(SLOT, acts=(replace(REACTION, digest=bytes(31)),)),
        replace(SLOT, acts=(replace(REACTION, message_id=bytes(17)),)),
        replace(SLOT, acts=(replace(REACTION, moderator=True),)),
        replace(SLOT, kind=0, body=b"", acts=(replace(DELETE, moderator=True),)),
        replace(SLOT, kind=0, body=b"", acts=(replace(DELETE, author=BUDI),)),
        replace(SLOT, kind=0, body=b"", acts=(replace(DELETE, message_id=ID, digest=DIGEST),)),
        replace(SLOT, message_id=OTHER_ID, acts=(REACTION,)),
        replace(SLOT, author=BUDI, acts=(REACTION,)),
        replace(SLOT, digest=OTHER_DIGEST, acts=(REACTION,)),
        replace(SLOT, receipts=((ANA, 1),)),
        replace(SLOT, receipts=((BUDI, 0),)),
        replace(SLOT, receipts=((BUDI, 3),)),
        replace(SLOT, receipts=((CITA, 1), (BUDI, 1))),
        replace(SLOT, receipts=((BUDI, 1), (BUDI, 2))),
    ],
)
def test_records_that_nothing_can_have_led_to_are_refused(slot: SlotRecord) -> None:
    with pytest.raises(DecodeError, match=r"^an? "):
        Slots.from_bytes(TimelineRecord(ANA, (slot,)).encode())


def test_records_out_of_order_or_too_long_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(SLOT, author=BUDI)
    data = TimelineRecord(ANA, (other, SLOT)).encode()
    assert len(Slots.from_bytes(data).entries) == 2
    for slots in ((SLOT, other), (SLOT, SLOT), (other, SLOT, SLOT)):
        with pytest.raises(DecodeError):
            Slots.from_bytes(TimelineRecord(ANA, slots).encode())
    with pytest.raises(InvalidArgument, match="data"):
        Slots.from_bytes("")  # type: ignore[arg-type]
    records = "e2ecross.wire.timeline_records"
    monkeypatch.setattr(f"{records}.MAX_TIMELINE_SLOTS", 2)
    Slots.from_bytes(data)
    monkeypatch.setattr(f"{records}.MAX_TIMELINE_SLOTS", 1)
    with pytest.raises(DecodeError, match=r"^a timeline .* 1 slots"):
        Slots.from_bytes(data)
    monkeypatch.undo()
    monkeypatch.setattr(f"{records}.MAX_TIMELINE_BYTES", len(data))
    Slots.from_bytes(data)
    monkeypatch.setattr(f"{records}.MAX_TIMELINE_BYTES", len(data) - 1)
    with pytest.raises(DecodeError, match=rf"^a timeline .* {len(data)} "):
        Slots.from_bytes(data)
    with pytest.raises(UnsupportedVersion, match=r"^a timeline of version 2 "):
        Slots.from_bytes(protobuf.message([(1, 2), *protobuf.fields(data)[1:2]]))


def test_a_record_is_read_with_its_counts() -> None:
    facts = [*_on_new(BUDI, 100), HALO, *_on_new(CITA, 3, first=1000)]
    slots, again = slots_of(*facts), Slots.from_bytes(slots_of(*facts).to_bytes())
    assert again.own == ANA
    assert (again._waiting, again._accounts) == (slots._waiting, slots._accounts)
    assert list(again._order) == list(slots._order)


def test_nothing_of_a_conversation_shows_in_a_repr() -> None:
    secret = "attack at dawn"
    slots = slots_of(
        post(ANA, ID, DIGEST, Framed(Text(secret), KEY)),
        act(ANA, OTHER_ID, Edit(TARGET, 1, secret)),
        act(BUDI, OTHER_ID, Reaction(TARGET, 1, "dawn")),
    )
    slot = slots.find(ANA, ID)
    assert slot is not None
    shown = [*slots.entries, slot, *slot.acts.values(), slots, HALO, SLOT, REACTION]
    shown += [done.record for done in slot.acts.values()]
    shown.append(TimelineRecord.decode(slots.to_bytes()))
    for value in shown:
        assert "dawn" not in repr(value)
        assert repr(KEY)[2:-1] not in repr(value)
