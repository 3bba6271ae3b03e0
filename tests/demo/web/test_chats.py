# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402 (what is missing is found out before what needs it is imported)
"""What a phone of the page shows of what comes and goes: only what has changed, and all of it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.service import require_extras

require_extras("segno")

from e2ecross.address import Address
from e2ecross.client.client import Client
from e2ecross.demo.web.chats import TAKEN_TWICE, Chats
from e2ecross.demo.web.handset import phone_policy
from e2ecross.device.device import Device
from e2ecross.errors import AuthenticationFailed, InvalidArgument
from e2ecross.relay import Relay
from e2ecross.state.inbox import InboxItem
from e2ecross.state.message import FailedMessage, Message
from e2ecross.stores import MemoryStore
from e2ecross.wire.content import Media, Text

_ANA, _BUDI = Address("whatsapp", "ana"), Address("instagram", "budi")
_NAMES = {"whatsapp:ana": "Ana", "instagram:budi": "Budi"}
Event = Mapping[str, Any]


class _World(NamedTuple):
    """Ana's phone as it is shown, and Budi, who writes to it."""

    ana: Client
    budi: Client
    chats: Chats
    said: list[Event]
    fetched: list[Media]

    def receive(self) -> list[InboxItem]:
        items = self.ana.receive()
        self.ana.confirm(items)
        for item in items:
            self.chats.take(item)
        return items

    def take_said(self) -> list[Event]:
        said = self.said[:]
        self.said.clear()
        return said


@pytest.fixture
def world(tmp_path: Path) -> Iterator[_World]:
    with Relay(tmp_path / "relay.db", blob_dir=tmp_path / "files") as relay:
        clients = []
        for address in (_ANA, _BUDI):
            device = Device.create(address, MemoryStore(), policy=phone_policy())
            clients.append(Client(device, relay, spool_dir=tmp_path))
            clients[-1].register()
        ana, budi = clients
        ana.accept(_BUDI)
        said: list[Event] = []
        fetched: list[Media] = []

        def fetch(media: Media) -> Path | None:
            fetched.append(media)
            return tmp_path / "picture" if len(fetched) == 1 else None

        yield _World(ana, budi, Chats(ana, _NAMES, said.append, fetch), said, fetched)


def _of(said: list[Event], type_: str) -> list[Event]:
    return [event for event in said if event["type"] == type_]


def test_a_message_opens_its_chat_and_is_shown_once(world: _World) -> None:
    sent = world.budi.send(_ANA, Text("halo\x00\u202e"))
    (message,) = world.receive()
    chat, shown = world.take_said()
    assert (chat["type"], chat["chat"], chat["title"]) == ("chat", "instagram:budi", "Budi")
    assert (shown["type"], shown["id"]) == ("message", sent.message_id.hex())
    assert shown["text"] == "halo\u202e\u202c"  # what turns the text around it ends with it
    assert isinstance(message, Message)
    world.chats.take(replace(message, redelivered=True))
    assert world.take_said() == []


def test_what_the_library_hands_out_twice_is_told(world: _World) -> None:
    world.budi.send(_ANA, Text("halo"))
    (message,) = world.receive()
    world.take_said()
    world.chats.take(message)
    (told,) = world.take_said()
    assert (told["type"], told["code"], told["alarm"]) == ("notice", TAKEN_TWICE, True)


def test_reactions_and_receipts_are_told_when_they_change(world: _World) -> None:
    sent = world.ana.send(_BUDI, Text("halo"))
    world.chats.take(sent)
    statuses = [event["status"] for event in _of(world.take_said(), "status")]
    assert statuses == ["sent"]
    budi = Chats(world.budi, _NAMES, lambda event: None, lambda media: None)
    for item in world.budi.receive():
        budi.take(item)
    for emoji in ("👍", "☕", ""):
        reaction = budi.react("whatsapp:ana", sent.message_id, emoji)
        budi.take(world.budi.send(_ANA, reaction))
        world.receive()
        (told,) = world.take_said()
        assert (told["type"], told["emoji"], told["from"]) == ("reaction", emoji, "instagram:budi")


def test_a_picture_that_cannot_be_fetched_stands_in_no_way(world: _World, tmp_path: Path) -> None:
    photo = tmp_path / "photo"
    photo.write_bytes(b"GIF89a")
    for _ in range(2):
        upload = world.budi.upload(photo)
        upload.run()
        world.budi.send(_ANA, Media(upload.attachment))
    world.receive()
    pictures = [event["picture"] for event in _of(world.take_said(), "message")]
    assert pictures == [str(tmp_path / "picture"), None]


def test_what_was_not_read_is_read_once(world: _World) -> None:
    world.budi.send(_ANA, Text("halo"))
    items = world.receive()
    assert world.chats.take_unread("instagram:budi") == items
    assert world.chats.take_unread("instagram:budi") == []


def test_a_chat_is_made_by_nobody_who_asks_for_it(world: _World) -> None:
    for name in ("instagram:budi", "nonsense", "group:" + "0" * 64):
        with pytest.raises(InvalidArgument, match="no such chat"):
            world.chats.take_unread(name)
        with pytest.raises(InvalidArgument, match="no such chat"):
            world.chats.react(name, bytes(16), "x")
    assert world.take_said() == []
    world.chats.open("instagram:budi")
    with pytest.raises(InvalidArgument, match="not in the chat"):
        world.chats.react("instagram:budi", bytes(16), "x")


def test_a_failure_is_told_where_it_belongs(world: _World) -> None:
    failed = FailedMessage(_BUDI, bytes(16), AuthenticationFailed("x"))
    world.chats.take(failed)
    (nowhere,) = world.take_said()
    assert (nowhere["chat"], nowhere["code"]) == (None, "authentication_failed")
    world.chats.open("instagram:budi")
    world.take_said()
    world.chats.take(failed)
    (told,) = world.take_said()
    assert (told["chat"], told["id"]) == ("instagram:budi", "00" * 16)
    world.chats.take(FailedMessage(None, None, AuthenticationFailed("x")))
    assert world.take_said()[0]["chat"] is None


def test_a_changed_key_warns(world: _World) -> None:
    world.budi.send(_ANA, Text("halo"))
    items = world.ana.receive()
    (message,) = items
    assert isinstance(message, Message)
    world.chats.take(replace(message, identity_changed=True))
    (told,) = _of(world.take_said(), "notice")
    assert told["alarm"]
    assert "another key than before: compare the safety number" in told["text"]
