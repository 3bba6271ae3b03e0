# SPDX-License-Identifier: Apache-2.0
"""What only the two ends see: the payload of a message, and the kinds of content, a module each."""

from e2ecross.wire.content.answer import Answer
from e2ecross.wire.content.consent_grant import ConsentGrant
from e2ecross.wire.content.consent_revoke import ConsentRevoke
from e2ecross.wire.content.conversation_states import ConversationState, ConversationStates
from e2ecross.wire.content.delete import Delete
from e2ecross.wire.content.device_list_push import DeviceListPush
from e2ecross.wire.content.device_request import DeviceRequest
from e2ecross.wire.content.edit import Edit
from e2ecross.wire.content.frame import Expiry, Frame
from e2ecross.wire.content.group_commits import CommitBytes, GroupCommits
from e2ecross.wire.content.group_payload import (
    GroupPayload,
    decode_group_payload,
    encode_group_payload,
)
from e2ecross.wire.content.group_resent import GroupResent
from e2ecross.wire.content.group_retry_request import GroupRetryRequest
from e2ecross.wire.content.hints import DeviceHints
from e2ecross.wire.content.history import History, HistoryItem
from e2ecross.wire.content.kinds import (
    AnyContent,
    Consent,
    Content,
    Framed,
    FramedContent,
    SentContent,
    UnsupportedContent,
    decode_inner,
    decode_unsupported,
    describe_inner,
    encode_inner,
    is_of_users,
    is_sendable,
    opening_key_of,
)
from e2ecross.wire.content.opaque import Bytes
from e2ecross.wire.content.payload import Payload, decode_payload, encode_payload, payload_length
from e2ecross.wire.content.pins import Pin, Pins
from e2ecross.wire.content.post import Media, Options
from e2ecross.wire.content.reaction import Reaction
from e2ecross.wire.content.read_marks import ReadMark, ReadMarks
from e2ecross.wire.content.receipt import Receipt
from e2ecross.wire.content.references import Mention, MessageRef
from e2ecross.wire.content.resent import (
    ControlContent,
    EncodedContent,
    PayloadContent,
    Resent,
    decode_content,
    encode_content,
)
from e2ecross.wire.content.retry_request import RetryRequest
from e2ecross.wire.content.sender_key_grant import SenderKeyGrant
from e2ecross.wire.content.text import Text
from e2ecross.wire.content.typing_state import Typing

__all__ = [
    "Answer",
    "AnyContent",
    "Bytes",
    "CommitBytes",
    "Consent",
    "ConsentGrant",
    "ConsentRevoke",
    "Content",
    "ControlContent",
    "ConversationState",
    "ConversationStates",
    "Delete",
    "DeviceHints",
    "DeviceListPush",
    "DeviceRequest",
    "Edit",
    "EncodedContent",
    "Expiry",
    "Frame",
    "Framed",
    "FramedContent",
    "GroupCommits",
    "GroupPayload",
    "GroupResent",
    "GroupRetryRequest",
    "History",
    "HistoryItem",
    "Media",
    "Mention",
    "MessageRef",
    "Options",
    "Payload",
    "PayloadContent",
    "Pin",
    "Pins",
    "Reaction",
    "ReadMark",
    "ReadMarks",
    "Receipt",
    "Resent",
    "RetryRequest",
    "SenderKeyGrant",
    "SentContent",
    "Text",
    "Typing",
    "UnsupportedContent",
    "decode_content",
    "decode_group_payload",
    "decode_inner",
    "decode_payload",
    "decode_unsupported",
    "describe_inner",
    "encode_content",
    "encode_group_payload",
    "encode_inner",
    "encode_payload",
    "is_of_users",
    "is_sendable",
    "opening_key_of",
    "payload_length",
]
