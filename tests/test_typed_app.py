# SPDX-License-Identifier: Apache-2.0
"""An app that forgets nothing which may arrive: mypy and pyright (.ci/run) read this file.

If `receive` could return one more thing, or a content that no case is for, `assert_never` would not
pass them; and a case for what never comes would not either.
"""

from typing import assert_never

from e2ecross import (
    Answer,
    AnyContent,
    Bytes,
    Client,
    ConsentGrant,
    ConsentRevoke,
    Content,
    ControlMessage,
    Delete,
    Device,
    Edit,
    Envelope,
    FailedMessage,
    Framed,
    InboxItem,
    Media,
    Message,
    Notice,
    Options,
    Reaction,
    Receipt,
    SentContent,
    Text,
    UnsupportedContent,
)
from tests.support.devices import ANA, BUDI, introduce, make_device


def show_item(item: InboxItem) -> str:
    match item:
        case Message():
            return show_content(item.content)
        case FailedMessage():
            return item.error.code
        case Notice():
            return item.kind
        case _:
            assert_never(item)


def show_content(content: Content | None) -> str:
    match content:
        case None:
            return "gone"
        case Text():
            return content.text
        case Media():
            return content.caption
        case Bytes():
            return f"{len(content.data)} bytes"
        case Options() | Reaction() | Edit() | Delete() | Answer():
            return type(content).__name__
        case Receipt() | ConsentGrant() | ConsentRevoke():
            return type(content).__name__
        case UnsupportedContent():
            return "not for this version of the app"
        case _:
            assert_never(content)


def resend(client: Client, content: SentContent) -> None:
    """What was received is not always what may be sent: a receipt is no `SentContent`."""
    client.send(BUDI, content)
    client.send(BUDI, Receipt(Receipt.READ, (bytes(16),)))  # type: ignore[arg-type]
    client.send(BUDI, UnsupportedContent(9, b"?"))  # type: ignore[arg-type]


def show_mail(client: Client) -> list[str]:
    return [show_item(item) for item in client.receive()]


def show_envelope(device: Device, envelope: Envelope) -> str:
    """Without a `Client` a content may come with its frame, and clients' own messages come, too."""
    message = device.decrypt(envelope)
    if isinstance(message, ControlMessage):
        return "between clients"
    content = message.content
    return show_content(content.content if isinstance(content, Framed) else content)


def test_each_is_shown() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    contents: list[tuple[AnyContent, str]] = [
        (Text("halo"), "halo"),
        (Bytes(b"123"), "3 bytes"),
        (Framed(Text("halo"), bytes(32)), "halo"),
        (UnsupportedContent(9, b"?"), "not for this version of the app"),
    ]
    for content, shown in contents:
        assert show_envelope(budi, ana.encrypt(BUDI, content)) == shown
    assert show_content(None) == "gone"
