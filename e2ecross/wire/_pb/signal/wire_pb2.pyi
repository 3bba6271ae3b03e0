# SPDX-License-Identifier: Apache-2.0
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SignalMessage(_message.Message):
    __slots__ = ("ratchet_key", "counter", "previous_counter", "ciphertext", "pq_ratchet", "addresses")
    RATCHET_KEY_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_COUNTER_FIELD_NUMBER: _ClassVar[int]
    CIPHERTEXT_FIELD_NUMBER: _ClassVar[int]
    PQ_RATCHET_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    ratchet_key: bytes
    counter: int
    previous_counter: int
    ciphertext: bytes
    pq_ratchet: bytes
    addresses: bytes
    def __init__(self, ratchet_key: _Optional[bytes] = ..., counter: _Optional[int] = ..., previous_counter: _Optional[int] = ..., ciphertext: _Optional[bytes] = ..., pq_ratchet: _Optional[bytes] = ..., addresses: _Optional[bytes] = ...) -> None: ...

class PreKeySignalMessage(_message.Message):
    __slots__ = ("pre_key_id", "base_key", "identity_key", "message", "registration_id", "signed_pre_key_id", "kyber_pre_key_id", "kyber_ciphertext")
    PRE_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    BASE_KEY_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REGISTRATION_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNED_PRE_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    KYBER_PRE_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    KYBER_CIPHERTEXT_FIELD_NUMBER: _ClassVar[int]
    pre_key_id: int
    base_key: bytes
    identity_key: bytes
    message: bytes
    registration_id: int
    signed_pre_key_id: int
    kyber_pre_key_id: int
    kyber_ciphertext: bytes
    def __init__(self, pre_key_id: _Optional[int] = ..., base_key: _Optional[bytes] = ..., identity_key: _Optional[bytes] = ..., message: _Optional[bytes] = ..., registration_id: _Optional[int] = ..., signed_pre_key_id: _Optional[int] = ..., kyber_pre_key_id: _Optional[int] = ..., kyber_ciphertext: _Optional[bytes] = ...) -> None: ...

class SenderKeyDistributionMessage(_message.Message):
    __slots__ = ("distribution_id", "chain_id", "iteration", "chain_key", "signing_key")
    DISTRIBUTION_ID_FIELD_NUMBER: _ClassVar[int]
    CHAIN_ID_FIELD_NUMBER: _ClassVar[int]
    ITERATION_FIELD_NUMBER: _ClassVar[int]
    CHAIN_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNING_KEY_FIELD_NUMBER: _ClassVar[int]
    distribution_id: bytes
    chain_id: int
    iteration: int
    chain_key: bytes
    signing_key: bytes
    def __init__(self, distribution_id: _Optional[bytes] = ..., chain_id: _Optional[int] = ..., iteration: _Optional[int] = ..., chain_key: _Optional[bytes] = ..., signing_key: _Optional[bytes] = ...) -> None: ...

class SenderKeyMessage(_message.Message):
    __slots__ = ("distribution_id", "chain_id", "iteration", "ciphertext")
    DISTRIBUTION_ID_FIELD_NUMBER: _ClassVar[int]
    CHAIN_ID_FIELD_NUMBER: _ClassVar[int]
    ITERATION_FIELD_NUMBER: _ClassVar[int]
    CIPHERTEXT_FIELD_NUMBER: _ClassVar[int]
    distribution_id: bytes
    chain_id: int
    iteration: int
    ciphertext: bytes
    def __init__(self, distribution_id: _Optional[bytes] = ..., chain_id: _Optional[int] = ..., iteration: _Optional[int] = ..., ciphertext: _Optional[bytes] = ...) -> None: ...

class KeyIdDistributionMessage(_message.Message):
    __slots__ = ("chain_id", "iteration", "chain_key", "signing_key")
    CHAIN_ID_FIELD_NUMBER: _ClassVar[int]
    ITERATION_FIELD_NUMBER: _ClassVar[int]
    CHAIN_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNING_KEY_FIELD_NUMBER: _ClassVar[int]
    chain_id: int
    iteration: int
    chain_key: bytes
    signing_key: bytes
    def __init__(self, chain_id: _Optional[int] = ..., iteration: _Optional[int] = ..., chain_key: _Optional[bytes] = ..., signing_key: _Optional[bytes] = ...) -> None: ...

class KeyIdMessage(_message.Message):
    __slots__ = ("chain_id", "iteration", "ciphertext")
    CHAIN_ID_FIELD_NUMBER: _ClassVar[int]
    ITERATION_FIELD_NUMBER: _ClassVar[int]
    CIPHERTEXT_FIELD_NUMBER: _ClassVar[int]
    chain_id: int
    iteration: int
    ciphertext: bytes
    def __init__(self, chain_id: _Optional[int] = ..., iteration: _Optional[int] = ..., ciphertext: _Optional[bytes] = ...) -> None: ...

class LogicalFingerprint(_message.Message):
    __slots__ = ("content",)
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    def __init__(self, content: _Optional[bytes] = ...) -> None: ...

class CombinedFingerprints(_message.Message):
    __slots__ = ("version", "local_fingerprint", "remote_fingerprint")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LOCAL_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    REMOTE_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    version: int
    local_fingerprint: LogicalFingerprint
    remote_fingerprint: LogicalFingerprint
    def __init__(self, version: _Optional[int] = ..., local_fingerprint: _Optional[_Union[LogicalFingerprint, _Mapping]] = ..., remote_fingerprint: _Optional[_Union[LogicalFingerprint, _Mapping]] = ...) -> None: ...
