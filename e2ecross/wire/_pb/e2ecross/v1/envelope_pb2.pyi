# SPDX-License-Identifier: Apache-2.0
from e2ecross.wire._pb.e2ecross.v1 import address_pb2 as _address_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Envelope(_message.Message):
    __slots__ = ("version", "message_id", "sender", "recipient", "kind", "ciphertext")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CIPHERTEXT_FIELD_NUMBER: _ClassVar[int]
    version: int
    message_id: bytes
    sender: _address_pb2.Address
    recipient: _address_pb2.Address
    kind: int
    ciphertext: bytes
    def __init__(self, version: _Optional[int] = ..., message_id: _Optional[bytes] = ..., sender: _Optional[_Union[_address_pb2.Address, _Mapping]] = ..., recipient: _Optional[_Union[_address_pb2.Address, _Mapping]] = ..., kind: _Optional[int] = ..., ciphertext: _Optional[bytes] = ...) -> None: ...

class EnvelopeCopies(_message.Message):
    __slots__ = ("version", "message_id", "sender", "recipients", "kind", "ciphertext")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CIPHERTEXT_FIELD_NUMBER: _ClassVar[int]
    version: int
    message_id: bytes
    sender: _address_pb2.Address
    recipients: _containers.RepeatedCompositeFieldContainer[_address_pb2.Address]
    kind: int
    ciphertext: bytes
    def __init__(self, version: _Optional[int] = ..., message_id: _Optional[bytes] = ..., sender: _Optional[_Union[_address_pb2.Address, _Mapping]] = ..., recipients: _Optional[_Iterable[_Union[_address_pb2.Address, _Mapping]]] = ..., kind: _Optional[int] = ..., ciphertext: _Optional[bytes] = ...) -> None: ...
