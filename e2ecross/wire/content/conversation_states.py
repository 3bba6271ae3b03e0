# SPDX-License-Identifier: Apache-2.0
"""`ConversationStates`, content kind 2^31 + 49: what the user has decided on another own device."""

from dataclasses import dataclass
from typing import Final

from e2ecross.address import UserId
from e2ecross.arguments import require_type, require_whole_number
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.content.kind import ContentKind, parse_body, require_length
from e2ecross.wire.encoding import decode_user, encode_user, serialize
from e2ecross.wire.limits import MAX_CONVERSATION_STATES

__all__ = ["CONVERSATION_STATES", "ConversationState", "ConversationStates"]

_MAX_STATE: Final = 2
_MAX_UINT64: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class ConversationState:
    """How it stands with the conversation with one account.

    Attributes:
        user: the account.
        state: 0 stranger, 1 accepted, 2 blocked.
        no_receipts: it gets no receipts.
        no_typing: it is not told of typing.
        number: of the decision, counted over all devices of the own account: the greatest counts.

    Raises:
        InvalidArgument: a field has the wrong type or value.
    """

    user: UserId
    state: int
    no_receipts: bool
    no_typing: bool
    number: int

    def __post_init__(self) -> None:
        require_type("user", self.user, UserId)
        require_whole_number("state", self.state, high=_MAX_STATE)
        require_type("no_receipts", self.no_receipts, bool)
        require_type("no_typing", self.no_typing, bool)
        require_whole_number("number", self.number, high=_MAX_UINT64)


@dataclass(frozen=True, slots=True)
class ConversationStates:
    """What the user has decided about conversations, from one own device to another.

    Attributes:
        states: 1 to 500.

    Raises:
        InvalidArgument: a field has the wrong type or length.
    """

    states: tuple[ConversationState, ...]

    def __post_init__(self) -> None:
        require_length("states", self.states, MAX_CONVERSATION_STATES)
        for state in self.states:
            require_type("states", state, ConversationState)


def _encode(content: ConversationStates) -> bytes:
    return serialize(
        content_pb2.ConversationStates(
            states=[
                content_pb2.ConversationState(
                    user=encode_user(each.user),
                    state=each.state,
                    no_receipts=each.no_receipts,
                    no_typing=each.no_typing,
                    number=each.number,
                )
                for each in content.states
            ]
        )
    )


def _decode(body: bytes) -> ConversationStates:
    fields = parse_body(content_pb2.ConversationStates, body, "a message of conversation states")
    return ConversationStates(
        tuple(
            ConversationState(
                decode_user(each.user),
                each.state,
                each.no_receipts,
                each.no_typing,
                each.number,
            )
            for each in fields.states
        )
    )


CONVERSATION_STATES: Final = ContentKind(2**31 + 49, (ConversationStates,), _encode, _decode)
