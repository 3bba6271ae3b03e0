# SPDX-License-Identifier: Apache-2.0
"""Posts, acts, receipts and what is around them: issue 15, content.md sections 3 and 4."""

from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.address import Address, UserId
from e2ecross.errors import DecodeError, InvalidArgument, RemoteError, UnsupportedVersion
from e2ecross.wire.capabilities import Capability
from e2ecross.wire.content import (
    Answer,
    Bytes,
    Content,
    Delete,
    Edit,
    Expiry,
    Frame,
    Framed,
    FramedContent,
    Media,
    Mention,
    MessageRef,
    Options,
    Reaction,
    Receipt,
    Resent,
    RetryRequest,
    Text,
    Typing,
    UnsupportedContent,
    decode_content,
    decode_unsupported,
    encode_content,
    is_of_users,
    kinds,
    opening_key_of,
)
from e2ecross.wire.content.frame import has_frame
from tests.support import protobuf
from tests.support.formats import ATTACHMENT, MESSAGE_ID, PEER, REF
from tests.support.protobuf import message
from tests.support.vectors import content as vectors
from tests.support.vectors import unhex

MESSAGES, REFUSED = vectors("messages"), vectors("refused")
KEY = b"\xa5" * 32
USER = PEER.user_id
PRIVATE = "attack at dawn"
TYPING_KIND = 2**31 + 48

users = st.sampled_from([USER, UserId("whatsapp", "ana")])
expiries = st.builds(Expiry, st.integers(5, 31_536_000), st.booleans())
refs = st.builds(
    MessageRef, users, st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32)
)
texts = st.text(st.characters(codec="utf-8"), max_size=40)
numbers = st.integers(1, 2**32 - 1)


@st.composite
def mentioning(draw: st.DrawFn, *, least: int = 0) -> tuple[str, tuple[Mention, ...]]:
    """A text, and some mentions in it."""
    text = draw(st.text(st.characters(codec="utf-8"), min_size=least, max_size=40))
    ends = draw(st.lists(st.integers(0, len(text)), unique=True, max_size=8).map(sorted))
    pairs = zip(ends[::2], ends[1::2], strict=False)
    return text, tuple(Mention(start, end - start, draw(users)) for start, end in pairs)


@st.composite
def contents(draw: st.DrawFn) -> FramedContent:
    """A content that goes in a frame."""
    text, mentions = draw(mentioning(least=1))
    reply = draw(st.none() | refs)
    labels = tuple(
        draw(
            st.lists(st.text("abé", min_size=1, max_size=40), min_size=2, max_size=12, unique=True)
        )
    )
    every: list[FramedContent] = [
        Text(text, mentions, reply),
        Media(ATTACHMENT, text, mentions, reply, voice=True),
        Media(ATTACHMENT),
        Options(text, labels, Options.POLL, draw(st.integers(1, len(labels)))),
        Options(text, labels, Options.CHOICES),
        Reaction(draw(refs), draw(numbers), draw(st.text("+👍", max_size=8))),
        Edit(draw(refs), draw(numbers), text, mentions),
        Edit(draw(refs), draw(numbers), ""),
        Delete(draw(refs)),
        Answer(
            draw(refs),
            draw(numbers),
            tuple(sorted(draw(st.frozensets(st.integers(0, 11))))),
        ),
    ]
    return draw(st.sampled_from(every))


@st.composite
def frames(draw: st.DrawFn) -> Framed:
    """A content in a frame that it may have."""
    content = draw(contents())
    expiry = None if isinstance(content, Delete | Answer) else draw(st.none() | expiries)
    view_once = isinstance(content, Text | Media) and draw(st.booleans())
    key = draw(st.binary(min_size=32, max_size=32))
    return Framed(content, key, expiry, view_once, draw(texts))


def parts(framed: Framed) -> tuple[object, ...]:
    """What can be compared of a frame, which holds a secret."""
    return tuple(getattr(framed, field.name) for field in fields(framed))


def framed_body(body: bytes, *more: protobuf.Field) -> bytes:
    """A frame around any bytes."""
    items = [(1, KEY), *more, (5, body)]
    return message([item for item in sorted(items) if item[1] not in (0, b"")])


# --- Vectors --------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", MESSAGES, ids=[vector["name"] for vector in MESSAGES])
def test_messages_have_the_bytes_of_the_vectors(vector: dict[str, Any]) -> None:
    kind, body = vector["kind"], unhex(vector["body"])
    content = decode_content(kind, body)
    assert encode_content(content) == (kind, body)
    assert opening_key_of(content) == unhex(vector["opening_key"])  # type: ignore[arg-type]
    if isinstance(content, Framed):
        assert (content.kind, content.content_body) == (kind, body)
        assert Frame.decode(body).body == unhex(vector["inner"])


@pytest.mark.parametrize("vector", REFUSED, ids=[vector["why"] for vector in REFUSED])
def test_what_the_vectors_refuse_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(DecodeError):
        decode_content(vector["kind"], unhex(vector["body"]))


@pytest.mark.parametrize("case", vectors("received_as")["cases"])
def test_frames_say_what_the_vectors_say(case: dict[str, Any]) -> None:
    """What a device reads of a content that its app may not have announced."""
    (vector,) = [each for each in MESSAGES if each["name"] == case["message"]]
    content = decode_content(vector["kind"], unhex(vector["body"]))
    if isinstance(content, Framed):
        carried = UnsupportedContent(content.kind, content.content_body)
        assert type(content.content).__name__ == case["class"] or (
            case["class"] == "UnsupportedContent"
        )
        for frame in (content, carried.frame):
            assert frame is not None
            assert frame.fallback == case["fallback"]
            assert frame.view_once is case["view_once"]
            assert (frame.expiry.seconds if frame.expiry else 0) == case["expiry"]
    else:
        assert type(content).__name__ == case["class"]


def test_receipts_and_typing_have_the_bytes_of_the_vectors() -> None:
    for vector in vectors("receipts"):
        receipt = decode_content(8, unhex(vector["body"]))
        assert isinstance(receipt, Receipt)
        assert receipt.what == vector["what"]
        assert encode_content(receipt) == (8, unhex(vector["body"]))
    for vector in vectors("typing"):
        assert decode_content(TYPING_KIND, unhex(vector["body"])) == Typing(vector["on"])
        assert encode_content(Typing(vector["on"])) == (TYPING_KIND, unhex(vector["body"]))


# --- Properties -----------------------------------------------------------------------------


@given(frames())
def test_a_frame_survives_its_encoding(framed: Framed) -> None:
    again = decode_content(*encode_content(framed))
    assert isinstance(again, Framed)
    assert parts(again) == parts(framed)
    sent_again = decode_content(*encode_content(Resent(MESSAGE_ID, 1, framed)))
    assert isinstance(sent_again, Resent)
    assert isinstance(sent_again.content, Framed)
    assert parts(sent_again.content) == parts(framed)


@given(st.sampled_from([*range(3, 9), 16, 2**31 - 1, TYPING_KIND]), st.binary(max_size=120))
def test_any_bytes_are_a_content_or_a_remote_error(kind: int, data: bytes) -> None:
    for body in (data, framed_body(data)):
        try:
            content = decode_content(kind, body)
        except RemoteError:
            continue
        assert encode_content(content) == (kind, body)


@given(frames(), st.data())
def test_a_changed_byte_is_another_content_or_refused(framed: Framed, data: st.DataObject) -> None:
    kind, body = encode_content(framed)
    at = data.draw(st.integers(0, len(body) - 1))
    changed = body[:at] + bytes((body[at] ^ data.draw(st.integers(1, 255)),)) + body[at + 1 :]
    try:
        content = decode_content(kind, changed)
    except RemoteError:
        return
    assert encode_content(content) == (kind, changed)


@given(contents())
def test_each_content_says_which_capability_shows_it(content: FramedContent) -> None:
    names = {"Text": "POST"}
    name = type(content).__name__
    assert content.CAPABILITY is Capability[names.get(name, name.upper())]
    assert (Receipt.CAPABILITY, Typing.CAPABILITY) == (Capability.RECEIPTS, Capability.TYPING)


# --- Each field at its limit and above ------------------------------------------------------

RECEIPT = Receipt(Receipt.READ, (MESSAGE_ID,))
POLL = Options("who?", ("you", "me"))
CHOICES = Options("who?", ("you",), Options.CHOICES)
TWELVE = tuple(f"option {number}" for number in range(13))
IDS = tuple(bytes(15) + bytes((number,)) for number in range(65))
TEXT = Text("halo")
FRAMED = Framed(TEXT, KEY)
MENTION = Mention(0, 1, USER)
MENTIONS = tuple(Mention(number, 1, USER) for number in range(65))


@pytest.mark.parametrize(
    ("value", "name", "good", "bad"),
    [
        (Expiry(5), "seconds", [5, 31_536_000], [4, 31_536_001, True, "5"]),
        (Expiry(5), "from_read", [True], [1, None]),
        (REF, "author", [USER], [PEER, "whatsapp:ana", None]),
        (REF, "message_id", [bytes(16)], [bytes(15), bytes(17), "x" * 16]),
        (REF, "digest", [bytes(32)], [bytes(31), bytes(33), None]),
        (REF, "expiry", [None, Expiry(5)], [5]),
        (MENTION, "start", [0, 2**32 - 1], [-1, 2**32, True]),
        (MENTION, "length", [1, 2**32 - 1], [0, -1, 2**32]),
        (MENTION, "user", [USER], [Address("whatsapp", "ana"), "ana", "whatsapp:ana.2"]),
        (TEXT, "text", ["", "a" * 65_536], ["a" * 65_537, "\ud800", b"halo", None]),
        (TEXT, "reply_to", [None, REF], [MESSAGE_ID]),
        (Media(ATTACHMENT), "attachment", [ATTACHMENT], [ATTACHMENT.encode(), None]),
        (Media(ATTACHMENT), "caption", ["", "a" * 65_536], ["a" * 65_537, "\ud800", None]),
        (Media(ATTACHMENT), "reply_to", [None, REF], [MESSAGE_ID]),
        (Media(ATTACHMENT), "voice", [True], [1, None]),
        (POLL, "question", ["?", "a" * 65_536], ["", "a" * 65_537, "\udfff", None]),
        (POLL, "style", [1], [0, 3, True]),
        (
            POLL,
            "labels",
            [("a", "b"), TWELVE[:12], ("a" * 80, "é" * 40)],
            [(), ("a",), TWELVE, ["a", "b"], ("a", "a"), ("", "b"), ("a" * 81, "b"),
             ("é" * 41, "b"), ("a", 1), ("a", "\ud800")],
        ),
        (POLL, "max_choices", [1, 2], [0, 3, True]),
        (CHOICES, "labels", [("a",), TWELVE[:12]], [(), TWELVE]),
        (CHOICES, "max_choices", [1], [0, 2]),
        (Reaction(REF, 1, "+"), "target", [REF], [MESSAGE_ID, None]),
        (Reaction(REF, 1, "+"), "number", [1, 2**32 - 1], [0, 2**32, True]),
        (Reaction(REF, 1, "+"), "emoji", ["", "👍" * 8], ["👍" * 8 + "a", "\ud800", None]),
        (Edit(REF, 1, ""), "target", [REF], [None]),
        (Edit(REF, 1, ""), "number", [1, 2**32 - 1], [0, 2**32]),
        (Edit(REF, 1, ""), "text", ["", "a" * 65_536], ["a" * 65_537, "\ud800", None]),
        (Delete(REF), "target", [REF], [None]),
        (Answer(REF, 1, ()), "target", [REF], [None]),
        (Answer(REF, 1, ()), "number", [1, 2**32 - 1], [0, 2**32]),
        (
            Answer(REF, 1, ()),
            "chosen",
            [(), (11,), tuple(range(12))],
            [(12,), (-1,), (1, 0), (1, 1), (True,), [1], None],
        ),
        (RECEIPT, "what", [1, 2], [0, 3, True]),
        (
            RECEIPT,
            "message_ids",
            [IDS[:1], IDS[:64]],
            [(), IDS, list(IDS), IDS[:1] * 2, IDS[1::-1], (bytes(15),), ("x" * 16,)],
        ),
        (RECEIPT, "group_id", [b"", bytes(32)], [bytes(31), bytes(33), None]),
        (Typing(True), "on", [False], [1, None]),
        (Typing(True), "group_id", [b"", bytes(32)], [bytes(16), None]),
    ],
)  # fmt: skip
def test_each_field_has_its_bounds(
    value: Any,  # noqa: ANN401
    name: str,
    good: list[Any],
    bad: list[Any],
) -> None:
    for fine in good:
        assert getattr(replace(value, **{name: fine}), name) == fine
    for wrong in bad:
        with pytest.raises(InvalidArgument, match=f"^{name} "):
            replace(value, **{name: wrong})


@pytest.mark.parametrize(
    "make",
    [
        lambda text, mentions: Text(text, mentions),
        lambda text, mentions: Media(ATTACHMENT, text, mentions),
        lambda text, mentions: Edit(REF, 1, text, mentions),
    ],
)
def test_mentions_are_few_in_order_and_in_the_text(make: Any) -> None:  # noqa: ANN401
    for fine in ((), (Mention(0, 4, USER),), (Mention(0, 2, USER), Mention(2, 2, USER))):
        assert make("👍ab👍", fine).mentions == fine
    assert len(make("a" * 64, MENTIONS[:64]).mentions) == 64
    for text, wrong in (
        ("a" * 65, MENTIONS),
        ("👍ab👍", (Mention(0, 5, USER),)),
        ("👍ab👍", (Mention(4, 1, USER),)),
        ("halo", (Mention(0, 3, USER), Mention(2, 1, USER))),
        ("halo", (Mention(2, 1, USER), Mention(0, 1, USER))),
        ("halo", [Mention(0, 1, USER)]),
        ("halo", ((0, 1, USER),)),
        ("halo", None),
    ):
        with pytest.raises(InvalidArgument, match=r"^mentions "):
            make(text, wrong)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("content", [Text("a" * 65_532)], [Text("a" * 65_533), Text(""), Bytes(b""), RECEIPT, "a",
                                          Text("", reply_to=REF), UnsupportedContent(9, b"")]),
        ("opening_key", [bytes(32)], [bytes(31), bytes(33), bytearray(32), None]),
        ("expiry", [None, Expiry(5)], [5]),
        ("view_once", [True], [1, None]),
        ("fallback", ["", "a" * 1024], ["a" * 1025, "é" * 513, "\ud800", None]),
    ],
)  # fmt: skip
def test_a_frame_has_its_bounds(name: str, good: list[Any], bad: list[Any]) -> None:
    parts_ = {"content": TEXT, "opening_key": KEY}
    for fine in good:
        framed = Framed(**{**parts_, name: fine})
        again = decode_content(*encode_content(framed))
        assert isinstance(again, Framed)
        assert parts(again) == parts(framed)
    for wrong in bad:
        with pytest.raises(
            InvalidArgument, match=rf"\b{'text' if wrong == Text('') else name}\b|^text "
        ):
            Framed(**{**parts_, name: wrong})
    with pytest.raises(InvalidArgument, match="body"):
        Frame(KEY, None, view_once=False, fallback="", body=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [Delete(REF), Answer(REF, 1, (0,))])
def test_what_ends_with_its_target_has_no_expiry(content: Delete | Answer) -> None:
    with pytest.raises(InvalidArgument, match=r"^expiry "):
        Framed(content, KEY, Expiry(60))
    kind, body = encode_content(Framed(content, KEY))
    inner = Frame.decode(body).body
    with pytest.raises(DecodeError, match="expiry"):
        decode_content(kind, framed_body(inner, (2, message([(1, 60)]))))


@pytest.mark.parametrize(
    "content",
    [POLL, CHOICES, Reaction(REF, 1, "+"), Edit(REF, 1, "a"), Delete(REF), Answer(REF, 1, ())],
)
def test_view_once_is_for_texts_and_media(content: FramedContent) -> None:
    with pytest.raises(InvalidArgument, match=r"^view_once "):
        Framed(content, KEY, view_once=True)
    kind, body = encode_content(Framed(content, KEY))
    with pytest.raises(DecodeError, match="view_once"):
        decode_content(kind, framed_body(Frame.decode(body).body, (3, 1)))
    for fine in (TEXT, Media(ATTACHMENT)):
        assert Framed(fine, KEY, view_once=True).view_once


@pytest.mark.parametrize(
    "content",
    [Text("a", reply_to=REF), Text("a", (MENTION,)), Media(ATTACHMENT), POLL, Delete(REF)],
)
def test_what_needs_a_frame_does_not_go_alone(content: Content) -> None:
    with pytest.raises(InvalidArgument, match="use Framed"):
        encode_content(content)
    with pytest.raises(InvalidArgument, match="use Framed"):
        encode_content(Resent(MESSAGE_ID, 1, content))


def test_a_text_comes_as_text_from_either_kind() -> None:
    assert decode_content(*encode_content(TEXT)) == TEXT
    framed = decode_content(*encode_content(FRAMED))
    assert isinstance(framed, Framed)
    assert framed.content == TEXT
    assert (FRAMED.kind, encode_content(TEXT)[0]) == (3, 1)


@pytest.mark.parametrize("part", [4, 5])
def test_one_post_has_one_part(part: int) -> None:
    """Of two the parser keeps the last: that is another encoding."""
    media = Frame.decode(Framed(Media(ATTACHMENT, "a"), KEY).content_body).body
    poll = Frame.decode(Framed(replace(POLL, question="a"), KEY).content_body).body
    by_number = dict(protobuf.fields(media)) | dict(protobuf.fields(poll))
    first = 9 - part
    body = message([(1, b"a"), (first, by_number[first]), (part, by_number[part])])
    with pytest.raises(DecodeError, match="one encoding"):
        decode_content(3, framed_body(body))


def test_media_without_attachment_are_refused() -> None:
    for media in (b"", message([(2, 1)]), message([(1, b"")])):
        with pytest.raises(DecodeError, match="attachment"):
            decode_content(3, framed_body(message([(1, b"a"), (4, media)])))


def test_a_later_suite_of_attachments_is_told_as_such() -> None:
    later = message([(1, 2), (2, KEY), (13, b"new")])
    body = framed_body(message([(4, message([(1, later)]))]))
    with pytest.raises(UnsupportedVersion, match="suite 2"):
        decode_content(3, body)
    with pytest.raises(InvalidArgument, match="suite 2"):
        UnsupportedContent(3, body)


# --- What is not known ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", [16, 21, 2**31 - 1])
def test_an_unknown_kind_in_a_frame_is_carried(kind: int) -> None:
    body = framed_body(b"\xff anything", (2, message([(1, 3600)])), (3, 1), (4, b"[drawing]"))
    content = decode_content(kind, body)
    assert content == UnsupportedContent(kind, body)
    assert isinstance(content, UnsupportedContent)
    frame = content.frame
    assert frame is not None
    assert (frame.expiry, frame.view_once, frame.fallback) == (Expiry(3600), True, "[drawing]")
    assert (frame.body, frame.opening_key) == (b"\xff anything", KEY)
    assert opening_key_of(content) == KEY
    assert decode_unsupported(content) is content
    for bad in (b"", b"anything", framed_body(b"", (6, 1)), framed_body(b"", (4, b"a" * 1025))):
        with pytest.raises(DecodeError):
            decode_content(kind, bad)
        with pytest.raises(InvalidArgument):
            UnsupportedContent(kind, bad)


@pytest.mark.parametrize("kind", [9, 12, 15, 2**31, 2**32 - 1])
def test_other_unknown_kinds_have_no_frame(kind: int) -> None:
    content = UnsupportedContent(kind, b"\xff anything")
    assert content.frame is None
    assert opening_key_of(content) is None
    assert decode_unsupported(content) is content


@given(frames())
def test_what_an_app_did_not_announce_is_carried_and_read_later(framed: Framed) -> None:
    carried = UnsupportedContent(framed.kind, framed.content_body)
    assert encode_content(carried) == encode_content(framed)
    assert is_of_users(carried)
    assert carried.frame is not None
    assert carried.frame.opening_key == opening_key_of(carried) == framed.opening_key
    assert decode_unsupported(carried) == framed.content


def test_an_older_release_carries_what_it_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    kind, body = encode_content(Framed(Reaction(REF, 1, "+"), KEY, fallback="reacted +"))
    with monkeypatch.context() as older:
        older.delitem(kinds._BY_NUMBER, kind)
        carried = decode_content(kind, body)
        assert isinstance(carried, UnsupportedContent)
        assert carried.frame is not None
        assert carried.frame.fallback == "reacted +"
        assert decode_unsupported(carried) is carried
        with pytest.raises(DecodeError):
            decode_content(kind, body[:-1])
    assert decode_unsupported(carried) == Reaction(REF, 1, "+")


def test_what_is_known_and_malformed_is_not_carried() -> None:
    for kind, body in ((3, framed_body(b"")), (4, framed_body(b"\xff")), (3, b"anything")):
        with pytest.raises(InvalidArgument, match=r"^body is not well-formed"):
            UnsupportedContent(kind, body)
    with pytest.raises(InvalidArgument, match="own class"):
        UnsupportedContent(8, encode_content(RECEIPT)[1])
    with pytest.raises(InvalidArgument, match=r"^content "):
        decode_unsupported(b"")  # type: ignore[arg-type]


def test_frames_are_where_they_are_said_to_be() -> None:
    numbers_ = [*range(1, 18), 2**31 - 1, 2**31, TYPING_KIND]
    assert [kind for kind in numbers_ if has_frame(kind)] == [*range(3, 8), 16, 17, 2**31 - 1]


def test_a_message_has_a_digest_where_something_refers_to_it() -> None:
    assert opening_key_of(TEXT) == opening_key_of(Bytes(b"")) == bytes(32)
    assert opening_key_of(FRAMED) == KEY
    assert opening_key_of(RECEIPT) is None
    assert opening_key_of(Typing(True)) is None


# --- What shows -----------------------------------------------------------------------------


def test_no_value_shows_its_content_or_a_key() -> None:
    attachment = replace(ATTACHMENT, name=PRIVATE)
    values = [
        Text(PRIVATE, (MENTION,), REF),
        Media(attachment, PRIVATE),
        Options(PRIVATE, (PRIVATE, "b")),
        Reaction(REF, 1, PRIVATE),
        Edit(REF, 1, PRIVATE, (MENTION,)),
        Delete(REF),
        Answer(REF, 1, (7,)),
        Framed(Text(PRIVATE), KEY, fallback=PRIVATE),
        UnsupportedContent(16, framed_body(PRIVATE.encode())),
        UnsupportedContent(16, framed_body(PRIVATE.encode())).frame,
    ]
    for value in values:
        assert PRIVATE not in repr(value)
        assert "chosen" not in repr(value)
        assert repr(KEY)[2:30] not in repr(value)
    assert repr(Framed(TEXT, KEY)) == "<Framed: secret>"


def test_contents_cannot_be_changed() -> None:
    for value, name in ((FRAMED, "fallback"), (Delete(REF), "target"), (RECEIPT, "what")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, None)


def test_the_expiry_of_a_reference_is_known_here_alone() -> None:
    ref = replace(REF, expiry=Expiry(60))
    assert ref == REF
    again = decode_content(*encode_content(Framed(Delete(ref), KEY)))
    assert isinstance(again, Framed)
    assert isinstance(again.content, Delete)
    assert again.content.target.expiry is None


def test_contents_are_told_from_what_clients_tell_each_other() -> None:
    for mine in (TEXT, Bytes(b""), FRAMED, Media(ATTACHMENT), POLL, Delete(REF), RECEIPT):
        assert is_of_users(mine)
    for other in (Typing(True), RetryRequest(MESSAGE_ID, None, 0, "a"), "halo", None):
        assert not is_of_users(other)


def test_a_mention_takes_a_user_as_text() -> None:
    assert Mention(0, 1, str(USER)) == MENTION
    for text in ("budi", "instagram:budi.2", ""):
        with pytest.raises(InvalidArgument, match=r"^user "):
            Mention(0, 1, text)
