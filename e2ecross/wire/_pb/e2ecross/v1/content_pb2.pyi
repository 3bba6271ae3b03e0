# SPDX-License-Identifier: Apache-2.0
from e2ecross.wire._pb.e2ecross.v1 import address_pb2 as _address_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Payload(_message.Message):
    __slots__ = ("version", "sender", "destination", "message_id", "registration_id", "sent_at_ms", "content_kind", "content_body")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    REGISTRATION_ID_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_MS_FIELD_NUMBER: _ClassVar[int]
    CONTENT_KIND_FIELD_NUMBER: _ClassVar[int]
    CONTENT_BODY_FIELD_NUMBER: _ClassVar[int]
    version: int
    sender: _address_pb2.Address
    destination: Destination
    message_id: bytes
    registration_id: int
    sent_at_ms: int
    content_kind: int
    content_body: bytes
    def __init__(self, version: _Optional[int] = ..., sender: _Optional[_Union[_address_pb2.Address, _Mapping]] = ..., destination: _Optional[_Union[Destination, _Mapping]] = ..., message_id: _Optional[bytes] = ..., registration_id: _Optional[int] = ..., sent_at_ms: _Optional[int] = ..., content_kind: _Optional[int] = ..., content_body: _Optional[bytes] = ...) -> None: ...

class Destination(_message.Message):
    __slots__ = ("recipient",)
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    recipient: _address_pb2.Address
    def __init__(self, recipient: _Optional[_Union[_address_pb2.Address, _Mapping]] = ...) -> None: ...

class Text(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class Bytes(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class RetryRequest(_message.Message):
    __slots__ = ("message_id", "ratchet_key", "counter", "reason")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    RATCHET_KEY_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    message_id: bytes
    ratchet_key: bytes
    counter: int
    reason: str
    def __init__(self, message_id: _Optional[bytes] = ..., ratchet_key: _Optional[bytes] = ..., counter: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Resent(_message.Message):
    __slots__ = ("message_id", "sent_at_ms", "content_kind", "content_body")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_MS_FIELD_NUMBER: _ClassVar[int]
    CONTENT_KIND_FIELD_NUMBER: _ClassVar[int]
    CONTENT_BODY_FIELD_NUMBER: _ClassVar[int]
    message_id: bytes
    sent_at_ms: int
    content_kind: int
    content_body: bytes
    def __init__(self, message_id: _Optional[bytes] = ..., sent_at_ms: _Optional[int] = ..., content_kind: _Optional[int] = ..., content_body: _Optional[bytes] = ...) -> None: ...
