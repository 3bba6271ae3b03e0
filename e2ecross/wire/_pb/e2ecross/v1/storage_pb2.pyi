# SPDX-License-Identifier: Apache-2.0
from e2ecross.wire._pb.e2ecross.v1 import address_pb2 as _address_pb2
from e2ecross.wire._pb.e2ecross.v1 import content_pb2 as _content_pb2
from e2ecross.wire._pb.e2ecross.v1 import group_pb2 as _group_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeviceRecord(_message.Message):
    __slots__ = ("address", "identity_private_key", "registration_id", "next_prekey_id", "signed_prekey_id", "backend_token", "registered", "publication_epoch", "adopts_epoch", "replaces_prekeys", "last_resort_kyber_prekey_id", "life", "replaced_token", "restored_epoch", "imported_at_ms")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_PRIVATE_KEY_FIELD_NUMBER: _ClassVar[int]
    REGISTRATION_ID_FIELD_NUMBER: _ClassVar[int]
    NEXT_PREKEY_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNED_PREKEY_ID_FIELD_NUMBER: _ClassVar[int]
    BACKEND_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_FIELD_NUMBER: _ClassVar[int]
    PUBLICATION_EPOCH_FIELD_NUMBER: _ClassVar[int]
    ADOPTS_EPOCH_FIELD_NUMBER: _ClassVar[int]
    REPLACES_PREKEYS_FIELD_NUMBER: _ClassVar[int]
    LAST_RESORT_KYBER_PREKEY_ID_FIELD_NUMBER: _ClassVar[int]
    LIFE_FIELD_NUMBER: _ClassVar[int]
    REPLACED_TOKEN_FIELD_NUMBER: _ClassVar[int]
    RESTORED_EPOCH_FIELD_NUMBER: _ClassVar[int]
    IMPORTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    address: _address_pb2.Address
    identity_private_key: bytes
    registration_id: int
    next_prekey_id: int
    signed_prekey_id: int
    backend_token: bytes
    registered: bool
    publication_epoch: int
    adopts_epoch: bool
    replaces_prekeys: bool
    last_resort_kyber_prekey_id: int
    life: int
    replaced_token: bytes
    restored_epoch: int
    imported_at_ms: int
    def __init__(self, address: _Optional[_Union[_address_pb2.Address, _Mapping]] = ..., identity_private_key: _Optional[bytes] = ..., registration_id: _Optional[int] = ..., next_prekey_id: _Optional[int] = ..., signed_prekey_id: _Optional[int] = ..., backend_token: _Optional[bytes] = ..., registered: bool = ..., publication_epoch: _Optional[int] = ..., adopts_epoch: bool = ..., replaces_prekeys: bool = ..., last_resort_kyber_prekey_id: _Optional[int] = ..., life: _Optional[int] = ..., replaced_token: _Optional[bytes] = ..., restored_epoch: _Optional[int] = ..., imported_at_ms: _Optional[int] = ...) -> None: ...

class PublicationRecord(_message.Message):
    __slots__ = ("published_keys",)
    PUBLISHED_KEYS_FIELD_NUMBER: _ClassVar[int]
    published_keys: bytes
    def __init__(self, published_keys: _Optional[bytes] = ...) -> None: ...

class UpkeepRecord(_message.Message):
    __slots__ = ("hour_started_at_ms", "made", "day_started_at_ms", "ids", "refused_at_ms")
    HOUR_STARTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    MADE_FIELD_NUMBER: _ClassVar[int]
    DAY_STARTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    hour_started_at_ms: int
    made: int
    day_started_at_ms: int
    ids: int
    refused_at_ms: int
    def __init__(self, hour_started_at_ms: _Optional[int] = ..., made: _Optional[int] = ..., day_started_at_ms: _Optional[int] = ..., ids: _Optional[int] = ..., refused_at_ms: _Optional[int] = ...) -> None: ...

class StripeRecord(_message.Message):
    __slots__ = ("epoch", "next_queue_number", "life", "seen", "outbox_due_ms")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NEXT_QUEUE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    LIFE_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    OUTBOX_DUE_MS_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    next_queue_number: int
    life: int
    seen: _containers.RepeatedCompositeFieldContainer[SeenCount]
    outbox_due_ms: int
    def __init__(self, epoch: _Optional[int] = ..., next_queue_number: _Optional[int] = ..., life: _Optional[int] = ..., seen: _Optional[_Iterable[_Union[SeenCount, _Mapping]]] = ..., outbox_due_ms: _Optional[int] = ...) -> None: ...

class SeenCount(_message.Message):
    __slots__ = ("signed_prekey_id", "count")
    SIGNED_PREKEY_ID_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    signed_prekey_id: int
    count: int
    def __init__(self, signed_prekey_id: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class SignedPrekeyRecord(_message.Message):
    __slots__ = ("private_key", "signature", "created_at_ms", "replaced_at_ms")
    PRIVATE_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    REPLACED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    private_key: bytes
    signature: bytes
    created_at_ms: int
    replaced_at_ms: int
    def __init__(self, private_key: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., created_at_ms: _Optional[int] = ..., replaced_at_ms: _Optional[int] = ...) -> None: ...

class OneTimePrekeyRecord(_message.Message):
    __slots__ = ("private_key",)
    PRIVATE_KEY_FIELD_NUMBER: _ClassVar[int]
    private_key: bytes
    def __init__(self, private_key: _Optional[bytes] = ...) -> None: ...

class KyberPrekeyRecord(_message.Message):
    __slots__ = ("seed", "signature", "created_at_ms", "replaced_at_ms", "is_last_resort")
    SEED_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    REPLACED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    IS_LAST_RESORT_FIELD_NUMBER: _ClassVar[int]
    seed: bytes
    signature: bytes
    created_at_ms: int
    replaced_at_ms: int
    is_last_resort: bool
    def __init__(self, seed: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., created_at_ms: _Optional[int] = ..., replaced_at_ms: _Optional[int] = ..., is_last_resort: bool = ...) -> None: ...

class RemoteIdentityRecord(_message.Message):
    __slots__ = ("identity_key", "pending_key", "verified", "first_seen_at_ms", "stale", "asked_at_ms", "by_policy", "offered_version")
    IDENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    PENDING_KEY_FIELD_NUMBER: _ClassVar[int]
    VERIFIED_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEEN_AT_MS_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    ASKED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    BY_POLICY_FIELD_NUMBER: _ClassVar[int]
    OFFERED_VERSION_FIELD_NUMBER: _ClassVar[int]
    identity_key: bytes
    pending_key: bytes
    verified: bool
    first_seen_at_ms: int
    stale: bool
    asked_at_ms: int
    by_policy: bool
    offered_version: int
    def __init__(self, identity_key: _Optional[bytes] = ..., pending_key: _Optional[bytes] = ..., verified: bool = ..., first_seen_at_ms: _Optional[int] = ..., stale: bool = ..., asked_at_ms: _Optional[int] = ..., by_policy: bool = ..., offered_version: _Optional[int] = ...) -> None: ...

class SessionRecord(_message.Message):
    __slots__ = ("current", "archived", "held", "held_count")
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    ARCHIVED_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    HELD_COUNT_FIELD_NUMBER: _ClassVar[int]
    current: bytes
    archived: _containers.RepeatedScalarFieldContainer[bytes]
    held: bytes
    held_count: int
    def __init__(self, current: _Optional[bytes] = ..., archived: _Optional[_Iterable[bytes]] = ..., held: _Optional[bytes] = ..., held_count: _Optional[int] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("session_version", "local_identity_key", "remote_identity_key", "remote_registration_id", "base_key", "root_key", "ratchet_private_key", "ratchet_public_key", "sending_chain_key", "sending_message_number", "previous_counter", "receiving_chains", "pending_prekey", "used_prekeys", "without_one_time_prekey", "spqr", "stopped")
    SESSION_VERSION_FIELD_NUMBER: _ClassVar[int]
    LOCAL_IDENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    REMOTE_IDENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    REMOTE_REGISTRATION_ID_FIELD_NUMBER: _ClassVar[int]
    BASE_KEY_FIELD_NUMBER: _ClassVar[int]
    ROOT_KEY_FIELD_NUMBER: _ClassVar[int]
    RATCHET_PRIVATE_KEY_FIELD_NUMBER: _ClassVar[int]
    RATCHET_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    SENDING_CHAIN_KEY_FIELD_NUMBER: _ClassVar[int]
    SENDING_MESSAGE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_COUNTER_FIELD_NUMBER: _ClassVar[int]
    RECEIVING_CHAINS_FIELD_NUMBER: _ClassVar[int]
    PENDING_PREKEY_FIELD_NUMBER: _ClassVar[int]
    USED_PREKEYS_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_ONE_TIME_PREKEY_FIELD_NUMBER: _ClassVar[int]
    SPQR_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    session_version: int
    local_identity_key: bytes
    remote_identity_key: bytes
    remote_registration_id: int
    base_key: bytes
    root_key: bytes
    ratchet_private_key: bytes
    ratchet_public_key: bytes
    sending_chain_key: bytes
    sending_message_number: int
    previous_counter: int
    receiving_chains: _containers.RepeatedCompositeFieldContainer[ReceivingChain]
    pending_prekey: PendingPrekey
    used_prekeys: UsedPrekeys
    without_one_time_prekey: bool
    spqr: bytes
    stopped: bool
    def __init__(self, session_version: _Optional[int] = ..., local_identity_key: _Optional[bytes] = ..., remote_identity_key: _Optional[bytes] = ..., remote_registration_id: _Optional[int] = ..., base_key: _Optional[bytes] = ..., root_key: _Optional[bytes] = ..., ratchet_private_key: _Optional[bytes] = ..., ratchet_public_key: _Optional[bytes] = ..., sending_chain_key: _Optional[bytes] = ..., sending_message_number: _Optional[int] = ..., previous_counter: _Optional[int] = ..., receiving_chains: _Optional[_Iterable[_Union[ReceivingChain, _Mapping]]] = ..., pending_prekey: _Optional[_Union[PendingPrekey, _Mapping]] = ..., used_prekeys: _Optional[_Union[UsedPrekeys, _Mapping]] = ..., without_one_time_prekey: bool = ..., spqr: _Optional[bytes] = ..., stopped: bool = ...) -> None: ...

class ReceivingChain(_message.Message):
    __slots__ = ("ratchet_key", "chain_key", "message_number", "skipped_count", "may_have_no_pq_key")
    RATCHET_KEY_FIELD_NUMBER: _ClassVar[int]
    CHAIN_KEY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_COUNT_FIELD_NUMBER: _ClassVar[int]
    MAY_HAVE_NO_PQ_KEY_FIELD_NUMBER: _ClassVar[int]
    ratchet_key: bytes
    chain_key: bytes
    message_number: int
    skipped_count: int
    may_have_no_pq_key: bool
    def __init__(self, ratchet_key: _Optional[bytes] = ..., chain_key: _Optional[bytes] = ..., message_number: _Optional[int] = ..., skipped_count: _Optional[int] = ..., may_have_no_pq_key: bool = ...) -> None: ...

class PendingPrekey(_message.Message):
    __slots__ = ("one_time_prekey_id", "signed_prekey_id", "created_at_ms", "kyber_prekey_id")
    ONE_TIME_PREKEY_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNED_PREKEY_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    KYBER_PREKEY_ID_FIELD_NUMBER: _ClassVar[int]
    one_time_prekey_id: int
    signed_prekey_id: int
    created_at_ms: int
    kyber_prekey_id: int
    def __init__(self, one_time_prekey_id: _Optional[int] = ..., signed_prekey_id: _Optional[int] = ..., created_at_ms: _Optional[int] = ..., kyber_prekey_id: _Optional[int] = ...) -> None: ...

class UsedPrekeys(_message.Message):
    __slots__ = ("one_time_prekey_id", "signed_prekey_id", "kyber_prekey_id", "kem_ciphertext_hash")
    ONE_TIME_PREKEY_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNED_PREKEY_ID_FIELD_NUMBER: _ClassVar[int]
    KYBER_PREKEY_ID_FIELD_NUMBER: _ClassVar[int]
    KEM_CIPHERTEXT_HASH_FIELD_NUMBER: _ClassVar[int]
    one_time_prekey_id: int
    signed_prekey_id: int
    kyber_prekey_id: int
    kem_ciphertext_hash: bytes
    def __init__(self, one_time_prekey_id: _Optional[int] = ..., signed_prekey_id: _Optional[int] = ..., kyber_prekey_id: _Optional[int] = ..., kem_ciphertext_hash: _Optional[bytes] = ...) -> None: ...

class SkippedKeys(_message.Message):
    __slots__ = ("numbers", "message_keys")
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_KEYS_FIELD_NUMBER: _ClassVar[int]
    numbers: _containers.RepeatedScalarFieldContainer[int]
    message_keys: bytes
    def __init__(self, numbers: _Optional[_Iterable[int]] = ..., message_keys: _Optional[bytes] = ...) -> None: ...

class OwnSenderKeyRecord(_message.Message):
    __slots__ = ("distribution_id", "heads", "chain_id", "iteration", "chain_key", "signing_private_key", "created_at_ms", "checked_heads", "checked_changes", "checked_at_ms")
    DISTRIBUTION_ID_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    CHAIN_ID_FIELD_NUMBER: _ClassVar[int]
    ITERATION_FIELD_NUMBER: _ClassVar[int]
    CHAIN_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNING_PRIVATE_KEY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    CHECKED_HEADS_FIELD_NUMBER: _ClassVar[int]
    CHECKED_CHANGES_FIELD_NUMBER: _ClassVar[int]
    CHECKED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    distribution_id: bytes
    heads: _containers.RepeatedScalarFieldContainer[bytes]
    chain_id: int
    iteration: int
    chain_key: bytes
    signing_private_key: bytes
    created_at_ms: int
    checked_heads: bytes
    checked_changes: int
    checked_at_ms: int
    def __init__(self, distribution_id: _Optional[bytes] = ..., heads: _Optional[_Iterable[bytes]] = ..., chain_id: _Optional[int] = ..., iteration: _Optional[int] = ..., chain_key: _Optional[bytes] = ..., signing_private_key: _Optional[bytes] = ..., created_at_ms: _Optional[int] = ..., checked_heads: _Optional[bytes] = ..., checked_changes: _Optional[int] = ..., checked_at_ms: _Optional[int] = ...) -> None: ...

class GrantRecord(_message.Message):
    __slots__ = ("identity_key",)
    IDENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    identity_key: bytes
    def __init__(self, identity_key: _Optional[bytes] = ...) -> None: ...

class SenderKeyRecord(_message.Message):
    __slots__ = ("group_id", "heads", "identity_key", "iteration", "chain_key", "signing_key", "seeds", "number", "judged_heads")
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    ITERATION_FIELD_NUMBER: _ClassVar[int]
    CHAIN_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNING_KEY_FIELD_NUMBER: _ClassVar[int]
    SEEDS_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    JUDGED_HEADS_FIELD_NUMBER: _ClassVar[int]
    group_id: bytes
    heads: _containers.RepeatedScalarFieldContainer[bytes]
    identity_key: bytes
    iteration: int
    chain_key: bytes
    signing_key: bytes
    seeds: int
    number: int
    judged_heads: bytes
    def __init__(self, group_id: _Optional[bytes] = ..., heads: _Optional[_Iterable[bytes]] = ..., identity_key: _Optional[bytes] = ..., iteration: _Optional[int] = ..., chain_key: _Optional[bytes] = ..., signing_key: _Optional[bytes] = ..., seeds: _Optional[int] = ..., number: _Optional[int] = ..., judged_heads: _Optional[bytes] = ...) -> None: ...

class Spqr(_message.Message):
    __slots__ = ("is_initiator", "negotiation", "sending_epoch", "first_epoch", "chains", "stage", "epoch", "next_chunk", "received_chunks")
    IS_INITIATOR_FIELD_NUMBER: _ClassVar[int]
    NEGOTIATION_FIELD_NUMBER: _ClassVar[int]
    SENDING_EPOCH_FIELD_NUMBER: _ClassVar[int]
    FIRST_EPOCH_FIELD_NUMBER: _ClassVar[int]
    CHAINS_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NEXT_CHUNK_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_CHUNKS_FIELD_NUMBER: _ClassVar[int]
    is_initiator: bool
    negotiation: int
    sending_epoch: int
    first_epoch: int
    chains: _containers.RepeatedCompositeFieldContainer[SpqrChain]
    stage: int
    epoch: int
    next_chunk: int
    received_chunks: int
    def __init__(self, is_initiator: bool = ..., negotiation: _Optional[int] = ..., sending_epoch: _Optional[int] = ..., first_epoch: _Optional[int] = ..., chains: _Optional[_Iterable[_Union[SpqrChain, _Mapping]]] = ..., stage: _Optional[int] = ..., epoch: _Optional[int] = ..., next_chunk: _Optional[int] = ..., received_chunks: _Optional[int] = ...) -> None: ...

class SpqrChain(_message.Message):
    __slots__ = ("sent", "sending_key", "received", "receiving_key", "skipped_count")
    SENT_FIELD_NUMBER: _ClassVar[int]
    SENDING_KEY_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    RECEIVING_KEY_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_COUNT_FIELD_NUMBER: _ClassVar[int]
    sent: int
    sending_key: bytes
    received: int
    receiving_key: bytes
    skipped_count: int
    def __init__(self, sent: _Optional[int] = ..., sending_key: _Optional[bytes] = ..., received: _Optional[int] = ..., receiving_key: _Optional[bytes] = ..., skipped_count: _Optional[int] = ...) -> None: ...

class SpqrMaterial(_message.Message):
    __slots__ = ("chain_root", "authenticator_root", "authenticator_mac_key", "seed", "header", "m", "ciphertext", "vector", "outgoing")
    CHAIN_ROOT_FIELD_NUMBER: _ClassVar[int]
    AUTHENTICATOR_ROOT_FIELD_NUMBER: _ClassVar[int]
    AUTHENTICATOR_MAC_KEY_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    HEADER_FIELD_NUMBER: _ClassVar[int]
    M_FIELD_NUMBER: _ClassVar[int]
    CIPHERTEXT_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    OUTGOING_FIELD_NUMBER: _ClassVar[int]
    chain_root: bytes
    authenticator_root: bytes
    authenticator_mac_key: bytes
    seed: bytes
    header: bytes
    m: bytes
    ciphertext: bytes
    vector: bytes
    outgoing: bytes
    def __init__(self, chain_root: _Optional[bytes] = ..., authenticator_root: _Optional[bytes] = ..., authenticator_mac_key: _Optional[bytes] = ..., seed: _Optional[bytes] = ..., header: _Optional[bytes] = ..., m: _Optional[bytes] = ..., ciphertext: _Optional[bytes] = ..., vector: _Optional[bytes] = ..., outgoing: _Optional[bytes] = ...) -> None: ...

class SpqrChunks(_message.Message):
    __slots__ = ("indices", "chunks")
    INDICES_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    indices: _containers.RepeatedScalarFieldContainer[int]
    chunks: bytes
    def __init__(self, indices: _Optional[_Iterable[int]] = ..., chunks: _Optional[bytes] = ...) -> None: ...

class OutboxRecord(_message.Message):
    __slots__ = ("envelope", "message_id", "fresh_session", "content_kind", "content_body", "group_id", "copies", "purpose", "peer")
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    FRESH_SESSION_FIELD_NUMBER: _ClassVar[int]
    CONTENT_KIND_FIELD_NUMBER: _ClassVar[int]
    CONTENT_BODY_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    COPIES_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    envelope: bytes
    message_id: bytes
    fresh_session: bool
    content_kind: int
    content_body: bytes
    group_id: bytes
    copies: bool
    purpose: int
    peer: _address_pb2.User
    def __init__(self, envelope: _Optional[bytes] = ..., message_id: _Optional[bytes] = ..., fresh_session: bool = ..., content_kind: _Optional[int] = ..., content_body: _Optional[bytes] = ..., group_id: _Optional[bytes] = ..., copies: bool = ..., purpose: _Optional[int] = ..., peer: _Optional[_Union[_address_pb2.User, _Mapping]] = ...) -> None: ...

class BacklogRecord(_message.Message):
    __slots__ = ("first", "next", "turn", "code", "untrusted_key", "try_after_ms", "attempts", "first_id")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_KEY_FIELD_NUMBER: _ClassVar[int]
    TRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    FIRST_ID_FIELD_NUMBER: _ClassVar[int]
    first: int
    next: int
    turn: int
    code: str
    untrusted_key: bytes
    try_after_ms: int
    attempts: int
    first_id: bytes
    def __init__(self, first: _Optional[int] = ..., next: _Optional[int] = ..., turn: _Optional[int] = ..., code: _Optional[str] = ..., untrusted_key: _Optional[bytes] = ..., try_after_ms: _Optional[int] = ..., attempts: _Optional[int] = ..., first_id: _Optional[bytes] = ...) -> None: ...

class TurnRecord(_message.Message):
    __slots__ = ("backlog", "recipient")
    BACKLOG_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    backlog: int
    recipient: _address_pb2.Address
    def __init__(self, backlog: _Optional[int] = ..., recipient: _Optional[_Union[_address_pb2.Address, _Mapping]] = ...) -> None: ...

class RowRecord(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class ShelfRecord(_message.Message):
    __slots__ = ("generations",)
    GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    generations: _containers.RepeatedCompositeFieldContainer[Generation]
    def __init__(self, generations: _Optional[_Iterable[_Union[Generation, _Mapping]]] = ...) -> None: ...

class Generation(_message.Message):
    __slots__ = ("number", "opened_at_ms", "rows")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    OPENED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    number: int
    opened_at_ms: int
    rows: int
    def __init__(self, number: _Optional[int] = ..., opened_at_ms: _Optional[int] = ..., rows: _Optional[int] = ...) -> None: ...

class SentRecord(_message.Message):
    __slots__ = ("original_id", "sent_at_ms", "content_kind", "content_body", "resends", "identity_key", "account", "group_id", "heads")
    ORIGINAL_ID_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_MS_FIELD_NUMBER: _ClassVar[int]
    CONTENT_KIND_FIELD_NUMBER: _ClassVar[int]
    CONTENT_BODY_FIELD_NUMBER: _ClassVar[int]
    RESENDS_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    original_id: bytes
    sent_at_ms: int
    content_kind: int
    content_body: bytes
    resends: int
    identity_key: bytes
    account: _address_pb2.User
    group_id: bytes
    heads: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, original_id: _Optional[bytes] = ..., sent_at_ms: _Optional[int] = ..., content_kind: _Optional[int] = ..., content_body: _Optional[bytes] = ..., resends: _Optional[int] = ..., identity_key: _Optional[bytes] = ..., account: _Optional[_Union[_address_pb2.User, _Mapping]] = ..., group_id: _Optional[bytes] = ..., heads: _Optional[_Iterable[bytes]] = ...) -> None: ...

class SentIdRecord(_message.Message):
    __slots__ = ("digest", "devices", "own_copies_id")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    OWN_COPIES_ID_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    devices: bytes
    own_copies_id: bytes
    def __init__(self, digest: _Optional[bytes] = ..., devices: _Optional[bytes] = ..., own_copies_id: _Optional[bytes] = ...) -> None: ...

class RetryBudgetRecord(_message.Message):
    __slots__ = ("window_started_at_ms", "requests", "answers", "strangers")
    WINDOW_STARTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    STRANGERS_FIELD_NUMBER: _ClassVar[int]
    window_started_at_ms: int
    requests: int
    answers: int
    strangers: int
    def __init__(self, window_started_at_ms: _Optional[int] = ..., requests: _Optional[int] = ..., answers: _Optional[int] = ..., strangers: _Optional[int] = ...) -> None: ...

class RetryRecord(_message.Message):
    __slots__ = ("attempts",)
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    attempts: int
    def __init__(self, attempts: _Optional[int] = ...) -> None: ...

class InboxRecord(_message.Message):
    __slots__ = ("sender", "message_id", "backend_number", "message", "failure", "notice", "envelope_hash", "held_until_ms", "item_number")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    BACKEND_NUMBER_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    ENVELOPE_HASH_FIELD_NUMBER: _ClassVar[int]
    HELD_UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    ITEM_NUMBER_FIELD_NUMBER: _ClassVar[int]
    sender: _address_pb2.Address
    message_id: bytes
    backend_number: int
    message: InboxMessage
    failure: InboxFailure
    notice: InboxNotice
    envelope_hash: bytes
    held_until_ms: int
    item_number: int
    def __init__(self, sender: _Optional[_Union[_address_pb2.Address, _Mapping]] = ..., message_id: _Optional[bytes] = ..., backend_number: _Optional[int] = ..., message: _Optional[_Union[InboxMessage, _Mapping]] = ..., failure: _Optional[_Union[InboxFailure, _Mapping]] = ..., notice: _Optional[_Union[InboxNotice, _Mapping]] = ..., envelope_hash: _Optional[bytes] = ..., held_until_ms: _Optional[int] = ..., item_number: _Optional[int] = ...) -> None: ...

class InboxMessage(_message.Message):
    __slots__ = ("sent_at_ms", "content_kind", "content_body", "identity_changed", "version_downgraded", "peer", "own_copy", "historical", "group_id", "moderator", "request", "expired", "blocked", "digest")
    SENT_AT_MS_FIELD_NUMBER: _ClassVar[int]
    CONTENT_KIND_FIELD_NUMBER: _ClassVar[int]
    CONTENT_BODY_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_CHANGED_FIELD_NUMBER: _ClassVar[int]
    VERSION_DOWNGRADED_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    OWN_COPY_FIELD_NUMBER: _ClassVar[int]
    HISTORICAL_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    MODERATOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    sent_at_ms: int
    content_kind: int
    content_body: bytes
    identity_changed: bool
    version_downgraded: bool
    peer: _address_pb2.User
    own_copy: bool
    historical: bool
    group_id: bytes
    moderator: bool
    request: bool
    expired: bool
    blocked: bool
    digest: bytes
    def __init__(self, sent_at_ms: _Optional[int] = ..., content_kind: _Optional[int] = ..., content_body: _Optional[bytes] = ..., identity_changed: bool = ..., version_downgraded: bool = ..., peer: _Optional[_Union[_address_pb2.User, _Mapping]] = ..., own_copy: bool = ..., historical: bool = ..., group_id: _Optional[bytes] = ..., moderator: bool = ..., request: bool = ..., expired: bool = ..., blocked: bool = ..., digest: _Optional[bytes] = ...) -> None: ...

class InboxNotice(_message.Message):
    __slots__ = ("kind", "user", "devices", "identity_key", "message_ids", "code", "group_id", "users", "role")
    KIND_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    kind: int
    user: _address_pb2.User
    devices: _containers.RepeatedScalarFieldContainer[int]
    identity_key: bytes
    message_ids: _containers.RepeatedScalarFieldContainer[bytes]
    code: str
    group_id: bytes
    users: _containers.RepeatedCompositeFieldContainer[_address_pb2.User]
    role: int
    def __init__(self, kind: _Optional[int] = ..., user: _Optional[_Union[_address_pb2.User, _Mapping]] = ..., devices: _Optional[_Iterable[int]] = ..., identity_key: _Optional[bytes] = ..., message_ids: _Optional[_Iterable[bytes]] = ..., code: _Optional[str] = ..., group_id: _Optional[bytes] = ..., users: _Optional[_Iterable[_Union[_address_pb2.User, _Mapping]]] = ..., role: _Optional[int] = ...) -> None: ...

class InboxFailure(_message.Message):
    __slots__ = ("code", "text", "identity_key", "retrying", "group_id")
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    RETRYING_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    code: str
    text: str
    identity_key: bytes
    retrying: bool
    group_id: bytes
    def __init__(self, code: _Optional[str] = ..., text: _Optional[str] = ..., identity_key: _Optional[bytes] = ..., retrying: bool = ..., group_id: _Optional[bytes] = ...) -> None: ...

class AccountRecord(_message.Message):
    __slots__ = ("signed_list", "accepted_at_ms", "rival", "changed_seq", "written", "checked_at_ms", "check_wanted", "hosting_unseen", "fork_noted", "has_list")
    SIGNED_LIST_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    RIVAL_FIELD_NUMBER: _ClassVar[int]
    CHANGED_SEQ_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_FIELD_NUMBER: _ClassVar[int]
    CHECKED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    CHECK_WANTED_FIELD_NUMBER: _ClassVar[int]
    HOSTING_UNSEEN_FIELD_NUMBER: _ClassVar[int]
    FORK_NOTED_FIELD_NUMBER: _ClassVar[int]
    HAS_LIST_FIELD_NUMBER: _ClassVar[int]
    signed_list: bytes
    accepted_at_ms: int
    rival: bytes
    changed_seq: int
    written: bool
    checked_at_ms: int
    check_wanted: bool
    hosting_unseen: bool
    fork_noted: bool
    has_list: bool
    def __init__(self, signed_list: _Optional[bytes] = ..., accepted_at_ms: _Optional[int] = ..., rival: _Optional[bytes] = ..., changed_seq: _Optional[int] = ..., written: bool = ..., checked_at_ms: _Optional[int] = ..., check_wanted: bool = ..., hosting_unseen: bool = ..., fork_noted: bool = ..., has_list: bool = ...) -> None: ...

class OwnAccountRecord(_message.Message):
    __slots__ = ("published", "new_devices", "names", "next_device", "must_reset", "conflict", "linked_at_ms", "expired_seq", "foreign_hosting", "foreign_vendor")
    PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    NEW_DEVICES_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    NEXT_DEVICE_FIELD_NUMBER: _ClassVar[int]
    MUST_RESET_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    LINKED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_SEQ_FIELD_NUMBER: _ClassVar[int]
    FOREIGN_HOSTING_FIELD_NUMBER: _ClassVar[int]
    FOREIGN_VENDOR_FIELD_NUMBER: _ClassVar[int]
    published: bool
    new_devices: _containers.RepeatedCompositeFieldContainer[NewDevice]
    names: _containers.RepeatedCompositeFieldContainer[DeviceName]
    next_device: int
    must_reset: bool
    conflict: bool
    linked_at_ms: int
    expired_seq: int
    foreign_hosting: int
    foreign_vendor: str
    def __init__(self, published: bool = ..., new_devices: _Optional[_Iterable[_Union[NewDevice, _Mapping]]] = ..., names: _Optional[_Iterable[_Union[DeviceName, _Mapping]]] = ..., next_device: _Optional[int] = ..., must_reset: bool = ..., conflict: bool = ..., linked_at_ms: _Optional[int] = ..., expired_seq: _Optional[int] = ..., foreign_hosting: _Optional[int] = ..., foreign_vendor: _Optional[str] = ...) -> None: ...

class NewDevice(_message.Message):
    __slots__ = ("device", "token_hash", "linked_at_ms")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    TOKEN_HASH_FIELD_NUMBER: _ClassVar[int]
    LINKED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    device: int
    token_hash: bytes
    linked_at_ms: int
    def __init__(self, device: _Optional[int] = ..., token_hash: _Optional[bytes] = ..., linked_at_ms: _Optional[int] = ...) -> None: ...

class DeviceName(_message.Message):
    __slots__ = ("device", "name", "linked_at_ms", "last_seen_ms", "changing_since_ms", "changes")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LINKED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_MS_FIELD_NUMBER: _ClassVar[int]
    CHANGING_SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    device: int
    name: str
    linked_at_ms: int
    last_seen_ms: int
    changing_since_ms: int
    changes: int
    def __init__(self, device: _Optional[int] = ..., name: _Optional[str] = ..., linked_at_ms: _Optional[int] = ..., last_seen_ms: _Optional[int] = ..., changing_since_ms: _Optional[int] = ..., changes: _Optional[int] = ...) -> None: ...

class ConversationRecord(_message.Message):
    __slots__ = ("state", "waiting", "no_receipts", "no_typing", "number")
    STATE_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    NO_RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    NO_TYPING_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    state: int
    waiting: int
    no_receipts: bool
    no_typing: bool
    number: int
    def __init__(self, state: _Optional[int] = ..., waiting: _Optional[int] = ..., no_receipts: bool = ..., no_typing: bool = ..., number: _Optional[int] = ...) -> None: ...

class ConsentRecord(_message.Message):
    __slots__ = ("grant", "number", "day", "count")
    GRANT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    grant: _content_pb2.ConsentGrant
    number: int
    day: int
    count: int
    def __init__(self, grant: _Optional[_Union[_content_pb2.ConsentGrant, _Mapping]] = ..., number: _Optional[int] = ..., day: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class ReceiptRecord(_message.Message):
    __slots__ = ("group_id",)
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    group_id: bytes
    def __init__(self, group_id: _Optional[bytes] = ...) -> None: ...

class PushRecord(_message.Message):
    __slots__ = ("pushed_at_ms",)
    PUSHED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    pushed_at_ms: int
    def __init__(self, pushed_at_ms: _Optional[int] = ...) -> None: ...

class UploadRecord(_message.Message):
    __slots__ = ("attachment", "spool", "created_at_ms", "blob_size", "complete", "lasting")
    ATTACHMENT_FIELD_NUMBER: _ClassVar[int]
    SPOOL_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    BLOB_SIZE_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    LASTING_FIELD_NUMBER: _ClassVar[int]
    attachment: bytes
    spool: str
    created_at_ms: int
    blob_size: int
    complete: bool
    lasting: bool
    def __init__(self, attachment: _Optional[bytes] = ..., spool: _Optional[str] = ..., created_at_ms: _Optional[int] = ..., blob_size: _Optional[int] = ..., complete: bool = ..., lasting: bool = ...) -> None: ...

class BlobEndRecord(_message.Message):
    __slots__ = ("ends_at_ms", "unopened", "unopened_ends_at_ms")
    ENDS_AT_MS_FIELD_NUMBER: _ClassVar[int]
    UNOPENED_FIELD_NUMBER: _ClassVar[int]
    UNOPENED_ENDS_AT_MS_FIELD_NUMBER: _ClassVar[int]
    ends_at_ms: int
    unopened: int
    unopened_ends_at_ms: int
    def __init__(self, ends_at_ms: _Optional[int] = ..., unopened: _Optional[int] = ..., unopened_ends_at_ms: _Optional[int] = ...) -> None: ...

class OpenableRecord(_message.Message):
    __slots__ = ("blob_id",)
    BLOB_ID_FIELD_NUMBER: _ClassVar[int]
    blob_id: bytes
    def __init__(self, blob_id: _Optional[bytes] = ...) -> None: ...

class ChangesRecord(_message.Message):
    __slots__ = ("changes",)
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    changes: int
    def __init__(self, changes: _Optional[int] = ...) -> None: ...

class GroupRecord(_message.Message):
    __slots__ = ("accepted", "outdated", "joined_at_ms", "unannounced", "key_ended_at_ms", "days", "back", "heard_from", "heard_at_ms", "full")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    OUTDATED_FIELD_NUMBER: _ClassVar[int]
    JOINED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    UNANNOUNCED_FIELD_NUMBER: _ClassVar[int]
    KEY_ENDED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    DAYS_FIELD_NUMBER: _ClassVar[int]
    BACK_FIELD_NUMBER: _ClassVar[int]
    HEARD_FROM_FIELD_NUMBER: _ClassVar[int]
    HEARD_AT_MS_FIELD_NUMBER: _ClassVar[int]
    FULL_FIELD_NUMBER: _ClassVar[int]
    accepted: bool
    outdated: int
    joined_at_ms: int
    unannounced: _containers.RepeatedScalarFieldContainer[bytes]
    key_ended_at_ms: int
    days: _containers.RepeatedCompositeFieldContainer[GroupDay]
    back: _containers.RepeatedCompositeFieldContainer[_group_pb2.GroupMember]
    heard_from: _address_pb2.User
    heard_at_ms: int
    full: bool
    def __init__(self, accepted: bool = ..., outdated: _Optional[int] = ..., joined_at_ms: _Optional[int] = ..., unannounced: _Optional[_Iterable[bytes]] = ..., key_ended_at_ms: _Optional[int] = ..., days: _Optional[_Iterable[_Union[GroupDay, _Mapping]]] = ..., back: _Optional[_Iterable[_Union[_group_pb2.GroupMember, _Mapping]]] = ..., heard_from: _Optional[_Union[_address_pb2.User, _Mapping]] = ..., heard_at_ms: _Optional[int] = ..., full: bool = ...) -> None: ...

class GroupDay(_message.Message):
    __slots__ = ("author", "began_at_ms", "commits")
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    BEGAN_AT_MS_FIELD_NUMBER: _ClassVar[int]
    COMMITS_FIELD_NUMBER: _ClassVar[int]
    author: _address_pb2.User
    began_at_ms: int
    commits: int
    def __init__(self, author: _Optional[_Union[_address_pb2.User, _Mapping]] = ..., began_at_ms: _Optional[int] = ..., commits: _Optional[int] = ...) -> None: ...

class GroupStateRecord(_message.Message):
    __slots__ = ("heads", "members", "settings")
    HEADS_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    heads: _containers.RepeatedScalarFieldContainer[bytes]
    members: _containers.RepeatedCompositeFieldContainer[_group_pb2.GroupRole]
    settings: _group_pb2.GroupSettings
    def __init__(self, heads: _Optional[_Iterable[bytes]] = ..., members: _Optional[_Iterable[_Union[_group_pb2.GroupRole, _Mapping]]] = ..., settings: _Optional[_Union[_group_pb2.GroupSettings, _Mapping]] = ...) -> None: ...

class GroupCommitRecord(_message.Message):
    __slots__ = ("commit", "signature", "number")
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    commit: bytes
    signature: bytes
    number: int
    def __init__(self, commit: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., number: _Optional[int] = ...) -> None: ...
