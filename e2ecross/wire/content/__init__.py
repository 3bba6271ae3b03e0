# SPDX-License-Identifier: Apache-2.0
"""What only the two ends see: the payload of a message, and the kinds of content, a module each."""

from e2ecross.wire.content.kinds import Content, UnsupportedContent
from e2ecross.wire.content.opaque import Bytes
from e2ecross.wire.content.payload import Payload, decode_payload, encode_payload
from e2ecross.wire.content.resent import PayloadContent, Resent, decode_content, encode_content
from e2ecross.wire.content.retry_request import RetryRequest
from e2ecross.wire.content.text import Text

__all__ = [
    "Bytes",
    "Content",
    "Payload",
    "PayloadContent",
    "Resent",
    "RetryRequest",
    "Text",
    "UnsupportedContent",
    "decode_content",
    "decode_payload",
    "encode_content",
    "encode_payload",
]
