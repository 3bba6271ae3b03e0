# SPDX-License-Identifier: Apache-2.0
"""Facts of a conversation, made of the vectors or by hand."""

from collections.abc import Mapping
from typing import Any, Final

from e2ecross.address import UserId
from e2ecross.conversation.entry import Entry
from e2ecross.conversation.fact import Act, Fact, Post, is_view_once
from e2ecross.wire.content import (
    Answer,
    Delete,
    Edit,
    Frame,
    Framed,
    MessageRef,
    Options,
    Reaction,
    Receipt,
    Text,
    UnsupportedContent,
)
from tests.support.vectors import unhex

__all__ = ["ANA", "BUDI", "CITA", "KEY", "act", "fact_of_vector", "post", "ref", "seen", "shown"]

ANA: Final = UserId("whatsapp", "ana")
BUDI: Final = UserId("instagram", "budi")
CITA: Final = UserId("messenger", "cita")
KEY: Final = b"\xa5" * 32


def post(
    author: UserId, message_id: bytes, digest: bytes, content: Post, sent_at_ms: int = 5
) -> Fact:
    """A message that a person sees."""
    return Fact(author, message_id, sent_at_ms, digest, content)


def act(
    author: UserId,
    message_id: bytes,
    content: Act,
    *,
    digest: bytes = bytes(32),
    at: int = 99,
    moderator: bool = False,
) -> Fact:
    """Something done to a message."""
    return Fact(author, message_id, at, digest, content, moderator=moderator)


def seen(account: UserId, author: UserId, what: int, *message_ids: bytes) -> Fact:
    """A receipt of an account for messages of an author."""
    receipt = Receipt(what, tuple(sorted(message_ids)))
    return Fact(account, b"\xee" * 16, 99, b"", receipt, author)


def ref(author: UserId, message_id: bytes, digest: bytes) -> MessageRef:
    """How an act names a message."""
    return MessageRef(author, message_id, digest)


def fact_of_vector(vector: Mapping[str, Any], own: UserId) -> Fact:
    """A fact as `content.json` writes it."""
    author, message_id = UserId.parse(vector["author"]), unhex(vector["message_id"])
    digest = unhex(vector.get("digest", "00" * 32))
    content = _content(vector)
    addressee = UserId.parse(vector["addressee"]) if "addressee" in vector else None
    if isinstance(content, Framed) and author == own and is_view_once(content):
        return Fact(author, message_id, vector["sent_at_ms"], digest, None)
    return Fact(
        *(author, message_id, vector["sent_at_ms"], digest, content, addressee),
        moderator=vector.get("moderator", False),
    )


def _content(vector: Mapping[str, Any]) -> Post | Act | Receipt:
    if vector["kind"] == "receipt":
        return Receipt(vector["what"], tuple(unhex(each) for each in vector["message_ids"]))
    if vector["kind"] == "post":
        if "unsupported" in vector:
            frame = Frame(KEY, None, False, vector["fallback"], b"body")
            return UnsupportedContent(16, frame.encode())
        if "options" in vector:
            labels = tuple(vector["options"])
            options = Options(vector["text"], labels, max_choices=vector["max_choices"])
            return Framed(options, KEY)
        return Framed(Text(vector["text"]), KEY, view_once=vector.get("view_once", False))
    named = vector["target"]
    target = ref(UserId.parse(named["author"]), unhex(named["message_id"]), unhex(named["digest"]))
    match vector["kind"]:
        case "edit":
            return Edit(target, vector["number"], vector["text"])
        case "reaction":
            return Reaction(target, vector["number"], vector["emoji"])
        case "answer":
            return Answer(target, vector["number"], tuple(vector["chosen"]))
    return Delete(target)


def shown(entry: Entry, keys: Mapping[str, Any]) -> dict[str, Any]:
    """Those parts of an entry, as `content.json` writes them."""
    found: dict[str, Any] = {
        "author": str(entry.author),
        "message_id": entry.message_id.hex(),
        "kind": str(entry.kind),
        "reactions": [[str(user), emoji] for user, emoji in entry.reactions],
        "answers": [[str(user), list(chosen)] for user, chosen in entry.answers],
        "receipts": [[str(user), what] for user, what in entry.receipts],
    }
    return {key: found.get(key, getattr(entry, key, None)) for key in keys}
