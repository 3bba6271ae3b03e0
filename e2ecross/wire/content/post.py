# SPDX-License-Identifier: Apache-2.0
"""Posts, content kind 3: a `Text` with what kind 1 cannot hold, `Media`, or `Options`.

Nothing of them shows in a repr.
"""

from dataclasses import dataclass
from typing import ClassVar, Final

from e2ecross.arguments import require_type, require_whole_number
from e2ecross.errors import InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.attachment import (
    Attachment,
    attachment_fields,
    attachment_from_fields,
    require_known_suite,
)
from e2ecross.wire.capabilities import Capability
from e2ecross.wire.content.kind import ContentKind
from e2ecross.wire.content.references import (
    Mention,
    MessageRef,
    decode_mentions,
    decode_ref,
    encode_mentions,
    encode_ref,
    require_mentions,
)
from e2ecross.wire.content.text import Text
from e2ecross.wire.encoding import parse, require_canonical, serialize
from e2ecross.wire.limits import MAX_CONTENT_BYTES
from e2ecross.wire.text import require_text

__all__ = ["MAX_OPTIONS", "POST", "Media", "Options"]

MAX_OPTIONS: Final = 12
"""What one message offers to choose from."""
_MAX_LABEL_BYTES: Final = 80


@dataclass(frozen=True, slots=True)
class Media:
    """A file, with text.

    Attributes:
        attachment: where it is and how to open it.
        caption: at most 65,536 bytes in UTF-8; may be empty.
        mentions: at most 64 parts of the caption that name somebody, in order, not overlapping.
        reply_to: the message that it answers, or None.
        voice: it was spoken into the app, and is played in the conversation.

    Raises:
        InvalidArgument: a field has the wrong type, length or value.
    """

    CAPABILITY: ClassVar = Capability.MEDIA

    attachment: Attachment
    caption: str = ""
    mentions: tuple[Mention, ...] = ()
    reply_to: MessageRef | None = None
    voice: bool = False

    def __post_init__(self) -> None:
        require_type("attachment", self.attachment, Attachment)
        require_text("caption", self.caption, MAX_CONTENT_BYTES)
        require_mentions(self.caption, self.mentions)
        if self.reply_to is not None:
            require_type("reply_to", self.reply_to, MessageRef)
        require_type("voice", self.voice, bool)

    def __repr__(self) -> str:
        return f"<Media with {len(self.caption)} characters>"


@dataclass(frozen=True, slots=True)
class Options:
    """A question and what can be answered: a poll, or the choices (buttons, a list) of a business.

    Attributes:
        question: 1 to 65,536 bytes in UTF-8.
        labels: 2 to 12 (of choices 1 to 12), each 1 to 80 bytes, no two alike.
        style: `Options.POLL` or `Options.CHOICES`.
        max_choices: how many of them one account may choose, of choices 1.

    Raises:
        InvalidArgument: a field has the wrong type, length or value.
    """

    CAPABILITY: ClassVar = Capability.OPTIONS
    POLL: ClassVar = 1
    CHOICES: ClassVar = 2

    question: str
    labels: tuple[str, ...]
    style: int = POLL
    max_choices: int = 1

    def __post_init__(self) -> None:
        require_text("question", self.question, MAX_CONTENT_BYTES)
        if not self.question:
            raise InvalidArgument("question must not be empty")
        require_whole_number("style", self.style, self.POLL, self.CHOICES)
        require_type("labels", self.labels, tuple)
        least = 2 if self.style == self.POLL else 1
        if not least <= len(self.labels) <= MAX_OPTIONS:
            raise InvalidArgument(
                f"labels must be {least} to {MAX_OPTIONS}, not {len(self.labels)}"
            )
        for label in self.labels:
            require_text("labels", label, _MAX_LABEL_BYTES)
        if "" in self.labels or len({*self.labels}) < len(self.labels):
            raise InvalidArgument("labels must not be empty, and no two alike")
        most = len(self.labels) if self.style == self.POLL else 1
        require_whole_number("max_choices", self.max_choices, 1, most)

    def __repr__(self) -> str:
        return f"<Options of {len(self.labels)} labels>"


def _encode(content: Text | Media | Options) -> bytes:
    if isinstance(content, Options):
        return serialize(
            content_pb2.Post(
                text=content.question,
                options=content_pb2.Options(
                    style=content.style, labels=content.labels, max_choices=content.max_choices
                ),
            )
        )
    fields = content_pb2.Post(
        mentions=encode_mentions(content.mentions),
        reply_to=None if content.reply_to is None else encode_ref(content.reply_to),
    )
    if isinstance(content, Media):
        fields.text = content.caption
        fields.media.attachment.CopyFrom(attachment_fields(content.attachment))
        fields.media.voice = content.voice
    else:
        _require_some_text(content.text)
        fields.text = content.text
    return serialize(fields)


def _decode(body: bytes) -> Text | Media | Options:
    what = "a post"
    fields = parse(content_pb2.Post, body, what, len(body))
    require_known_suite(fields.media.attachment)
    require_canonical(fields, body, what)
    mentions = decode_mentions(fields.mentions)
    reply_to = decode_ref(fields.reply_to) if fields.HasField("reply_to") else None
    if fields.HasField("options"):
        if mentions or reply_to is not None:
            raise InvalidArgument("options have no mentions, and reply to nothing")
        options = fields.options
        return Options(fields.text, tuple(options.labels), options.style, options.max_choices)
    if fields.HasField("media"):
        attachment = attachment_from_fields(fields.media.attachment)
        return Media(attachment, fields.text, mentions, reply_to, fields.media.voice)
    _require_some_text(fields.text)
    return Text(fields.text, mentions, reply_to)


def _require_some_text(text: str) -> None:
    if not text:
        raise InvalidArgument("text must not be empty where it goes in a frame")


def _describe(content: Text | Media | Options) -> str:
    if isinstance(content, Text):
        return content.text
    if isinstance(content, Media):
        return content.caption or _media_name(content)
    lines = (f"{number}. {label}" for number, label in enumerate(content.labels, 1))
    return "\n".join([content.question, *lines])


def _media_name(content: Media) -> str:
    if content.voice:
        return "[voice message]"
    for kind, name in (("image/", "[photo]"), ("video/", "[video]")):
        if content.attachment.media_type.startswith(kind):
            return name
    return "[file]"


POST: Final[ContentKind[Text | Media | Options]] = ContentKind(
    3, (Text, Media, Options), _encode, _decode, _describe
)
