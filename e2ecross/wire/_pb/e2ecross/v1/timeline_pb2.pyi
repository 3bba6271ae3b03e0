# SPDX-License-Identifier: Apache-2.0
from e2ecross.wire._pb.e2ecross.v1 import address_pb2 as _address_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TimelineRecord(_message.Message):
    __slots__ = ("version", "own", "slots")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    OWN_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    version: int
    own: _address_pb2.User
    slots: _containers.RepeatedCompositeFieldContainer[SlotRecord]
    def __init__(self, version: _Optional[int] = ..., own: _Optional[_Union[_address_pb2.User, _Mapping]] = ..., slots: _Optional[_Iterable[_Union[SlotRecord, _Mapping]]] = ...) -> None: ...

class SlotRecord(_message.Message):
    __slots__ = ("author", "message_id", "state", "sent_at_ms", "digest", "kind", "body", "acts", "receipts")
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_MS_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    ACTS_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    author: _address_pb2.User
    message_id: bytes
    state: int
    sent_at_ms: int
    digest: bytes
    kind: int
    body: bytes
    acts: _containers.RepeatedCompositeFieldContainer[ActRecord]
    receipts: _containers.RepeatedCompositeFieldContainer[SeenRecord]
    def __init__(self, author: _Optional[_Union[_address_pb2.User, _Mapping]] = ..., message_id: _Optional[bytes] = ..., state: _Optional[int] = ..., sent_at_ms: _Optional[int] = ..., digest: _Optional[bytes] = ..., kind: _Optional[int] = ..., body: _Optional[bytes] = ..., acts: _Optional[_Iterable[_Union[ActRecord, _Mapping]]] = ..., receipts: _Optional[_Iterable[_Union[SeenRecord, _Mapping]]] = ...) -> None: ...

class ActRecord(_message.Message):
    __slots__ = ("kind", "author", "message_id", "digest", "body", "moderator", "sent_at_ms")
    KIND_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    MODERATOR_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_MS_FIELD_NUMBER: _ClassVar[int]
    kind: int
    author: _address_pb2.User
    message_id: bytes
    digest: bytes
    body: bytes
    moderator: bool
    sent_at_ms: int
    def __init__(self, kind: _Optional[int] = ..., author: _Optional[_Union[_address_pb2.User, _Mapping]] = ..., message_id: _Optional[bytes] = ..., digest: _Optional[bytes] = ..., body: _Optional[bytes] = ..., moderator: bool = ..., sent_at_ms: _Optional[int] = ...) -> None: ...

class SeenRecord(_message.Message):
    __slots__ = ("account", "what")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    account: _address_pb2.User
    what: int
    def __init__(self, account: _Optional[_Union[_address_pb2.User, _Mapping]] = ..., what: _Optional[int] = ...) -> None: ...
