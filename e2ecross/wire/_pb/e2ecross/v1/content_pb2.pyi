# SPDX-License-Identifier: Apache-2.0
from e2ecross.wire._pb.e2ecross.v1 import address_pb2 as _address_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Payload(_message.Message):
    __slots__ = ("version", "sender", "destination", "message_id", "registration_id", "sent_at_ms", "content_kind", "content_body", "hints", "peer", "device_list")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    REGISTRATION_ID_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_MS_FIELD_NUMBER: _ClassVar[int]
    CONTENT_KIND_FIELD_NUMBER: _ClassVar[int]
    CONTENT_BODY_FIELD_NUMBER: _ClassVar[int]
    HINTS_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    DEVICE_LIST_FIELD_NUMBER: _ClassVar[int]
    version: int
    sender: _address_pb2.Address
    destination: Destination
    message_id: bytes
    registration_id: int
    sent_at_ms: int
    content_kind: int
    content_body: bytes
    hints: DeviceHints
    peer: _address_pb2.User
    device_list: bytes
    def __init__(self, version: _Optional[int] = ..., sender: _Optional[_Union[_address_pb2.Address, _Mapping]] = ..., destination: _Optional[_Union[Destination, _Mapping]] = ..., message_id: _Optional[bytes] = ..., registration_id: _Optional[int] = ..., sent_at_ms: _Optional[int] = ..., content_kind: _Optional[int] = ..., content_body: _Optional[bytes] = ..., hints: _Optional[_Union[DeviceHints, _Mapping]] = ..., peer: _Optional[_Union[_address_pb2.User, _Mapping]] = ..., device_list: _Optional[bytes] = ...) -> None: ...

class DeviceHints(_message.Message):
    __slots__ = ("sender_seq", "sender_hash", "peer_seq", "peer_hash")
    SENDER_SEQ_FIELD_NUMBER: _ClassVar[int]
    SENDER_HASH_FIELD_NUMBER: _ClassVar[int]
    PEER_SEQ_FIELD_NUMBER: _ClassVar[int]
    PEER_HASH_FIELD_NUMBER: _ClassVar[int]
    sender_seq: int
    sender_hash: bytes
    peer_seq: int
    peer_hash: bytes
    def __init__(self, sender_seq: _Optional[int] = ..., sender_hash: _Optional[bytes] = ..., peer_seq: _Optional[int] = ..., peer_hash: _Optional[bytes] = ...) -> None: ...

class Destination(_message.Message):
    __slots__ = ("recipient", "group")
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    recipient: _address_pb2.Address
    group: GroupDestination
    def __init__(self, recipient: _Optional[_Union[_address_pb2.Address, _Mapping]] = ..., group: _Optional[_Union[GroupDestination, _Mapping]] = ...) -> None: ...

class GroupDestination(_message.Message):
    __slots__ = ("group_id", "heads")
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    group_id: bytes
    heads: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, group_id: _Optional[bytes] = ..., heads: _Optional[_Iterable[bytes]] = ...) -> None: ...

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

class Frame(_message.Message):
    __slots__ = ("opening_key", "expiry", "view_once", "fallback", "body")
    OPENING_KEY_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_FIELD_NUMBER: _ClassVar[int]
    VIEW_ONCE_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    opening_key: bytes
    expiry: Expiry
    view_once: bool
    fallback: str
    body: bytes
    def __init__(self, opening_key: _Optional[bytes] = ..., expiry: _Optional[_Union[Expiry, _Mapping]] = ..., view_once: bool = ..., fallback: _Optional[str] = ..., body: _Optional[bytes] = ...) -> None: ...

class Expiry(_message.Message):
    __slots__ = ("seconds", "from_read")
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    FROM_READ_FIELD_NUMBER: _ClassVar[int]
    seconds: int
    from_read: bool
    def __init__(self, seconds: _Optional[int] = ..., from_read: bool = ...) -> None: ...

class MessageRef(_message.Message):
    __slots__ = ("author", "message_id", "digest")
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    author: _address_pb2.User
    message_id: bytes
    digest: bytes
    def __init__(self, author: _Optional[_Union[_address_pb2.User, _Mapping]] = ..., message_id: _Optional[bytes] = ..., digest: _Optional[bytes] = ...) -> None: ...

class Mention(_message.Message):
    __slots__ = ("start", "length", "user")
    START_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    start: int
    length: int
    user: _address_pb2.User
    def __init__(self, start: _Optional[int] = ..., length: _Optional[int] = ..., user: _Optional[_Union[_address_pb2.User, _Mapping]] = ...) -> None: ...

class Post(_message.Message):
    __slots__ = ("text", "mentions", "reply_to", "media", "options")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    MENTIONS_FIELD_NUMBER: _ClassVar[int]
    REPLY_TO_FIELD_NUMBER: _ClassVar[int]
    MEDIA_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    text: str
    mentions: _containers.RepeatedCompositeFieldContainer[Mention]
    reply_to: MessageRef
    media: Media
    options: Options
    def __init__(self, text: _Optional[str] = ..., mentions: _Optional[_Iterable[_Union[Mention, _Mapping]]] = ..., reply_to: _Optional[_Union[MessageRef, _Mapping]] = ..., media: _Optional[_Union[Media, _Mapping]] = ..., options: _Optional[_Union[Options, _Mapping]] = ...) -> None: ...

class Media(_message.Message):
    __slots__ = ("attachment", "voice")
    ATTACHMENT_FIELD_NUMBER: _ClassVar[int]
    VOICE_FIELD_NUMBER: _ClassVar[int]
    attachment: Attachment
    voice: bool
    def __init__(self, attachment: _Optional[_Union[Attachment, _Mapping]] = ..., voice: bool = ...) -> None: ...

class Attachment(_message.Message):
    __slots__ = ("suite", "file_key", "size", "chunk_log2", "root", "blob_id", "media_type", "name", "width", "height", "duration_ms", "thumbnail")
    SUITE_FIELD_NUMBER: _ClassVar[int]
    FILE_KEY_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_LOG2_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    BLOB_ID_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    THUMBNAIL_FIELD_NUMBER: _ClassVar[int]
    suite: int
    file_key: bytes
    size: int
    chunk_log2: int
    root: bytes
    blob_id: bytes
    media_type: str
    name: str
    width: int
    height: int
    duration_ms: int
    thumbnail: bytes
    def __init__(self, suite: _Optional[int] = ..., file_key: _Optional[bytes] = ..., size: _Optional[int] = ..., chunk_log2: _Optional[int] = ..., root: _Optional[bytes] = ..., blob_id: _Optional[bytes] = ..., media_type: _Optional[str] = ..., name: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., duration_ms: _Optional[int] = ..., thumbnail: _Optional[bytes] = ...) -> None: ...

class Options(_message.Message):
    __slots__ = ("style", "labels", "max_choices")
    STYLE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    MAX_CHOICES_FIELD_NUMBER: _ClassVar[int]
    style: int
    labels: _containers.RepeatedScalarFieldContainer[str]
    max_choices: int
    def __init__(self, style: _Optional[int] = ..., labels: _Optional[_Iterable[str]] = ..., max_choices: _Optional[int] = ...) -> None: ...

class Reaction(_message.Message):
    __slots__ = ("target", "number", "emoji")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    EMOJI_FIELD_NUMBER: _ClassVar[int]
    target: MessageRef
    number: int
    emoji: str
    def __init__(self, target: _Optional[_Union[MessageRef, _Mapping]] = ..., number: _Optional[int] = ..., emoji: _Optional[str] = ...) -> None: ...

class Edit(_message.Message):
    __slots__ = ("target", "number", "text", "mentions")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    MENTIONS_FIELD_NUMBER: _ClassVar[int]
    target: MessageRef
    number: int
    text: str
    mentions: _containers.RepeatedCompositeFieldContainer[Mention]
    def __init__(self, target: _Optional[_Union[MessageRef, _Mapping]] = ..., number: _Optional[int] = ..., text: _Optional[str] = ..., mentions: _Optional[_Iterable[_Union[Mention, _Mapping]]] = ...) -> None: ...

class Delete(_message.Message):
    __slots__ = ("target",)
    TARGET_FIELD_NUMBER: _ClassVar[int]
    target: MessageRef
    def __init__(self, target: _Optional[_Union[MessageRef, _Mapping]] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("target", "number", "chosen")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    CHOSEN_FIELD_NUMBER: _ClassVar[int]
    target: MessageRef
    number: int
    chosen: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, target: _Optional[_Union[MessageRef, _Mapping]] = ..., number: _Optional[int] = ..., chosen: _Optional[_Iterable[int]] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("what", "message_ids", "group_id")
    WHAT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    what: int
    message_ids: _containers.RepeatedScalarFieldContainer[bytes]
    group_id: bytes
    def __init__(self, what: _Optional[int] = ..., message_ids: _Optional[_Iterable[bytes]] = ..., group_id: _Optional[bytes] = ...) -> None: ...

class ConsentGrant(_message.Message):
    __slots__ = ("grant_id", "purposes", "max_per_day", "expires_at_ms", "number", "token")
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    PURPOSES_FIELD_NUMBER: _ClassVar[int]
    MAX_PER_DAY_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    grant_id: bytes
    purposes: _containers.RepeatedScalarFieldContainer[int]
    max_per_day: int
    expires_at_ms: int
    number: int
    token: bytes
    def __init__(self, grant_id: _Optional[bytes] = ..., purposes: _Optional[_Iterable[int]] = ..., max_per_day: _Optional[int] = ..., expires_at_ms: _Optional[int] = ..., number: _Optional[int] = ..., token: _Optional[bytes] = ...) -> None: ...

class ConsentRevoke(_message.Message):
    __slots__ = ("grant_id", "number")
    GRANT_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    grant_id: bytes
    number: int
    def __init__(self, grant_id: _Optional[bytes] = ..., number: _Optional[int] = ...) -> None: ...

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

class DeviceListPush(_message.Message):
    __slots__ = ("device_lists",)
    DEVICE_LISTS_FIELD_NUMBER: _ClassVar[int]
    device_lists: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, device_lists: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Pins(_message.Message):
    __slots__ = ("pins",)
    PINS_FIELD_NUMBER: _ClassVar[int]
    pins: _containers.RepeatedCompositeFieldContainer[Pin]
    def __init__(self, pins: _Optional[_Iterable[_Union[Pin, _Mapping]]] = ...) -> None: ...

class Pin(_message.Message):
    __slots__ = ("user", "account_key", "verified")
    USER_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_KEY_FIELD_NUMBER: _ClassVar[int]
    VERIFIED_FIELD_NUMBER: _ClassVar[int]
    user: _address_pb2.User
    account_key: bytes
    verified: bool
    def __init__(self, user: _Optional[_Union[_address_pb2.User, _Mapping]] = ..., account_key: _Optional[bytes] = ..., verified: bool = ...) -> None: ...

class History(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[HistoryItem]
    def __init__(self, items: _Optional[_Iterable[_Union[HistoryItem, _Mapping]]] = ...) -> None: ...

class HistoryItem(_message.Message):
    __slots__ = ("sender", "peer", "message_id", "sent_at_ms", "content_kind", "content_body")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_MS_FIELD_NUMBER: _ClassVar[int]
    CONTENT_KIND_FIELD_NUMBER: _ClassVar[int]
    CONTENT_BODY_FIELD_NUMBER: _ClassVar[int]
    sender: _address_pb2.Address
    peer: _address_pb2.User
    message_id: bytes
    sent_at_ms: int
    content_kind: int
    content_body: bytes
    def __init__(self, sender: _Optional[_Union[_address_pb2.Address, _Mapping]] = ..., peer: _Optional[_Union[_address_pb2.User, _Mapping]] = ..., message_id: _Optional[bytes] = ..., sent_at_ms: _Optional[int] = ..., content_kind: _Optional[int] = ..., content_body: _Optional[bytes] = ...) -> None: ...

class ReadMarks(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[ReadMark]
    def __init__(self, messages: _Optional[_Iterable[_Union[ReadMark, _Mapping]]] = ...) -> None: ...

class ReadMark(_message.Message):
    __slots__ = ("sender", "message_id")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    sender: _address_pb2.Address
    message_id: bytes
    def __init__(self, sender: _Optional[_Union[_address_pb2.Address, _Mapping]] = ..., message_id: _Optional[bytes] = ...) -> None: ...

class DeviceRequest(_message.Message):
    __slots__ = ("unlink", "capabilities")
    UNLINK_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    unlink: bool
    capabilities: bytes
    def __init__(self, unlink: bool = ..., capabilities: _Optional[bytes] = ...) -> None: ...

class Typing(_message.Message):
    __slots__ = ("on", "group_id")
    ON_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    on: bool
    group_id: bytes
    def __init__(self, on: bool = ..., group_id: _Optional[bytes] = ...) -> None: ...

class Capabilities(_message.Message):
    __slots__ = ("version", "ids")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    version: int
    ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, version: _Optional[int] = ..., ids: _Optional[_Iterable[int]] = ...) -> None: ...

class ConversationStates(_message.Message):
    __slots__ = ("states",)
    STATES_FIELD_NUMBER: _ClassVar[int]
    states: _containers.RepeatedCompositeFieldContainer[ConversationState]
    def __init__(self, states: _Optional[_Iterable[_Union[ConversationState, _Mapping]]] = ...) -> None: ...

class ConversationState(_message.Message):
    __slots__ = ("user", "state", "no_receipts", "no_typing", "number")
    USER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    NO_RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    NO_TYPING_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    user: _address_pb2.User
    state: int
    no_receipts: bool
    no_typing: bool
    number: int
    def __init__(self, user: _Optional[_Union[_address_pb2.User, _Mapping]] = ..., state: _Optional[int] = ..., no_receipts: bool = ..., no_typing: bool = ..., number: _Optional[int] = ...) -> None: ...
