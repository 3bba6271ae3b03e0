# SPDX-License-Identifier: Apache-2.0
"""What only the two ends see: the payload of a message, and the kinds of content, a module each."""

from e2ecross.wire.content.device_list_push import DeviceListPush
from e2ecross.wire.content.device_request import DeviceRequest
from e2ecross.wire.content.hints import DeviceHints
from e2ecross.wire.content.history import History, HistoryItem
from e2ecross.wire.content.kinds import (
    Content,
    ControlContent,
    UnsupportedContent,
    is_of_users,
)
from e2ecross.wire.content.opaque import Bytes
from e2ecross.wire.content.payload import Payload, decode_payload, encode_payload, payload_length
from e2ecross.wire.content.pins import Pin, Pins
from e2ecross.wire.content.read_marks import ReadMark, ReadMarks
from e2ecross.wire.content.resent import (
    EncodedContent,
    PayloadContent,
    Resent,
    decode_content,
    encode_content,
)
from e2ecross.wire.content.retry_request import RetryRequest
from e2ecross.wire.content.text import Text

__all__ = [
    "Bytes",
    "Content",
    "ControlContent",
    "DeviceHints",
    "DeviceListPush",
    "DeviceRequest",
    "EncodedContent",
    "History",
    "HistoryItem",
    "Payload",
    "PayloadContent",
    "Pin",
    "Pins",
    "ReadMark",
    "ReadMarks",
    "Resent",
    "RetryRequest",
    "Text",
    "UnsupportedContent",
    "decode_content",
    "decode_payload",
    "encode_content",
    "encode_payload",
    "is_of_users",
    "payload_length",
]
