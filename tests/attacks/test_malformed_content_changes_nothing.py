# SPDX-License-Identifier: Apache-2.0
"""A content beyond a bound, or in a second spelling, is refused with the message that holds it.

The attacker: a contact, in a genuine session, whose app writes whatever it likes into a frame: too
many mentions or labels, what a frame must not say, what is nested without end.
"""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from e2ecross.errors import DecodeError
from e2ecross.wire.content import (
    Answer,
    AnyContent,
    Edit,
    EncodedContent,
    Expiry,
    Frame,
    Framed,
    Media,
    Mention,
    Options,
    Reaction,
    Receipt,
    Text,
    decode_content,
    encode_content,
)
from tests.attacks.support import Person, assert_all_refused, meet, person
from tests.support.accounts import craft
from tests.support.bombs import BOMBS, malformed
from tests.support.devices import ANA, BUDI
from tests.support.formats import ATTACHMENT, REF
from tests.support.protobuf import message
from tests.support.vectors import content as vectors
from tests.support.vectors import unhex

KEY = b"\xa5" * 32
REFUSED = [EncodedContent(each["kind"], unhex(each["body"])) for each in vectors("refused")]
FRAMED_KINDS, RECEIPT_KIND = (3, 4, 5, 6, 7, 16), 8
THUMBNAIL = b"\xff\xd8\xff".ljust(24_576, b"\x00")
MENTIONS = tuple(Mention(place, 1, BUDI.user_id) for place in range(64))
AT_THE_LIMIT: tuple[AnyContent, ...] = (
    Framed(Text("a" * 65_532), KEY, Expiry(31_536_000), view_once=True, fallback="é" * 512),
    Framed(Text("a" * 64, MENTIONS, REF), KEY, Expiry(5)),
    Framed(Options("?", tuple(f"{place:080}" for place in range(12)), max_choices=12), KEY),
    Framed(Media(replace(ATTACHMENT, name="n" * 255, thumbnail=THUMBNAIL)), KEY),
    Framed(Edit(REF, 2**32 - 1, "a" * 64, MENTIONS), KEY),
    Framed(Reaction(REF, 2**32 - 1, "a" * 32), KEY),
    Framed(Answer(REF, 2**32 - 1, tuple(range(12))), KEY),
    Receipt(Receipt.READ, tuple(number.to_bytes(16) for number in range(64)), bytes(32)),
)


@pytest.fixture
def people() -> tuple[Person, Person]:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    return ana, budi


def _crafted(budi: Person, contents: Iterable[EncodedContent]) -> list[bytes]:
    """Genuine messages of Budi to Ana, whatever they hold."""
    return [craft(budi.device, ANA, content).encode() for content in contents]  # type: ignore[arg-type]


def _framed(kind: int, body: bytes) -> EncodedContent:
    return EncodedContent(kind, message([(1, KEY), (5, body)]))


def _assert_refused(people: tuple[Person, Person], contents: list[EncodedContent]) -> None:
    """Nothing of them is kept, and what is at its limit opens after them."""
    ana, budi = people
    before = ana.dump()
    assert_all_refused(ana, _crafted(budi, contents), DecodeError)
    assert ana.dump() == before
    for content in (*AT_THE_LIMIT, Text("halo")):
        (data,) = _crafted(budi, [encode_content(content)])
        opened = ana.device.decrypt(data)
        assert encode_content(opened.content) == encode_content(content)  # type: ignore[arg-type]


def test_what_the_format_does_not_allow(people: tuple[Person, Person]) -> None:
    _assert_refused(people, REFUSED)


def test_one_more_than_there_may_be(people: tuple[Person, Person]) -> None:
    """Each content at its limit, with another byte, or another field of each number."""
    longer = []
    for kind, body in map(encode_content, AT_THE_LIMIT):
        if kind == RECEIPT_KIND:
            longer += [EncodedContent(kind, damaged) for _, damaged in malformed(body)]
        else:
            inner = Frame.decode(body).body
            longer += [_framed(kind, damaged) for _, damaged in malformed(inner)]
    fitting = [each for each in longer if len(each.body) < 90_000]  # no envelope holds more
    refused = [each for each in fitting if _is_refused(each)]
    assert len(refused) > len(fitting) * 0.9  # the rest is another content
    _assert_refused(people, refused)


@pytest.mark.parametrize("kind", [*FRAMED_KINDS, RECEIPT_KIND])
def test_bombs_in_a_content(people: tuple[Person, Person], kind: int) -> None:
    """As deep, as many and as long as there is room: alone, and inside of a frame that is fine."""
    contents = [EncodedContent(kind, bomb(4_096)) for bomb in BOMBS.values()]
    if kind in FRAMED_KINDS[:-1]:  # of a kind that is not known nothing in the frame is read
        contents += [_framed(kind, bomb(60_000)) for bomb in BOMBS.values()]
    refused = [each for each in contents if _is_refused(each)]
    assert len(contents) - len(refused) <= 1  # one is a text of nothing but zeros
    _assert_refused(people, refused)


def _is_refused(content: EncodedContent) -> bool:
    try:
        decode_content(*content)
    except DecodeError:
        return True
    return False
