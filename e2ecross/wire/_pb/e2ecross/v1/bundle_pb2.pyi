# SPDX-License-Identifier: Apache-2.0
from e2ecross.wire._pb.e2ecross.v1 import address_pb2 as _address_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SignedPrekey(_message.Message):
    __slots__ = ("id", "public_key", "signature")
    ID_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    id: int
    public_key: bytes
    signature: bytes
    def __init__(self, id: _Optional[int] = ..., public_key: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class OneTimePrekey(_message.Message):
    __slots__ = ("id", "public_key")
    ID_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    id: int
    public_key: bytes
    def __init__(self, id: _Optional[int] = ..., public_key: _Optional[bytes] = ...) -> None: ...

class KyberPrekey(_message.Message):
    __slots__ = ("id", "public_key", "signature")
    ID_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    id: int
    public_key: bytes
    signature: bytes
    def __init__(self, id: _Optional[int] = ..., public_key: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class PublishedKeys(_message.Message):
    __slots__ = ("version", "address", "registration_id", "identity_key", "signed_prekey", "one_time_prekeys", "kyber_prekeys", "last_resort_kyber_prekey")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    REGISTRATION_ID_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNED_PREKEY_FIELD_NUMBER: _ClassVar[int]
    ONE_TIME_PREKEYS_FIELD_NUMBER: _ClassVar[int]
    KYBER_PREKEYS_FIELD_NUMBER: _ClassVar[int]
    LAST_RESORT_KYBER_PREKEY_FIELD_NUMBER: _ClassVar[int]
    version: int
    address: _address_pb2.Address
    registration_id: int
    identity_key: bytes
    signed_prekey: SignedPrekey
    one_time_prekeys: _containers.RepeatedCompositeFieldContainer[OneTimePrekey]
    kyber_prekeys: _containers.RepeatedCompositeFieldContainer[KyberPrekey]
    last_resort_kyber_prekey: KyberPrekey
    def __init__(self, version: _Optional[int] = ..., address: _Optional[_Union[_address_pb2.Address, _Mapping]] = ..., registration_id: _Optional[int] = ..., identity_key: _Optional[bytes] = ..., signed_prekey: _Optional[_Union[SignedPrekey, _Mapping]] = ..., one_time_prekeys: _Optional[_Iterable[_Union[OneTimePrekey, _Mapping]]] = ..., kyber_prekeys: _Optional[_Iterable[_Union[KyberPrekey, _Mapping]]] = ..., last_resort_kyber_prekey: _Optional[_Union[KyberPrekey, _Mapping]] = ...) -> None: ...

class PreKeyBundle(_message.Message):
    __slots__ = ("version", "address", "registration_id", "identity_key", "signed_prekey", "one_time_prekey", "kyber_prekey")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    REGISTRATION_ID_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNED_PREKEY_FIELD_NUMBER: _ClassVar[int]
    ONE_TIME_PREKEY_FIELD_NUMBER: _ClassVar[int]
    KYBER_PREKEY_FIELD_NUMBER: _ClassVar[int]
    version: int
    address: _address_pb2.Address
    registration_id: int
    identity_key: bytes
    signed_prekey: SignedPrekey
    one_time_prekey: OneTimePrekey
    kyber_prekey: KyberPrekey
    def __init__(self, version: _Optional[int] = ..., address: _Optional[_Union[_address_pb2.Address, _Mapping]] = ..., registration_id: _Optional[int] = ..., identity_key: _Optional[bytes] = ..., signed_prekey: _Optional[_Union[SignedPrekey, _Mapping]] = ..., one_time_prekey: _Optional[_Union[OneTimePrekey, _Mapping]] = ..., kyber_prekey: _Optional[_Union[KyberPrekey, _Mapping]] = ...) -> None: ...
