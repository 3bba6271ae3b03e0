# SPDX-License-Identifier: Apache-2.0
"""An older build, which knows fewer kinds of content, and a newer one write to each other.

What the older one does not know comes as a text, or as `UnsupportedContent` with a text to show;
never as a failure. An older build is one whose table of kinds lacks some.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import pytest

from e2ecross import (
    Answer,
    Client,
    Delete,
    Edit,
    Expiry,
    Media,
    Message,
    Options,
    Policy,
    Reaction,
    SentContent,
    Text,
    UnsupportedContent,
)
from e2ecross.wire.content import decode_unsupported, kinds
from e2ecross.wire.content.frame import Frame
from tests.support.devices import ANA, BUDI, BackendSimulator, make_client
from tests.support.formats import ATTACHMENT, REF

EVERYTHING = frozenset({10, *range(13, 21), 32, 33})
KNOWN_TO_ALL = (1, 2)
FRAMED: tuple[SentContent, ...] = (
    Text("answered", reply_to=REF),
    Media(ATTACHMENT, caption="a photo"),
    Options("When?", ("Mon", "Tue")),
    Reaction(REF, 1, "👍"),
    Edit(REF, 1, "corrected"),
    Delete(REF),
    Answer(REF, 1, (0,)),
)


@contextmanager
def older(*numbers: int) -> Iterator[None]:
    """The build of a time when these were all kinds that users send."""
    before = kinds._BY_NUMBER
    known = {n: kind for n, kind in before.items() if n in numbers or n >= 2**31}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kinds, "_BY_NUMBER", known)
        yield


def received(client: Client) -> list[Message]:
    items = client.receive()
    client.confirm(items)
    assert all(isinstance(item, Message) for item in items), items
    return cast(list[Message], items)


@pytest.fixture
def backend() -> BackendSimulator:
    return BackendSimulator()


def clients(backend: BackendSimulator, announced: frozenset[int]) -> tuple[Client, Client]:
    """The newer one, and the older one, which announces so much; they have talked before."""
    newer = make_client(ANA, backend, policy=Policy(capabilities=EVERYTHING))
    with older(*KNOWN_TO_ALL):
        old = make_client(BUDI, backend, policy=Policy(capabilities=announced))
        newer.send(BUDI, Text("before"))
        old.send(ANA, Text("before"))
        received(old)
    received(newer)
    return newer, old


@pytest.mark.parametrize("content", FRAMED, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("announced", [frozenset(), frozenset({10})], ids=["none", "frames"])
def test_what_the_older_one_does_not_know_is_a_text_there(
    backend: BackendSimulator, content: SentContent, announced: frozenset[int]
) -> None:
    newer, old = clients(backend, announced)
    sent = newer.send(BUDI, content, allow_lossy=True)
    with older(*KNOWN_TO_ALL):
        got = received(old)
    if not announced:
        shown = [each.content for each in got]
        assert shown == ([] if isinstance(content, Delete) else [Text(sent.plan.fallback)]) or (
            isinstance(content, Text) and shown == [Text(content.text)]
        )
        return
    (message,) = got
    assert isinstance(message.content, UnsupportedContent)
    frame = cast(Frame, message.content.frame)
    assert frame.fallback == sent.plan.fallback
    assert message.ref == sent.ref  # it can be referred to, also by who does not show it
    assert decode_unsupported(message.content) == content  # after an upgrade


def test_the_protection_of_a_kind_that_is_not_known_is_read_all_the_same(
    backend: BackendSimulator,
) -> None:
    """Expiry and view once stand in the frame, which every build from 10 on reads."""
    newer, old = clients(backend, frozenset({10, 32, 33}))
    newer.send(BUDI, Media(ATTACHMENT), expiry=Expiry(60), view_once=True, allow_lossy=True)
    with older(*KNOWN_TO_ALL):
        (message,) = received(old)
    assert isinstance(message.content, UnsupportedContent)
    assert (message.expiry, message.view_once) == (Expiry(60), True)


@pytest.mark.parametrize("kind", [16, 17, 4096, 2**31 - 1])
def test_kinds_of_a_time_to_come_are_carried_with_their_text(
    backend: BackendSimulator, kind: int
) -> None:
    """This build is the older one: it is sent what no release knows yet."""
    newer, old = clients(backend, frozenset({10}))
    body = Frame(bytes(range(32)), Expiry(60), False, "something new", b"of later").encode()
    envelope = newer.device.encrypt(BUDI, UnsupportedContent(kind, body))
    backend.inject(BUDI, envelope.encode())
    (message,) = received(old)
    assert isinstance(message.content, UnsupportedContent)
    assert message.content == UnsupportedContent(kind, body)
    assert cast(Frame, message.content.frame).fallback == "something new"


def test_what_the_older_one_sends_the_newer_one_shows(backend: BackendSimulator) -> None:
    newer, old = clients(backend, frozenset())
    with older(*KNOWN_TO_ALL):
        old.send(ANA, Text("from long ago"))
    (message,) = received(newer)
    assert message.content == Text("from long ago")
    reply = newer.send(BUDI, Text("an answer", reply_to=message.ref))
    with older(*KNOWN_TO_ALL):
        (shown,) = received(old)
    assert shown.content == Text("an answer")
    assert reply.plan.outcome == "minor"
