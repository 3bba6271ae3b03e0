# SPDX-License-Identifier: Apache-2.0
from e2ecross.wire._pb.e2ecross.v1 import address_pb2 as _address_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeviceList(_message.Message):
    __slots__ = ("version", "app", "user", "seq", "previous", "signed_at_ms", "devices", "hosting", "vendor")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    APP_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    SIGNED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    HOSTING_FIELD_NUMBER: _ClassVar[int]
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    version: int
    app: str
    user: str
    seq: int
    previous: bytes
    signed_at_ms: int
    devices: _containers.RepeatedCompositeFieldContainer[ListedDevice]
    hosting: int
    vendor: str
    def __init__(self, version: _Optional[int] = ..., app: _Optional[str] = ..., user: _Optional[str] = ..., seq: _Optional[int] = ..., previous: _Optional[bytes] = ..., signed_at_ms: _Optional[int] = ..., devices: _Optional[_Iterable[_Union[ListedDevice, _Mapping]]] = ..., hosting: _Optional[int] = ..., vendor: _Optional[str] = ...) -> None: ...

class ListedDevice(_message.Message):
    __slots__ = ("device", "identity_key", "device_signature", "capabilities")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    DEVICE_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    device: int
    identity_key: bytes
    device_signature: bytes
    capabilities: bytes
    def __init__(self, device: _Optional[int] = ..., identity_key: _Optional[bytes] = ..., device_signature: _Optional[bytes] = ..., capabilities: _Optional[bytes] = ...) -> None: ...

class SignedDeviceList(_message.Message):
    __slots__ = ("list", "signature")
    LIST_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    list: bytes
    signature: bytes
    def __init__(self, list: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class PersonLink(_message.Message):
    __slots__ = ("version", "first", "second", "expires_at_ms")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    SECOND_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    version: int
    first: LinkedAccount
    second: LinkedAccount
    expires_at_ms: int
    def __init__(self, version: _Optional[int] = ..., first: _Optional[_Union[LinkedAccount, _Mapping]] = ..., second: _Optional[_Union[LinkedAccount, _Mapping]] = ..., expires_at_ms: _Optional[int] = ...) -> None: ...

class LinkedAccount(_message.Message):
    __slots__ = ("app", "user", "account_key")
    APP_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_KEY_FIELD_NUMBER: _ClassVar[int]
    app: str
    user: str
    account_key: bytes
    def __init__(self, app: _Optional[str] = ..., user: _Optional[str] = ..., account_key: _Optional[bytes] = ...) -> None: ...

class SignedPersonLink(_message.Message):
    __slots__ = ("link", "first_signature", "second_signature")
    LINK_FIELD_NUMBER: _ClassVar[int]
    FIRST_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    SECOND_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    link: bytes
    first_signature: bytes
    second_signature: bytes
    def __init__(self, link: _Optional[bytes] = ..., first_signature: _Optional[bytes] = ..., second_signature: _Optional[bytes] = ...) -> None: ...

class LinkCode(_message.Message):
    __slots__ = ("version", "app", "ephemeral_key", "secret")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    APP_FIELD_NUMBER: _ClassVar[int]
    EPHEMERAL_KEY_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    version: int
    app: str
    ephemeral_key: bytes
    secret: bytes
    def __init__(self, version: _Optional[int] = ..., app: _Optional[str] = ..., ephemeral_key: _Optional[bytes] = ..., secret: _Optional[bytes] = ...) -> None: ...

class LinkMessage(_message.Message):
    __slots__ = ("version", "ephemeral_key", "sealed")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EPHEMERAL_KEY_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    version: int
    ephemeral_key: bytes
    sealed: bytes
    def __init__(self, version: _Optional[int] = ..., ephemeral_key: _Optional[bytes] = ..., sealed: _Optional[bytes] = ...) -> None: ...

class LinkOffer(_message.Message):
    __slots__ = ("address", "account_key")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_KEY_FIELD_NUMBER: _ClassVar[int]
    address: _address_pb2.Address
    account_key: bytes
    def __init__(self, address: _Optional[_Union[_address_pb2.Address, _Mapping]] = ..., account_key: _Optional[bytes] = ...) -> None: ...

class LinkAnswer(_message.Message):
    __slots__ = ("identity_key", "device_signature", "token_hash", "name", "capabilities")
    IDENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    DEVICE_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    TOKEN_HASH_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    identity_key: bytes
    device_signature: bytes
    token_hash: bytes
    name: str
    capabilities: bytes
    def __init__(self, identity_key: _Optional[bytes] = ..., device_signature: _Optional[bytes] = ..., token_hash: _Optional[bytes] = ..., name: _Optional[str] = ..., capabilities: _Optional[bytes] = ...) -> None: ...

class LinkResult(_message.Message):
    __slots__ = ("device_list",)
    DEVICE_LIST_FIELD_NUMBER: _ClassVar[int]
    device_list: bytes
    def __init__(self, device_list: _Optional[bytes] = ...) -> None: ...
