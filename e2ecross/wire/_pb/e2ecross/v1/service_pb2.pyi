# SPDX-License-Identifier: Apache-2.0
from e2ecross.wire._pb.e2ecross.v1 import address_pb2 as _address_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RegisterRequest(_message.Message):
    __slots__ = ("address", "credential", "replaces")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    REPLACES_FIELD_NUMBER: _ClassVar[int]
    address: _address_pb2.Address
    credential: bytes
    replaces: bytes
    def __init__(self, address: _Optional[_Union[_address_pb2.Address, _Mapping]] = ..., credential: _Optional[bytes] = ..., replaces: _Optional[bytes] = ...) -> None: ...

class PublishRequest(_message.Message):
    __slots__ = ("published_keys", "epoch", "replace")
    PUBLISHED_KEYS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    published_keys: bytes
    epoch: int
    replace: bool
    def __init__(self, published_keys: _Optional[bytes] = ..., epoch: _Optional[int] = ..., replace: bool = ...) -> None: ...

class EpochsRequest(_message.Message):
    __slots__ = ("address",)
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    address: _address_pb2.Address
    def __init__(self, address: _Optional[_Union[_address_pb2.Address, _Mapping]] = ...) -> None: ...

class Epochs(_message.Message):
    __slots__ = ("stripes", "epochs")
    STRIPES_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    stripes: _containers.RepeatedScalarFieldContainer[int]
    epochs: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, stripes: _Optional[_Iterable[int]] = ..., epochs: _Optional[_Iterable[int]] = ...) -> None: ...

class OneTimePrekeyCountRequest(_message.Message):
    __slots__ = ("address",)
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    address: _address_pb2.Address
    def __init__(self, address: _Optional[_Union[_address_pb2.Address, _Mapping]] = ...) -> None: ...

class OneTimePrekeyCountResponse(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...

class KeysWanted(_message.Message):
    __slots__ = ("user", "all", "devices")
    USER_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    user: _address_pb2.User
    all: bool
    devices: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, user: _Optional[_Union[_address_pb2.User, _Mapping]] = ..., all: bool = ..., devices: _Optional[_Iterable[int]] = ...) -> None: ...

class FetchKeysRequest(_message.Message):
    __slots__ = ("requester", "wanted")
    REQUESTER_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    requester: _address_pb2.Address
    wanted: _containers.RepeatedCompositeFieldContainer[KeysWanted]
    def __init__(self, requester: _Optional[_Union[_address_pb2.Address, _Mapping]] = ..., wanted: _Optional[_Iterable[_Union[KeysWanted, _Mapping]]] = ...) -> None: ...

class UserKeysAnswer(_message.Message):
    __slots__ = ("device_list", "bundles", "code", "text")
    DEVICE_LIST_FIELD_NUMBER: _ClassVar[int]
    BUNDLES_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    device_list: bytes
    bundles: _containers.RepeatedScalarFieldContainer[bytes]
    code: str
    text: str
    def __init__(self, device_list: _Optional[bytes] = ..., bundles: _Optional[_Iterable[bytes]] = ..., code: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class FetchKeysResponse(_message.Message):
    __slots__ = ("answers",)
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[UserKeysAnswer]
    def __init__(self, answers: _Optional[_Iterable[_Union[UserKeysAnswer, _Mapping]]] = ...) -> None: ...

class PublishDevicesRequest(_message.Message):
    __slots__ = ("signed_list", "devices", "token_hashes", "epoch")
    SIGNED_LIST_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    TOKEN_HASHES_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    signed_list: bytes
    devices: _containers.RepeatedScalarFieldContainer[int]
    token_hashes: _containers.RepeatedScalarFieldContainer[bytes]
    epoch: int
    def __init__(self, signed_list: _Optional[bytes] = ..., devices: _Optional[_Iterable[int]] = ..., token_hashes: _Optional[_Iterable[bytes]] = ..., epoch: _Optional[int] = ...) -> None: ...

class DepositRequest(_message.Message):
    __slots__ = ("envelopes", "epochs", "consents")
    ENVELOPES_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    CONSENTS_FIELD_NUMBER: _ClassVar[int]
    envelopes: _containers.RepeatedScalarFieldContainer[bytes]
    epochs: Epochs
    consents: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, envelopes: _Optional[_Iterable[bytes]] = ..., epochs: _Optional[_Union[Epochs, _Mapping]] = ..., consents: _Optional[_Iterable[bytes]] = ...) -> None: ...

class DepositCopiesRequest(_message.Message):
    __slots__ = ("copies", "epochs")
    COPIES_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    copies: bytes
    epochs: Epochs
    def __init__(self, copies: _Optional[bytes] = ..., epochs: _Optional[_Union[Epochs, _Mapping]] = ...) -> None: ...

class DepositResponse(_message.Message):
    __slots__ = ("refused", "seqs", "epochs")
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    SEQS_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    refused: _containers.RepeatedCompositeFieldContainer[Refusal]
    seqs: _containers.RepeatedCompositeFieldContainer[AccountSeq]
    epochs: Epochs
    def __init__(self, refused: _Optional[_Iterable[_Union[Refusal, _Mapping]]] = ..., seqs: _Optional[_Iterable[_Union[AccountSeq, _Mapping]]] = ..., epochs: _Optional[_Union[Epochs, _Mapping]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("index", "code", "text")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    index: int
    code: str
    text: str
    def __init__(self, index: _Optional[int] = ..., code: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class AccountSeq(_message.Message):
    __slots__ = ("user", "seq")
    USER_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    user: _address_pb2.User
    seq: int
    def __init__(self, user: _Optional[_Union[_address_pb2.User, _Mapping]] = ..., seq: _Optional[int] = ...) -> None: ...

class FetchRequest(_message.Message):
    __slots__ = ("address", "limit", "after", "wait_ms", "hold_ms", "holder")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    HOLD_MS_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    address: _address_pb2.Address
    limit: int
    after: int
    wait_ms: int
    hold_ms: int
    holder: bytes
    def __init__(self, address: _Optional[_Union[_address_pb2.Address, _Mapping]] = ..., limit: _Optional[int] = ..., after: _Optional[int] = ..., wait_ms: _Optional[int] = ..., hold_ms: _Optional[int] = ..., holder: _Optional[bytes] = ...) -> None: ...

class FetchResponse(_message.Message):
    __slots__ = ("waiting",)
    WAITING_FIELD_NUMBER: _ClassVar[int]
    waiting: _containers.RepeatedCompositeFieldContainer[Waiting]
    def __init__(self, waiting: _Optional[_Iterable[_Union[Waiting, _Mapping]]] = ...) -> None: ...

class Waiting(_message.Message):
    __slots__ = ("number", "envelope")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    number: int
    envelope: bytes
    def __init__(self, number: _Optional[int] = ..., envelope: _Optional[bytes] = ...) -> None: ...

class AcknowledgeRequest(_message.Message):
    __slots__ = ("address", "numbers")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    address: _address_pb2.Address
    numbers: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, address: _Optional[_Union[_address_pb2.Address, _Mapping]] = ..., numbers: _Optional[_Iterable[int]] = ...) -> None: ...

class LinkRequest(_message.Message):
    __slots__ = ("link_id", "slot", "data", "address")
    LINK_ID_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    link_id: bytes
    slot: int
    data: bytes
    address: _address_pb2.Address
    def __init__(self, link_id: _Optional[bytes] = ..., slot: _Optional[int] = ..., data: _Optional[bytes] = ..., address: _Optional[_Union[_address_pb2.Address, _Mapping]] = ...) -> None: ...

class LinkResponse(_message.Message):
    __slots__ = ("found", "data")
    FOUND_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    found: bool
    data: bytes
    def __init__(self, found: bool = ..., data: _Optional[bytes] = ...) -> None: ...

class BlobRequest(_message.Message):
    __slots__ = ("address", "blob_id", "offset", "length", "data")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    BLOB_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    address: _address_pb2.Address
    blob_id: bytes
    offset: int
    length: int
    data: bytes
    def __init__(self, address: _Optional[_Union[_address_pb2.Address, _Mapping]] = ..., blob_id: _Optional[bytes] = ..., offset: _Optional[int] = ..., length: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class BlobResponse(_message.Message):
    __slots__ = ("stored", "data")
    STORED_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    stored: int
    data: bytes
    def __init__(self, stored: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class ErrorBody(_message.Message):
    __slots__ = ("code", "text", "retry_after_ms")
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    code: str
    text: str
    retry_after_ms: int
    def __init__(self, code: _Optional[str] = ..., text: _Optional[str] = ..., retry_after_ms: _Optional[int] = ...) -> None: ...
