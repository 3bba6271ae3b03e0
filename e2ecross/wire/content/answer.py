# SPDX-License-Identifier: Apache-2.0
"""`Answer`, content kind 7: what was chosen of some options. It never shows in a repr."""

from dataclasses import dataclass, field
from typing import ClassVar, Final

from e2ecross.arguments import require_type, require_whole_number
from e2ecross.errors import InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.capabilities import Capability
from e2ecross.wire.content.kind import ContentKind, parse_body
from e2ecross.wire.content.post import MAX_OPTIONS
from e2ecross.wire.content.references import MessageRef, decode_ref, encode_ref
from e2ecross.wire.encoding import serialize

__all__ = ["ANSWER", "Answer"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an account chose of the `Options` of a message. `Timeline.answer` builds it.

    Attributes:
        target: the message.
        number: 1 to 2^32-1; of several of one account the one with the greatest counts.
        chosen: places of labels, from 0, below 12, ascending; empty: the answer is taken back.

    Raises:
        InvalidArgument: a field has the wrong type or value.
    """

    CAPABILITY: ClassVar = Capability.ANSWER

    target: MessageRef
    number: int
    chosen: tuple[int, ...] = field(repr=False)

    def __post_init__(self) -> None:
        require_type("target", self.target, MessageRef)
        require_whole_number("number", self.number, low=1)
        require_type("chosen", self.chosen, tuple)
        for place in self.chosen:
            require_whole_number("chosen", place, high=MAX_OPTIONS - 1)
        if list(self.chosen) != sorted({*self.chosen}):
            raise InvalidArgument("chosen must be ascending, no place twice")


def _encode(content: Answer) -> bytes:
    return serialize(
        content_pb2.Answer(
            target=encode_ref(content.target), number=content.number, chosen=content.chosen
        )
    )


def _decode(body: bytes) -> Answer:
    fields = parse_body(content_pb2.Answer, body, "an answer")
    return Answer(decode_ref(fields.target), fields.number, tuple(fields.chosen))


def _describe(content: Answer) -> str:
    return ", ".join(str(place + 1) for place in content.chosen) or "took back an answer"


ANSWER: Final = ContentKind(7, (Answer,), _encode, _decode, _describe)
