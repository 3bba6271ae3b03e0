# SPDX-License-Identifier: Apache-2.0
"""Whatever the order, a conversation is the same: issue 15, content.md section 9.

`conversation` below is a second implementation, of the whole set at once: slow, and without state.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from e2ecross.address import UserId
from e2ecross.conversation.entry import Entry
from e2ecross.conversation.fact import ACTS, Act, Fact, is_view_once
from e2ecross.conversation.timeline import Slots
from e2ecross.wire.content import (
    Answer,
    Bytes,
    Delete,
    Edit,
    Frame,
    Framed,
    Media,
    Options,
    Reaction,
    Receipt,
    Text,
    UnsupportedContent,
)
from tests.support.formats import ATTACHMENT
from tests.support.timelines import ANA, BUDI, CITA, KEY, act, ref, seen

DANI = UserId("whatsapp", "dani")
ACCOUNTS = (ANA, BUDI, CITA, DANI)
IDS = tuple(bytes(15) + bytes((number,)) for number in range(4))
POSTS = (
    Text("halo"),
    Bytes(b"of the app"),
    Text(""),
    Bytes(b""),
    Framed(Text("halo"), KEY),
    Framed(Text("look"), KEY, view_once=True),
    Framed(Media(ATTACHMENT, "caption"), KEY),
    Framed(Options("who?", ("you", "me", "both"), max_choices=2), KEY),
    UnsupportedContent(16, Frame(KEY, None, False, "[drawing]", b"x").encode()),
)


def _hash(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


@st.composite
def posts(draw: st.DrawFn, variants: int = 2) -> Fact:
    """A message. What it says follows from its digest, as it does outside of tests."""
    author, message_id = draw(st.sampled_from(ACCOUNTS)), draw(st.sampled_from(IDS))
    return _post(author, message_id, draw(st.integers(0, variants - 1)))


def _post(author: UserId, message_id: bytes, variant: int) -> Fact:
    digest = _digest(author, message_id, variant)
    content = POSTS[digest[0] % len(POSTS)]
    # Own messages that are viewed once are without content everywhere: `own` is Ana below.
    shown = None if author == ANA and is_view_once(content) else content
    return Fact(author, message_id, digest[1], digest, shown)


def _digest(author: UserId, message_id: bytes, variant: int) -> bytes:
    return _hash(str(author), message_id, variant)


@st.composite
def acts(draw: st.DrawFn) -> Fact:
    """Something done to a message by whoever it is, whether they may or not."""
    target = ref(
        author := draw(st.sampled_from(ACCOUNTS)),
        message_id := draw(st.sampled_from(IDS)),
        _digest(author, message_id, draw(st.integers(0, 2))),
    )
    number = draw(st.integers(1, 3))
    every: tuple[Act, ...] = (
        Edit(target, number, "edited"),
        Edit(target, number, ""),
        Reaction(target, number, "+"),
        Reaction(target, number, ""),
        Answer(target, number, (0,)),
        Answer(target, number, (1, 2)),
        Answer(target, number, (0, 1, 2)),
        Answer(target, number, (5,)),
        Answer(target, number, ()),
        Delete(target),
    )
    content = draw(st.sampled_from(every))
    account, own_id = draw(st.sampled_from(ACCOUNTS)), bytes((draw(st.integers(0, 9)),)) * 16
    digest = _hash(str(account), own_id, content.target, str(vars_of(content)))
    return act(
        *(account, own_id, content),
        digest=digest,
        at=digest[0],
        moderator=draw(st.booleans()),
    )


def vars_of(content: object) -> list[Any]:
    """What a content says, for its digest."""
    names = type(content).__dataclass_fields__  # type: ignore[attr-defined]
    return [type(content).__name__, *(getattr(content, name) for name in names)]


receipts = st.builds(
    seen,
    st.sampled_from(ACCOUNTS),
    st.sampled_from(ACCOUNTS),
    st.integers(1, 2),
    st.sampled_from(IDS),
)
facts = posts() | acts() | receipts
conversations = st.lists(facts, max_size=60)


# --- The second implementation --------------------------------------------------------------


def conversation(all_facts: Iterable[Fact]) -> list[dict[str, Any]]:
    """What is to be shown of a set of facts."""
    about: dict[tuple[str, bytes], list[Fact]] = defaultdict(list)
    for fact in all_facts:
        for author, message_id in fact.targets():
            about[str(author), message_id].append(fact)
    shown = [_shown(key, found) for key, found in about.items()]
    return sorted(
        (each for each in shown if each), key=lambda e: (e["sent_at_ms"], e["author"], e["id"])
    )


def _shown(key: tuple[str, bytes], found: list[Fact]) -> dict[str, Any]:
    seen_by: dict[str, int] = {}
    for fact in found:
        if isinstance(fact.content, Receipt) and str(fact.author) != key[0]:
            account = str(fact.author)
            seen_by[account] = max(seen_by.get(account, 0), fact.content.what)
    written = [fact for fact in found if not isinstance(fact.content, (*ACTS, Receipt))]
    if not written:
        return {}
    entry: dict[str, Any] = {"author": key[0], "id": key[1], "receipts": sorted(seen_by.items())}
    entry["sent_at_ms"] = min(fact.sent_at_ms for fact in written)
    if len({fact.digest for fact in written}) > 1:
        return {**entry, "kind": "conflicting"}
    acts_ = [
        fact
        for fact in found
        if isinstance(fact.content, ACTS) and fact.content.target.digest == written[0].digest
    ]
    deletes = [fact for fact in acts_ if isinstance(fact.content, Delete)]
    if any(str(fact.author) == key[0] for fact in deletes):
        return {**entry, "kind": "deleted", "by": "author"}
    if any(fact.moderator for fact in deletes):
        return {**entry, "kind": "deleted", "by": "moderator"}
    if written[0].content is None:
        return {**entry, "kind": "gone"}
    return {**entry, **_alive(key[0], written[0].content, acts_)}


def _alive(author: str, post: Any, acts_: list[Fact]) -> dict[str, Any]:  # noqa: ANN401
    winners: dict[tuple[type, str], Fact] = {}
    for fact in acts_:
        place = (type(fact.content), str(fact.author))
        if place not in winners or _rank(fact) > _rank(winners[place]):
            winners[place] = fact
    said = {
        kind: {who: fact.content for (what, who), fact in winners.items() if what is kind}
        for kind in (Edit, Reaction, Answer)
    }
    reactions = sorted((who, r.emoji) for who, r in said[Reaction].items() if r.emoji)  # type: ignore[union-attr]
    if isinstance(post, UnsupportedContent):
        return {"kind": "unsupported", "text": "[drawing]", "reactions": reactions}
    inner = post.content if isinstance(post, Framed) else post
    first = {Text: "halo", Media: "caption", Options: "who?", Bytes: ""}[type(inner)]
    if inner == Text(""):
        first = ""
    if isinstance(post, Framed) and post.view_once:
        first = "look"
    edit = said[Edit].get(author)
    may = (isinstance(inner, Media) or (isinstance(inner, Text) and bool(edit and edit.text))) and (  # type: ignore[union-attr]
        first != "look"
    )
    text = edit.text if edit and may else first  # type: ignore[union-attr]
    answers = sorted(
        (who, a.chosen)  # type: ignore[union-attr]
        for who, a in said[Answer].items()
        if isinstance(inner, Options) and a.chosen in [(0,), (1, 2)]  # type: ignore[union-attr]
    )
    alive = {"kind": "post", "text": text, "first": first, "edited": bool(edit and may)}
    return {**alive, "reactions": reactions, "answers": answers}


def _rank(fact: Fact) -> tuple[int, bytes, bytes]:
    return fact.content.number, fact.message_id, fact.digest  # type: ignore[union-attr]


def _as_dict(entry: Entry) -> dict[str, Any]:
    found: dict[str, Any] = {
        "author": str(entry.author),
        "id": entry.message_id,
        "sent_at_ms": entry.sent_at_ms,
        "kind": str(entry.kind),
        "receipts": [(str(who), what) for who, what in entry.receipts],
    }
    reactions = [(str(who), emoji) for who, emoji in entry.reactions]
    if entry.kind == "deleted":
        found["by"] = entry.deleted_by
    if entry.kind in ("post", "unsupported"):
        found |= {"text": entry.text, "reactions": reactions}
    if entry.kind == "post":
        answers = [(str(who), chosen) for who, chosen in entry.answers]
        found |= {"first": entry.first_text, "edited": entry.edited, "answers": answers}
    return found


# --- Properties -----------------------------------------------------------------------------


@given(conversations)
def test_a_second_implementation_shows_the_same(all_facts: list[Fact]) -> None:
    slots = Slots(ANA)
    for fact in all_facts:
        slots.add(fact)
    assert [_as_dict(entry) for entry in slots.entries] == conversation(all_facts)


@given(conversations, st.data())
def test_order_repetition_and_restarts_make_no_difference(
    all_facts: list[Fact], data: st.DataObject
) -> None:
    ends = []
    for _ in range(3):
        order = data.draw(st.permutations(all_facts))
        again = data.draw(st.lists(st.sampled_from(order), max_size=20)) if order else []
        slots = Slots(ANA)
        for fact in (*order, *again):
            slots.add(fact)
            if data.draw(st.integers(0, 9)) == 0:
                slots = Slots.from_bytes(slots.to_bytes())
        ends.append(slots)
    assert len({slots.to_bytes() for slots in ends}) == 1
    assert ends[0].entries == ends[1].entries == ends[2].entries


@given(conversations, st.data())
def test_parts_of_a_conversation_may_come_in_any_way(
    all_facts: list[Fact], data: st.DataObject
) -> None:
    """Devices that were away get their parts later, and some of it twice."""
    whole = Slots(ANA)
    for fact in all_facts:
        whole.add(fact)
    parts: list[list[Fact]] = [[], [], []]
    for fact in all_facts:
        for number in data.draw(st.sets(st.integers(0, 2), min_size=1)):
            parts[number].append(fact)
    device = Slots(ANA)
    for fact in (*parts[2], *parts[0], *parts[1]):
        device.add(fact)
    assert device.to_bytes() == whole.to_bytes()


@given(conversations, st.lists(acts(), max_size=20), st.data())
def test_forged_acts_change_nothing(
    genuine: list[Fact], more: list[Fact], data: st.DataObject
) -> None:
    every = [_post(author, message_id, 0) for author in ACCOUNTS for message_id in IDS]
    forged = [fact for fact in more if _is_forged(fact)]
    shuffled = data.draw(st.permutations([*genuine, *every, *forged]))
    with_, without = Slots(ANA), Slots(ANA)
    for fact in shuffled:
        with_.add(fact)
    for fact in (*genuine, *every):
        without.add(fact)
    assert with_.to_bytes() == without.to_bytes()


def _is_forged(fact: Fact) -> bool:
    content = fact.content
    assert isinstance(content, ACTS)
    target = content.target
    if target.digest == _digest(target.author, target.message_id, 2):
        return True  # nobody has sent that
    is_author = fact.author == target.author
    return (isinstance(content, Edit) and not is_author) or (
        isinstance(content, Delete) and not is_author and not fact.moderator
    )


@given(conversations, st.data())
def test_add_gives_what_has_changed(all_facts: list[Fact], data: st.DataObject) -> None:
    slots = Slots(ANA)
    for fact in all_facts:
        before = {(e.author, e.message_id): e for e in slots.entries}
        changed = slots.add(fact)
        after = slots.entries
        assert changed == tuple(e for e in after if before.get((e.author, e.message_id)) != e)


@given(conversations, st.data())
def test_what_is_gone_stays_gone(all_facts: list[Fact], data: st.DataObject) -> None:
    slots = Slots(ANA)
    for fact in all_facts:
        slots.add(fact)
    for entry in slots.entries:
        slot = slots.find(entry.author, entry.message_id)
        assert slot is not None
        slots.expire(slot)
    kinds = {entry.kind for entry in slots.entries}
    assert kinds <= {"gone", "deleted", "conflicting"}
    for fact in data.draw(st.permutations(all_facts)):
        slots.add(fact)
    slots = Slots.from_bytes(slots.to_bytes())
    assert not any(entry.text or entry.reactions or entry.media for entry in slots.entries)
