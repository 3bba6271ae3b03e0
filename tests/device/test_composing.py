# SPDX-License-Identifier: Apache-2.0
"""From what an app wants to send to what each device gets of it."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.address import Address
from e2ecross.conversation.negotiation import Outcome
from e2ecross.device.composing import (
    ALL_SHOWN,
    Draft,
    capabilities_of,
    compose,
    draft_of,
    forms_for,
    plan_of,
    require_allowed,
)
from e2ecross.errors import ContentRefused, InvalidArgument, LossyContent
from e2ecross.wire.account_records import AccountRecord
from e2ecross.wire.capabilities import Capability, encode_capabilities
from e2ecross.wire.content import (
    Answer,
    AnyContent,
    Bytes,
    Delete,
    Edit,
    Expiry,
    Framed,
    FramedContent,
    Media,
    Mention,
    MessageRef,
    Options,
    Reaction,
    Receipt,
    Text,
    Typing,
    UnsupportedContent,
    decode_content,
    encode_content,
)
from tests.support.accounts import device_of
from tests.support.device_lists import Household
from tests.support.devices import BUDI, MESSAGE_ID, NOW_MS
from tests.support.entropy import SeededEntropy
from tests.support.formats import ATTACHMENT, REF
from tests.support.vectors import content as vectors
from tests.wire.test_framed_content import contents, expiries

ALL = frozenset({10, *range(13, 21), 32, 33})
TARGET = MessageRef(REF.author, REF.message_id, REF.digest, Expiry(60))
WITHOUT_32 = ALL - {32}


def listed(ends: Mapping[Address, frozenset[int]]) -> AccountRecord:
    """An account whose devices announce that."""
    home = Household(BUDI.user_id)
    for address, ids in sorted(ends.items()):
        home.move_in(address.device, home.pair(address.device), _encoded(ids))
    numbers = sorted({1, *(address.device for address in ends)})
    return AccountRecord(home.sign(devices=numbers))


def _encoded(ids: frozenset[int]) -> bytes:
    return encode_capabilities(ids) if 10 in ids else b""


def composed(draft: Draft, ends: Mapping[Address, frozenset[int]]) -> AnyContent:
    entropy = SeededEntropy("composing")
    return compose(draft, plan_of(draft, ends), entropy, NOW_MS).content


# --- Vectors ------------------------------------------------------------------------------------

_NAMED: dict[str, AnyContent] = {
    "text": Text("halo"),
    "media": Media(ATTACHMENT),
    "options": Options("When?", ("Mon", "Tue")),
    "reaction": Reaction(REF, 1, "👍"),
    "edit": Edit(REF, 1, "hallo"),
    "delete": Delete(REF),
    "answer": Answer(REF, 1, (0, 2)),
}


def _with_parts(vector: dict[str, Any]) -> Draft:
    content, parts = _NAMED[vector["content"]], vector["parts"]
    mentions = (Mention(0, 2, BUDI.user_id),) if "mention" in parts else ()
    reply_to = REF if "reply" in parts else None
    if isinstance(content, Text):
        content = Text(content.text, mentions, reply_to)
    elif isinstance(content, Media):
        content = Media(ATTACHMENT, reply_to=reply_to)
    elif isinstance(content, Edit):
        content = Edit(REF, 1, content.text, mentions)
    expiry = Expiry(60) if "expiry" in parts else None
    return draft_of(content, expiry=expiry, view_once="view_once" in parts, allow_lossy=True)


def _name(content: AnyContent | None) -> str | None:
    if content is None or isinstance(content, Text):
        return None if content is None else "text"
    assert isinstance(content, Framed)
    kind = "post" if content.kind == 3 else type(content.content).__name__.lower()
    return f"{kind}+fallback" if content.fallback else kind


@pytest.mark.parametrize("vector", vectors("negotiate"), ids=str)
def test_each_device_gets_what_the_vectors_say(vector: dict[str, Any]) -> None:
    draft = _with_parts(vector)
    ends = {device_of(BUDI, int(n)): frozenset(ids) for n, ids in vector["ends"].items()}
    plan = plan_of(draft, ends)
    assert plan.outcome == vector["outcome"]
    if plan.outcome is Outcome.REFUSED:
        with pytest.raises(ContentRefused):
            require_allowed(draft, plan)
        return
    require_allowed(draft, plan)
    content = composed(draft, ends)
    forms = forms_for(content, listed(ends), ends)
    assert {f"{each.device}": _name(forms.get(each)) for each in ends} == vector["sent_as"]
    if isinstance(content, Framed):
        assert content.fallback == vector["fallback"]


# --- Drafts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        Receipt(1, (MESSAGE_ID,)),
        Typing(on=True),
        Framed(Text("halo"), bytes(32)),
        UnsupportedContent(17, Framed(Text("halo"), bytes(32)).content_body),
        "halo",
        None,
    ],
    ids=repr,
)
def test_apps_send_no_other_content(content: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument, match="content"):
        draft_of(content)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (Text("halo"), {"expiry": 60}, "expiry"),
        (Text("halo"), {"view_once": 1}, "view_once"),
        (Text("halo"), {"allow_lossy": None}, "allow_lossy"),
        (Text("halo"), {"fallback": b"halo"}, "fallback"),
        (Text("halo"), {"fallback": "é" * 513}, "fallback"),
        (Bytes(b"halo"), {"expiry": Expiry(60)}, "Bytes"),
        (Bytes(b"halo"), {"view_once": True}, "Bytes"),
        (Delete(REF), {"expiry": Expiry(60)}, "expiry"),
        (Answer(REF, 1, ()), {"expiry": Expiry(60)}, "expiry"),
        (Reaction(REF, 1, "👍"), {"view_once": True}, "view_once"),
        (Options("When?", ("Mon", "Tue")), {"view_once": True}, "view_once"),
        (Reaction(TARGET, 1, "👍"), {"expiry": Expiry(61)}, "target"),
        (Edit(TARGET, 1, "hallo"), {"expiry": Expiry(60, from_read=True)}, "target"),
        (Text("", reply_to=REF), {}, "empty"),
        (Text("a" * 65_534, reply_to=REF), {}, "encoded"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_what_cannot_be_sent_so(content: Any, options: Any, message: str) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument, match=message):
        draft_of(content, **options)


@pytest.mark.parametrize("content", [Text("halo"), Text(""), Bytes(b"halo")], ids=repr)
def test_what_needs_nothing_goes_as_it_is(content: AnyContent) -> None:
    draft = draft_of(content, fallback="not used")
    assert draft.goes_alone
    assert draft_of(content).goes_alone
    assert plan_of(draft, {BUDI: frozenset()}) == ALL_SHOWN
    assert composed(draft, {BUDI: frozenset()}) is content


@pytest.mark.parametrize(
    "content",
    [Text("halo", reply_to=TARGET), Reaction(TARGET, 1, "👍"), Edit(TARGET, 1, "hallo")],
    ids=repr,
)
def test_replies_and_acts_have_the_expiry_of_their_target(content: FramedContent) -> None:
    framed = composed(draft_of(content), {BUDI: ALL})
    assert isinstance(framed, Framed)
    assert framed.expiry == Expiry(60)
    assert plan_of(draft_of(content), {BUDI: WITHOUT_32}).outcome is Outcome.REFUSED


def test_a_reply_may_have_an_expiry_of_its_own() -> None:
    framed = composed(draft_of(Text("a", reply_to=TARGET), expiry=Expiry(5)), {BUDI: ALL})
    assert isinstance(framed, Framed)
    assert framed.expiry == Expiry(5)


def test_each_message_has_a_key_of_its_own() -> None:
    draft, entropy = draft_of(Text("halo", reply_to=REF)), SeededEntropy("keys")
    keys = {
        framed.opening_key
        for framed in (compose(draft, ALL_SHOWN, entropy, NOW_MS).content for _ in range(8))
        if isinstance(framed, Framed)
    }
    assert len(keys) == 8
    assert bytes(32) not in keys


def test_the_message_id_is_for_what_it_says_and_not_for_a_key() -> None:
    one, other = draft_of(Text("halo", reply_to=REF)), draft_of(Text("halo"), expiry=Expiry(60))
    again = draft_of(Text("halo", reply_to=REF), fallback="halo?", allow_lossy=True)
    assert encode_content(one.blank) == encode_content(again.blank)
    assert encode_content(one.blank) != encode_content(other.blank)


# --- What a device announces --------------------------------------------------------------------


def test_who_is_in_no_list_announces_nothing() -> None:
    record = listed({BUDI: ALL})
    assert capabilities_of(record, BUDI) == ALL
    assert capabilities_of(record, device_of(BUDI, 2)) == frozenset()
    assert capabilities_of(None, BUDI) == frozenset()
    assert capabilities_of(AccountRecord(), BUDI) == frozenset()


def test_what_is_not_well_formed_announces_nothing() -> None:
    home = Household(BUDI.user_id)
    home.move_in(1, None, encode_capabilities(ALL) + b"\0")
    assert capabilities_of(AccountRecord(home.sign()), BUDI) == frozenset()


# --- Properties ---------------------------------------------------------------------------------

_ids = st.frozensets(st.sampled_from(sorted(ALL | {11, 34, 1000})))
_ends = st.dictionaries(st.integers(1, 5).map(lambda n: device_of(BUDI, n)), _ids, min_size=1)


@st.composite
def drafts(draw: st.DrawFn) -> Draft:
    """Something that an app may send."""
    content: AnyContent = draw(contents() | st.builds(Bytes, st.binary(max_size=9)))
    may_end = not isinstance(content, Bytes | Delete | Answer)
    expiry = draw(st.none() | expiries) if may_end else None
    view_once = isinstance(content, Text | Media) and draw(st.booleans())
    fallback = draw(st.none() | st.text("abc", min_size=1, max_size=9))
    return draft_of(
        content, expiry=expiry, view_once=view_once, fallback=fallback, allow_lossy=True
    )


@given(drafts(), _ends)
def test_whatever_is_sent_is_read_by_every_device_and_nothing_that_protects_is_lost(
    draft: Draft, ends: dict[Address, frozenset[int]]
) -> None:
    plan = plan_of(draft, ends)
    needed = set()
    if draft.expiry is not None:
        needed.add(Capability.EXPIRY)
    if draft.view_once:
        needed.add(Capability.VIEW_ONCE)
    obeys = all(10 in ids and needed <= ids for ids in ends.values()) or not needed
    assert (plan.outcome is Outcome.REFUSED) is not obeys
    if not obeys:
        with pytest.raises(ContentRefused):
            require_allowed(draft, plan)
    content = composed(draft, ends)
    forms = forms_for(content, listed(ends), ends)
    for end, ids in ends.items():
        form = forms.get(end)
        if form is None:
            assert not (10 in ids and needed <= ids)
            assert needed or isinstance(draft.content, Delete)
            continue
        kind, body = encode_content(form)
        assert encode_content(decode_content(kind, body)) == (kind, body)
        if isinstance(form, Framed):
            assert form is content
            assert needed <= ids
            assert 10 in ids
        else:
            assert not needed
            assert kind in (1, 2)
    if needed or 10 in frozenset.intersection(*ends.values()):
        assert set(forms) == {each for each, ids in ends.items() if needed <= ids and 10 in ids}


@given(drafts(), _ends)
def test_what_is_lost_is_lost_with_consent_alone(
    draft: Draft, ends: dict[Address, frozenset[int]]
) -> None:
    plan = plan_of(draft, ends)
    if plan.outcome is Outcome.LOSSY:
        require_allowed(draft, plan)
        with pytest.raises(LossyContent) as raised:
            require_allowed(draft._replace(allow_lossy=False), plan)
        assert raised.value.plan is plan
        for loss in plan.losses:
            assert f"{loss.capability:d}" in str(raised.value)
    elif plan.outcome is not Outcome.REFUSED:
        require_allowed(draft._replace(allow_lossy=False), plan)


@given(drafts(), _ends, _ends)
def test_later_devices_get_what_is_kept_or_a_text_in_its_place(
    draft: Draft, before: dict[Address, frozenset[int]], after: dict[Address, frozenset[int]]
) -> None:
    """Devices that were linked since, in whatever way: the frame that was made is all there is."""
    content = composed(draft, before)
    for form in forms_for(content, listed(after), after).values():
        if isinstance(form, Text) and isinstance(content, Framed):
            assert form.text
            assert (form.mentions, form.reply_to) == ((), None)
        else:
            assert form is content
