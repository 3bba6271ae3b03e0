# SPDX-License-Identifier: Apache-2.0
"""The app's timeline: which items it takes, and the acts that it builds."""

from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import pytest

from e2ecross import Entry, Recipient, Timeline
from e2ecross.address import Address
from e2ecross.client.sent import Sent
from e2ecross.errors import DecodeError, InvalidArgument
from e2ecross.state.message import FailedMessage, Message
from e2ecross.state.notice import Notice, NoticeKind
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
    Receipt,
    Text,
    UnsupportedContent,
)
from tests.support.formats import ATTACHMENT
from tests.support.timelines import ANA, BUDI, CITA, KEY

ID, OTHER_ID = b"\x01" * 16, b"\x02" * 16
DIGEST = b"\xd1" * 32
LABELS = ("a", "b", "c")
BUDIS, OWN = Address("instagram", "budi"), Address("whatsapp", "ana", 2)


def message(content: Any, sender: Address = BUDIS, **more: Any) -> Message:  # noqa: ANN401
    """What a client hands over: what was in a frame, with the frame."""
    framed = content if isinstance(content, Framed) else None
    message_id = more.pop("message_id", ID)
    known: dict[str, Any] = {
        "ref": MessageRef(sender.user_id, message_id, more.pop("digest", DIGEST)),
        "peer": BUDI,
        "own_copy": sender == OWN,
        "framed": framed,
        "view_once": framed is not None and framed.view_once,
    }
    bare = content if framed is None else framed.content
    return Message(sender, message_id, more.pop("sent_at_ms", 5), bare, False, **{**known, **more})


@dataclass(frozen=True)
class Named(Sent):
    """What was sent, under any digest."""

    named: MessageRef | None = None

    @property
    def ref(self) -> MessageRef | None:
        return self.named


def sent(content: Any, message_id: bytes = ID, digest: bytes = DIGEST) -> Named:  # noqa: ANN401
    """What `Client.send` returns."""
    ref = MessageRef(ANA, message_id, digest)
    return Named(message_id, (), sent_at_ms=5, content=content, named=ref)


def timeline_of(*items: Any) -> Timeline:  # noqa: ANN401
    timeline = Timeline(ANA)
    for item in items:
        timeline.add(item)
    return timeline


def entry_in(timeline: Timeline) -> Entry:
    (entry,) = timeline.entries
    return entry


TEXT = Framed(Text("halo"), KEY)
OPTIONS = Framed(Options("who?", LABELS, max_choices=2), KEY)
DRAWING = UnsupportedContent(16, Frame(KEY, None, False, "[drawing]", b"x").encode())


# --- What it takes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "kind", "text"),
    [
        (Text("halo"), "post", "halo"),
        (TEXT, "post", "halo"),
        (Framed(Media(ATTACHMENT, "halo"), KEY), "post", "halo"),
        (OPTIONS, "post", "who?"),
        (Bytes(b"halo"), "post", ""),
        (DRAWING, "unsupported", "[drawing]"),
        (UnsupportedContent(3, TEXT.content_body), "unsupported", ""),
    ],
)
def test_it_takes_what_is_received_and_sent(content: Any, kind: str, text: str) -> None:  # noqa: ANN401
    for item, author in (
        (message(content), BUDI),
        (message(content, OWN), ANA),
        (message(content, OWN, historical=True), ANA),
        (sent(content), ANA),
    ):
        timeline = Timeline(ANA)
        (entry,) = timeline.add(item)
        assert (entry.kind, entry.text, entry.author) == (kind, text, author)
        assert (entry.message_id, entry.sent_at_ms) == (ID, 5)
        assert entry.ref == MessageRef(author, ID, DIGEST)
        assert timeline.entries == (entry,)
        assert timeline.add(item) == ()
        assert (
            timeline.add(replace(item, redelivered=True) if isinstance(item, Message) else item)
            == ()
        )


def test_a_message_and_its_own_copies_are_one() -> None:
    timeline = timeline_of(sent(TEXT), message(TEXT, OWN), message(TEXT, replace(OWN, device=3)))
    assert entry_in(timeline).text == "halo"
    assert timeline.to_bytes() == timeline_of(sent(TEXT)).to_bytes()


@pytest.mark.parametrize(
    "item",
    [
        message(Text("halo"), ref=None),
        message(Text("halo"), expired=True),
        message(Reaction(MessageRef(BUDI, OTHER_ID, DIGEST), 1, "+"), ref=None),
        message(UnsupportedContent(12, b""), ref=None),
        message(Media(ATTACHMENT)),  # without its frame, which no client hands over
        FailedMessage(BUDIS, ID, DecodeError("malformed")),
        Notice(NoticeKind.RESTORED, ANA, messages=(ID,)),
        replace(sent(TEXT), named=None),
    ],
)
def test_all_else_is_nothing(item: Any) -> None:  # noqa: ANN401
    timeline = Timeline(ANA)
    empty = timeline.to_bytes()
    assert timeline.add(item) == ()
    assert timeline.to_bytes() == empty


def test_what_is_no_item_is_refused() -> None:
    for item in (None, Text("halo"), [message(TEXT)]):
        with pytest.raises(InvalidArgument, match=r"^item "):
            Timeline(ANA).add(item)  # type: ignore[arg-type]
    for own in ("ana", "whatsapp:ana.2", 5, None):
        with pytest.raises(InvalidArgument, match=r"^own "):
            Timeline(own)  # type: ignore[arg-type]
    timeline = Timeline(BUDI)
    with pytest.raises(InvalidArgument, match=r"^item .*whatsapp:ana.*instagram:budi"):
        timeline.add(sent(TEXT))
    assert timeline.entries == ()


def test_receipts_belong_to_who_wrote_the_messages() -> None:
    mine, theirs = sent(TEXT), message(TEXT, message_id=OTHER_ID)
    read = Receipt(Receipt.READ, (ID, OTHER_ID))
    timeline = timeline_of(mine, theirs)
    (entry,) = timeline.add(message(read, ref=None, message_id=b"\x03" * 16))
    assert (entry.author, entry.receipts) == (ANA, ((BUDI, 2),))
    (entry,) = timeline.add(message(read, OWN, ref=None, message_id=b"\x04" * 16))
    assert (entry.author, entry.receipts) == (BUDI, ((ANA, 2),))


def test_acts_are_those_of_their_senders() -> None:
    target = MessageRef(BUDI, ID, DIGEST)
    admin = Address("messenger", "cita")
    items = [
        message(TEXT),
        message(Framed(Reaction(target, 1, "+"), KEY), OWN, message_id=OTHER_ID),
        message(Reaction(target, 1, "-"), admin, message_id=OTHER_ID),
        message(Framed(Edit(target, 1, "forged"), KEY), admin, message_id=OTHER_ID),
        message(Framed(Delete(target), KEY), admin, message_id=OTHER_ID),
    ]
    for order in permutations(items):
        entry = entry_in(timeline_of(*order))
        assert (entry.text, entry.reactions) == ("halo", ((CITA, "-"), (ANA, "+")))
    deleted = replace(sent(Framed(Delete(target), KEY), b"\x08" * 16), moderator=True)
    assert entry_in(timeline_of(*items, deleted)).deleted_by == "moderator"
    assert entry_in(timeline_of(*items, replace(deleted, moderator=False))).kind == "post"
    items[-1] = replace(items[-1], moderator=True)
    for order in permutations(items):
        assert entry_in(timeline_of(*order)).deleted_by == "moderator"


@pytest.mark.parametrize("content", [Text("look"), Media(ATTACHMENT)])
def test_an_own_message_that_is_viewed_once_is_gone_from_the_start(content: Any) -> None:  # noqa: ANN401
    framed = Framed(content, KEY, view_once=True)
    assert entry_in(timeline_of(message(framed))).view_once
    for item in (
        sent(framed),
        sent(UnsupportedContent(3, framed.content_body)),
        message(framed, OWN),
        replace(message(framed, OWN), framed=None, content=None),
        sent(None),
    ):
        timeline = timeline_of(item)
        assert entry_in(timeline).kind == "gone"
        assert KEY not in timeline.to_bytes()


# --- The acts that it builds -----------------------------------------------------------------


def test_acts_name_their_target_and_count_up() -> None:
    timeline = timeline_of(sent(OPTIONS))
    entry = entry_in(timeline)
    first = timeline.reaction(entry, "+")
    assert first == Reaction(MessageRef(ANA, ID, DIGEST), 1, "+")
    assert timeline.reaction(entry, "-").number == 1
    timeline.add(sent(Framed(first, KEY), OTHER_ID))
    # Of any kind of act, but of the own account alone.
    assert timeline.answer(entry, [2, 0]) == Answer(first.target, 2, (0, 2))
    timeline.add(message(Reaction(first.target, 7, "+"), message_id=b"\x05" * 16))
    assert timeline.answer(entry, ()) == Answer(first.target, 2, ())
    timeline.add(message(Answer(first.target, 9, (1,)), OWN, message_id=b"\x06" * 16))
    assert timeline.reaction(entry, "").number == 10
    assert timeline.delete(entry) == Delete(first.target)
    assert Timeline.from_bytes(timeline.to_bytes()).reaction(entry, "").number == 10


def test_an_act_has_the_expiry_of_its_target() -> None:
    timeline = timeline_of(sent(Framed(Text("halo"), KEY, Expiry(60))))
    assert timeline.reaction(entry_in(timeline), "+").target.expiry == Expiry(60)
    assert timeline.edit(entry_in(timeline), "x").target.expiry == Expiry(60)


def test_an_edit_is_built_for_own_texts_and_captions() -> None:
    mentions = (Mention(0, 2, BUDI),)
    ref = MessageRef(ANA, ID, DIGEST)
    for content, text in (
        (TEXT, "hallo"),
        (Text("halo"), "hallo"),
        (Framed(Media(ATTACHMENT), KEY), ""),
    ):
        timeline = timeline_of(sent(content))
        assert timeline.edit(entry_in(timeline), text) == Edit(ref, 1, text)
    assert timeline.edit(entry_in(timeline), "hallo", mentions).mentions == mentions
    first = timeline.edit(entry_in(timeline), "hallo")
    timeline.add(sent(Framed(first, KEY), OTHER_ID))
    assert timeline.edit(entry_in(timeline), "x").number == 2
    assert entry_in(timeline).edited


GONE = Framed(Text("look"), KEY, view_once=True)


@pytest.mark.parametrize(
    ("items", "can"),
    [
        ([sent(TEXT)], {"reaction", "edit", "delete"}),
        ([message(TEXT)], {"reaction", "delete"}),
        ([message(GONE)], {"reaction", "delete"}),
        ([message(OPTIONS)], {"reaction", "delete", "answer"}),
        ([sent(OPTIONS)], {"reaction", "delete", "answer"}),
        ([sent(Bytes(b"x"))], {"reaction", "delete"}),
        ([sent(DRAWING)], {"reaction", "delete"}),
        ([sent(GONE)], {"delete"}),
        ([sent(TEXT), sent(Delete(MessageRef(ANA, ID, DIGEST)), OTHER_ID)], set()),
        ([sent(TEXT), sent(TEXT, digest=bytes(32))], set()),
    ],
    ids=range(10),
)
def test_acts_are_built_for_what_they_can_have_an_effect_on(
    items: list[Any], can: set[str]
) -> None:
    timeline = timeline_of(*items)
    entry = entry_in(timeline)
    for name, more in (("reaction", "+"), ("edit", "x"), ("delete", None), ("answer", [0])):
        arguments = (entry,) if more is None else (entry, more)
        if name in can:
            getattr(timeline, name)(*arguments)
        else:
            with pytest.raises(InvalidArgument, match=r"^(entry|chosen) "):
                getattr(timeline, name)(*arguments)


def test_what_is_known_now_counts_not_the_entry() -> None:
    timeline = timeline_of(sent(TEXT))
    entry = entry_in(timeline)
    timeline.add(sent(Framed(timeline.delete(entry), KEY), OTHER_ID))
    with pytest.raises(InvalidArgument, match=r"^entry .*post or unsupported"):
        timeline.reaction(entry, "+")


def test_arguments_of_acts_are_checked() -> None:
    timeline = timeline_of(sent(OPTIONS))
    entry = entry_in(timeline)
    for chosen in ([3], [0, 1, 2], [0, 0], [-1], ["a"], [True], 0, "0", None):
        with pytest.raises(InvalidArgument, match=r"^chosen "):
            timeline.answer(entry, chosen)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="emoji"):
        timeline.reaction(entry, "x" * 33)
    text = timeline_of(sent(TEXT))
    for value in ("", None, "a" * 65_537):
        with pytest.raises(InvalidArgument, match=r"text"):
            text.edit(entry_in(text), value)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="mentions"):
        text.edit(entry_in(text), "x", (Mention(0, 2, BUDI),))
    waiting = timeline_of(sent(timeline.reaction(entry, "+"), OTHER_ID))
    with pytest.raises(InvalidArgument, match=r"^entry "):
        waiting.delete(entry)
    others = entry_in(timeline_of(sent(TEXT, OTHER_ID)))
    for call in (timeline.delete, timeline.expire):
        for stranger in (others, replace(entry, author=BUDI), None):
            with pytest.raises(InvalidArgument, match=r"^entry "):
                call(stranger)  # type: ignore[arg-type]


def test_an_entry_of_another_conversation_is_none_of_this_one() -> None:
    """Somebody sends under one id here and there: what is shown there is not what an act is on."""
    here = timeline_of(message(TEXT))
    there = entry_in(timeline_of(message(OPTIONS, digest=bytes(32))))
    for name, *more in (("reaction", "+"), ("delete",), ("answer", [0]), ("expire",)):
        with pytest.raises(InvalidArgument, match=r"^entry "):
            getattr(here, name)(there, *more)
    assert entry_in(here).text == "halo"


def test_places_are_those_that_are_offered_now() -> None:
    timeline = timeline_of(message(OPTIONS))
    more = replace(entry_in(timeline), options=Options("who?", (*LABELS, "d"), max_choices=4))
    with pytest.raises(InvalidArgument, match=r"^chosen "):
        timeline.answer(more, [3])


def test_what_has_expired_is_gone() -> None:
    timeline = timeline_of(message(TEXT))
    timeline.expire(entry_in(timeline))
    entry = entry_in(timeline)
    assert (entry.kind, entry.text) == ("gone", "")
    timeline.expire(entry)
    assert timeline.add(message(TEXT)) == ()
    assert entry_in(Timeline.from_bytes(timeline.to_bytes())) == entry
    conflicting = timeline_of(message(TEXT), message(TEXT, digest=bytes(32)))
    conflicting.expire(entry_in(conflicting))
    assert entry_in(conflicting).kind == "conflicting"


def test_a_timeline_shows_nothing_in_its_repr() -> None:
    assert "halo" not in repr(timeline_of(sent(TEXT)))
    assert "halo" not in repr(sent(TEXT))
    assert "halo" not in repr(message(TEXT))


@pytest.mark.parametrize(
    ("item", "may"),
    [
        (message(Text("halo")), True),
        (message(Bytes(b"x")), True),
        (message(Framed(Media(ATTACHMENT), KEY)), True),
        (message(OPTIONS), True),
        (message(DRAWING), False),
        (message(Reaction(MessageRef(ANA, ID, DIGEST), 1, "+")), False),
        (message(TEXT, expiry=Expiry(5)), False),
        (message(TEXT, view_once=True), False),
    ],
)
def test_what_may_stay_may_be_sent_on(item: Message, may: bool) -> None:
    assert item.forwardable is may


@pytest.mark.parametrize("own", ["whatsapp:ana", ANA, OWN])
def test_an_account_is_named_by_text_id_or_address(own: Recipient) -> None:
    timeline = Timeline(own)
    timeline.add(sent(TEXT))
    assert [entry.author for entry in timeline.entries] == [ANA]
