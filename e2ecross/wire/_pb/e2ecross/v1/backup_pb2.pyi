# SPDX-License-Identifier: Apache-2.0
from e2ecross.wire._pb.e2ecross.v1 import address_pb2 as _address_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IdentityBackup(_message.Message):
    __slots__ = ("version", "passes", "memory_kib", "salt", "nonce", "sealed")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PASSES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_KIB_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    version: int
    passes: int
    memory_kib: int
    salt: bytes
    nonce: bytes
    sealed: bytes
    def __init__(self, version: _Optional[int] = ..., passes: _Optional[int] = ..., memory_kib: _Optional[int] = ..., salt: _Optional[bytes] = ..., nonce: _Optional[bytes] = ..., sealed: _Optional[bytes] = ...) -> None: ...

class IdentityBackupContent(_message.Message):
    __slots__ = ("address", "identity_private_key", "backend_token")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_PRIVATE_KEY_FIELD_NUMBER: _ClassVar[int]
    BACKEND_TOKEN_FIELD_NUMBER: _ClassVar[int]
    address: _address_pb2.Address
    identity_private_key: bytes
    backend_token: bytes
    def __init__(self, address: _Optional[_Union[_address_pb2.Address, _Mapping]] = ..., identity_private_key: _Optional[bytes] = ..., backend_token: _Optional[bytes] = ...) -> None: ...
