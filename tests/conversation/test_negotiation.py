# SPDX-License-Identifier: Apache-2.0
"""What the other side shows, before anything is sent: issue 15, content.md section 8."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.address import Address
from e2ecross.conversation.negotiation import (
    Loss,
    Outcome,
    Plan,
    expiry_for,
    fallback_text,
    framed_needs,
    goes_alone,
    negotiate,
    plain_text,
)
from e2ecross.errors import InvalidArgument
from e2ecross.wire.capabilities import Capability
from e2ecross.wire.content import (
    Answer,
    Bytes,
    Content,
    Delete,
    Edit,
    Expiry,
    Framed,
    Media,
    Mention,
    Options,
    Reaction,
    Receipt,
    RetryRequest,
    Text,
    UnsupportedContent,
    decode_content,
    encode_content,
)
from tests.support.formats import ATTACHMENT, MESSAGE_ID, REF
from tests.support.timelines import ANA, BUDI, KEY
from tests.support.vectors import content as vectors
from tests.support.vectors import unhex

CASES = vectors("negotiate")
ALL = frozenset({10, *range(13, 21), 32, 33, 34, 35})
OLD, NEW = frozenset[int](), ALL
PHOTO = Media(replace(ATTACHMENT, media_type="image/jpeg"))
MENTIONS = (Mention(0, 2, BUDI),)
HOUR = Expiry(3600)
CONTENTS: Mapping[str, Content] = {
    "text": Text("halo"),
    "media": PHOTO,
    "options": Options("When?", ("Mon", "Tue")),
    "reaction": Reaction(REF, 1, "👍"),
    "edit": Edit(REF, 1, "hallo"),
    "delete": Delete(REF),
    "answer": Answer(REF, 1, (0, 2)),
}


def end(number: int) -> Address:
    return BUDI.device(number)


def numbers(addresses: Any) -> list[int]:  # noqa: ANN401
    return [address.device for address in addresses]


def content_of(name: str, parts: list[str]) -> Any:  # noqa: ANN401
    content: Any = CONTENTS[name]
    if "mention" in parts:
        content = replace(content, mentions=MENTIONS)
    return replace(content, reply_to=REF) if "reply" in parts else content


def options_of(parts: list[str]) -> dict[str, Any]:
    return {"expiry": HOUR if "expiry" in parts else None, "view_once": "view_once" in parts}


def sent_as(content: Any, plan: Plan, device: Address, options: dict[str, Any]) -> str | None:  # noqa: ANN401
    """What a device gets, in the words of the vectors."""
    if goes_alone(content, **options):
        return "text"
    framed = Framed(content, KEY, **options, fallback=plan.fallback)
    if device in plan.plain:
        return "text" if plain_text(framed) is not None else None
    kind = "post" if framed.kind == 3 else type(content).__name__.lower()
    return kind + "+fallback" if framed.fallback else kind


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_plans_are_those_of_the_vectors(case: dict[str, Any]) -> None:
    content, options = content_of(case["content"], case["parts"]), options_of(case["parts"])
    ends = {end(int(number)): frozenset(ids) for number, ids in case["ends"].items()}
    plan = negotiate(content, ends, **options)
    assert plan.outcome == case["outcome"]
    losses = {str(int(loss.capability)): numbers(loss.devices) for loss in plan.losses}
    assert losses == case["losses"]
    assert numbers(plan.plain) == case["plain"]
    assert plan.fallback == case["fallback"]
    for number, wanted in case["sent_as"].items():
        assert sent_as(content, plan, end(int(number)), options) == wanted


@pytest.mark.parametrize("case", vectors("fallback_cut"))
def test_fallbacks_are_cut_as_in_the_vectors(case: dict[str, Any]) -> None:
    text = fallback_text(Text(case["unit"] * case["count"]))
    assert text == case["unit"] * case["kept"] + "…" * case["ellipsis"]
    assert len(text.encode()) == case["bytes"]


@pytest.mark.parametrize("case", vectors("received_as")["cases"])
def test_a_device_shows_what_it_announces_as_in_the_vectors(case: dict[str, Any]) -> None:
    (vector,) = [each for each in vectors("messages") if each["name"] == case["message"]]
    content = decode_content(vector["kind"], unhex(vector["body"]))
    shown = type(content).__name__
    if isinstance(content, Framed):
        needs = framed_needs(content.content, content.expiry, view_once=content.view_once)
        is_shown = needs <= set(case["capabilities"])
        shown = type(content.content).__name__ if is_shown else "UnsupportedContent"
    assert shown == case["class"]


# --- Properties -----------------------------------------------------------------------------

sendable = st.sampled_from(
    [
        *CONTENTS.values(),
        Bytes(b"data"),
        Text("halo", MENTIONS),
        Text("halo", (), REF),
        replace(PHOTO, reply_to=REF),
        Media(ATTACHMENT, "caption", voice=True),
        Reaction(REF, 2, ""),
        Answer(REF, 2, ()),
        Options("a" * 2000, ("x",), Options.CHOICES),
    ]
)
device_sets = st.dictionaries(
    st.integers(1, 127).map(end), st.frozensets(st.sampled_from(sorted(ALL))), max_size=6
)


@given(sendable, device_sets, st.none() | st.just(HOUR), st.booleans(), st.none() | st.text("é"))
def test_what_is_sent_is_read_everywhere_and_what_protects_is_never_lost(
    content: Content,
    ends: dict[Address, frozenset[int]],
    expiry: Expiry | None,
    view_once: bool,
    fallback: str | None,
) -> None:
    try:
        plan = negotiate(content, ends, expiry=expiry, view_once=view_once, fallback=fallback)
    except InvalidArgument:
        assert isinstance(content, Bytes | Delete | Answer) or view_once
        return
    protects = {Capability.EXPIRY} if expiry else set()
    protects |= {Capability.VIEW_ONCE} if view_once else set()
    usable = {address: ids if 10 in ids else OLD for address, ids in ends.items()}
    unprotected = any(not protects <= ids for ids in usable.values())
    assert (plan.outcome == "refused") is unprotected
    if unprotected:
        assert {loss.capability for loss in plan.losses} <= protects
        assert not plan.plain
        return
    if goes_alone(content, expiry, view_once=view_once):
        assert plan == Plan(Outcome.LOSS_FREE)
        encode_content(content)
        return
    framed = Framed(content, KEY, expiry, view_once, plan.fallback)  # type: ignore[arg-type]
    needs = framed_needs(framed.content, expiry, view_once=view_once)
    lacking = {address for address, ids in usable.items() if not needs <= ids}
    assert set(plan.plain) == {address for address in ends if 10 not in ends[address]}
    assert bool(lacking) or not plan.fallback
    for address, ids in usable.items():
        for_device = plain_text(framed) if address in plan.plain else framed
        if for_device is None:
            assert isinstance(content, Delete)
        else:
            again = decode_content(*encode_content(for_device))
            assert isinstance(again, Framed) or again == for_device
            assert (address in lacking) is not (isinstance(again, Framed) and needs <= ids)
    if plan.outcome in ("lossy", "minor"):
        assert {address for loss in plan.losses for address in loss.devices} == lacking
        assert list(plan.losses) == sorted(plan.losses, key=lambda loss: loss.capability)
        for loss in plan.losses:
            assert loss.devices == tuple(
                sorted(a for a in ends if loss.capability not in usable[a])
            )
    else:
        assert not plan.losses
        assert not lacking or isinstance(content, Text)


@given(sendable, device_sets)
def test_fewer_capabilities_make_no_plan_better(
    content: Content, ends: dict[Address, frozenset[int]]
) -> None:
    order = list(Outcome)
    best = negotiate(content, dict.fromkeys(ends, NEW)).outcome
    worst = negotiate(content, dict.fromkeys(ends, OLD)).outcome
    between = negotiate(content, ends).outcome
    assert order.index(best) <= order.index(between) <= order.index(worst)


# --- Each row, each fallback, each refusal --------------------------------------------------


def test_losses_name_every_device_in_order() -> None:
    ends = {end(3): OLD, end(1): NEW - {13}, end(2): NEW, end(127): OLD}
    plan = negotiate(Media(ATTACHMENT, "a dog"), ends)
    assert plan == Plan(
        Outcome.LOSSY,
        (
            Loss(Capability.POST, (end(3), end(127))),
            Loss(Capability.MEDIA, (end(1), end(3), end(127))),
        ),
        (end(3), end(127)),
        "a dog",
    )


def test_a_fallback_is_carried_only_where_one_is_lacking() -> None:
    text = Text("halo", (), REF)
    assert negotiate(text, {end(1): NEW}, fallback="hi").fallback == ""
    assert negotiate(text, {end(1): OLD}, fallback="hi").fallback == "hi"
    assert negotiate(text, {end(1): OLD}, fallback="").fallback == "halo"
    assert negotiate(text, {}) == Plan(Outcome.LOSS_FREE)


def test_a_text_goes_whole_to_who_reads_no_frames() -> None:
    long = Text("a" * 5000, (), REF)
    plan = negotiate(long, {end(1): OLD})
    assert len(plan.fallback.encode()) == 1024
    assert plain_text(Framed(long, KEY, fallback=plan.fallback)) == Text("a" * 5000)
    assert plain_text(Framed(PHOTO, KEY, fallback="[photo]")) == Text("[photo]")
    assert plain_text(Framed(Delete(REF), KEY, fallback="x")) is None


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (Text("halo"), "halo"),
        (replace(PHOTO, caption="a dog"), "a dog"),
        (PHOTO, "[photo]"),
        (Media(replace(ATTACHMENT, media_type="video/mp4")), "[video]"),
        (Media(replace(ATTACHMENT, media_type="audio/ogg"), voice=True), "[voice message]"),
        (replace(PHOTO, voice=True), "[voice message]"),
        (Media(replace(ATTACHMENT, media_type="audio/ogg")), "[file]"),
        (Media(replace(ATTACHMENT, media_type="application/image")), "[file]"),
        (Options("Q", ("a", "b", "c")), "Q\n1. a\n2. b\n3. c"),
        (Reaction(REF, 1, "👍"), "reacted 👍"),
        (Reaction(REF, 1, ""), "took back a reaction"),
        (Edit(REF, 1, "hallo"), "Correction: hallo"),
        (Delete(REF), "(a message was deleted)"),
        (Answer(REF, 1, (0, 2)), "1, 3"),
        (Answer(REF, 1, (11,)), "12"),
        (Answer(REF, 1, ()), "took back an answer"),
    ],
)
def test_each_content_has_a_text_in_its_place(content: Any, text: str) -> None:  # noqa: ANN401
    assert fallback_text(content) == text


def test_what_has_no_frame_has_no_text_in_its_place() -> None:
    for content in (Bytes(b""), Receipt(1, (MESSAGE_ID,)), None):
        with pytest.raises(InvalidArgument, match=rf"^content .*{type(content).__name__} "):
            fallback_text(content)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "more"),
    [
        (Bytes(b"x"), {"expiry": HOUR}),
        (Bytes(b"x"), {"view_once": True}),
        (Receipt(1, (MESSAGE_ID,)), {}),
        (Receipt(1, (MESSAGE_ID,)), {"expiry": HOUR}),
        (Delete(REF), {"expiry": HOUR}),
        (Answer(REF, 1, ()), {"expiry": HOUR}),
        (Options("?", ("a", "b")), {"view_once": True}),
        (Reaction(REF, 1, "+"), {"view_once": True}),
        (Text("a" * 65_536), {"expiry": HOUR}),
        (Text("", (), REF), {}),
        (UnsupportedContent(9, b""), {}),
        (Framed(Text("halo"), KEY), {}),
        (RetryRequest(MESSAGE_ID, None, 0, "x"), {}),
        ("halo", {}),
        (Text("halo"), {"expiry": 3600}),
        (Text("halo"), {"view_once": 1}),
        (Text("halo"), {"view_once": None}),
        (Text("halo"), {"fallback": "a" * 1025}),
        (Text("halo"), {"fallback": b"halo"}),
        (Text("halo"), {"fallback": "\ud800"}),
    ],
)
def test_what_cannot_be_sent_has_no_plan(content: Any, more: dict[str, Any]) -> None:  # noqa: ANN401
    for ends in ({}, {end(1): OLD}, {end(1): NEW}):
        with pytest.raises(InvalidArgument):
            negotiate(content, ends, **more)


@pytest.mark.parametrize("content", [Text("halo"), CONTENTS["options"]])
@pytest.mark.parametrize(
    "ends",
    [
        None,
        [end(1)],
        {"instagram:budi": NEW},
        {BUDI: NEW},
        {end(1): None},
        {end(1): [10, 14]},
    ],
)
def test_ends_are_devices_with_what_they_announce(content: Any, ends: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument, match=r"^ends "):
        negotiate(content, ends)


def test_an_empty_fallback_is_none() -> None:
    """No frame can carry it, so a device without frames would see another text than planned."""
    reaction = Reaction(REF, 1, "+")
    plan = negotiate(reaction, {end(1): OLD, end(2): frozenset({10})}, fallback="")
    assert plain_text(Framed(reaction, KEY, fallback=plan.fallback)) == Text(plan.fallback)
    assert plan.fallback


def test_a_frame_without_a_fallback_has_its_text_all_the_same() -> None:
    """All devices showed it when it was made; one that does not was linked since."""
    assert plain_text(Framed(Reaction(REF, 1, "+"), KEY)) == Text("reacted +")


def test_a_fallback_is_checked_also_where_none_is_needed() -> None:
    for fallback in ("a" * 1025, b"halo", "\ud800"):
        with pytest.raises(InvalidArgument, match=r"^fallback "):
            negotiate(Text("halo"), {}, fallback=fallback)  # type: ignore[arg-type]
    assert negotiate(Text("halo"), {}, fallback="a" * 1024).outcome == "loss_free"


def test_replies_and_acts_end_with_their_target() -> None:
    target = replace(REF, expiry=HOUR)
    other = Expiry(5)
    assert expiry_for(Text("halo"), None) is None
    assert expiry_for(Text("halo"), other) == other
    assert expiry_for(Bytes(b""), other) == other
    for reply in (Text("halo", (), target), replace(PHOTO, reply_to=target)):
        assert expiry_for(reply, None) == HOUR
        assert expiry_for(reply, other) == other
    for act in (Reaction(target, 1, "+"), Edit(target, 1, "x")):
        assert expiry_for(act, None) == expiry_for(act, HOUR) == HOUR
        with pytest.raises(InvalidArgument, match=r"^expiry "):
            expiry_for(act, other)
        plain = replace(act, target=REF)  # of a target whose expiry is not known
        assert expiry_for(plain, None) is None
        assert expiry_for(plain, other) == other
    assert expiry_for(Delete(target), None) is None
    assert expiry_for(Answer(target, 1, ()), None) is None
    without = {end(1): NEW - {32}}
    assert negotiate(Reaction(target, 1, "+"), without).outcome == "refused"
    assert negotiate(Text("halo", (), target), without).outcome == "refused"
    assert negotiate(Delete(target), without).outcome == "loss_free"


def test_a_relay_that_strips_capabilities_makes_a_plan_worse() -> None:
    """An old list, or none, in the place of the one that says what a device obeys."""
    content = Text("secret")
    assert negotiate(content, {end(1): NEW}, expiry=HOUR).outcome == "loss_free"
    for stripped in (OLD, frozenset({10}), NEW - {32}, frozenset({32})):
        plan = negotiate(content, {end(1): NEW, end(2): stripped}, expiry=HOUR)
        assert plan == Plan(Outcome.REFUSED, (Loss(Capability.EXPIRY, (end(2),)),))


def test_a_plan_names_devices_of_several_accounts_in_order() -> None:
    ends = {BUDI.device(2): OLD, ANA.device(3): OLD, BUDI.device(1): OLD}
    plan = negotiate(Text("halo", MENTIONS), ends)
    assert plan.plain == (BUDI.device(1), BUDI.device(2), ANA.device(3))
    assert plan.outcome == "loss_free"
