# SPDX-License-Identifier: Apache-2.0
from e2ecross.wire._pb.e2ecross.v1 import address_pb2 as _address_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GroupMember(_message.Message):
    __slots__ = ("user", "account_key")
    USER_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_KEY_FIELD_NUMBER: _ClassVar[int]
    user: _address_pb2.User
    account_key: bytes
    def __init__(self, user: _Optional[_Union[_address_pb2.User, _Mapping]] = ..., account_key: _Optional[bytes] = ...) -> None: ...

class GroupCommit(_message.Message):
    __slots__ = ("version", "group_id", "parents", "author", "made_at_ms", "ops", "nonce")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    PARENTS_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    MADE_AT_MS_FIELD_NUMBER: _ClassVar[int]
    OPS_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    version: int
    group_id: bytes
    parents: _containers.RepeatedScalarFieldContainer[bytes]
    author: GroupMember
    made_at_ms: int
    ops: _containers.RepeatedCompositeFieldContainer[GroupOp]
    nonce: bytes
    def __init__(self, version: _Optional[int] = ..., group_id: _Optional[bytes] = ..., parents: _Optional[_Iterable[bytes]] = ..., author: _Optional[_Union[GroupMember, _Mapping]] = ..., made_at_ms: _Optional[int] = ..., ops: _Optional[_Iterable[_Union[GroupOp, _Mapping]]] = ..., nonce: _Optional[bytes] = ...) -> None: ...

class GroupOp(_message.Message):
    __slots__ = ("add", "remove", "set_role", "settings")
    ADD_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    SET_ROLE_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    add: GroupMember
    remove: GroupMember
    set_role: GroupRole
    settings: GroupSettings
    def __init__(self, add: _Optional[_Union[GroupMember, _Mapping]] = ..., remove: _Optional[_Union[GroupMember, _Mapping]] = ..., set_role: _Optional[_Union[GroupRole, _Mapping]] = ..., settings: _Optional[_Union[GroupSettings, _Mapping]] = ...) -> None: ...

class GroupRole(_message.Message):
    __slots__ = ("member", "role")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    member: GroupMember
    role: int
    def __init__(self, member: _Optional[_Union[GroupMember, _Mapping]] = ..., role: _Optional[int] = ...) -> None: ...

class GroupSettings(_message.Message):
    __slots__ = ("name", "app_data", "only_admins_send")
    NAME_FIELD_NUMBER: _ClassVar[int]
    APP_DATA_FIELD_NUMBER: _ClassVar[int]
    ONLY_ADMINS_SEND_FIELD_NUMBER: _ClassVar[int]
    name: str
    app_data: bytes
    only_admins_send: bool
    def __init__(self, name: _Optional[str] = ..., app_data: _Optional[bytes] = ..., only_admins_send: bool = ...) -> None: ...

class SignedGroupCommit(_message.Message):
    __slots__ = ("commit", "signature")
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    commit: bytes
    signature: bytes
    def __init__(self, commit: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class SenderKeyGrant(_message.Message):
    __slots__ = ("group_id", "heads", "distribution")
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    group_id: bytes
    heads: _containers.RepeatedScalarFieldContainer[bytes]
    distribution: bytes
    def __init__(self, group_id: _Optional[bytes] = ..., heads: _Optional[_Iterable[bytes]] = ..., distribution: _Optional[bytes] = ...) -> None: ...

class GroupCommits(_message.Message):
    __slots__ = ("group_id", "commits")
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    COMMITS_FIELD_NUMBER: _ClassVar[int]
    group_id: bytes
    commits: _containers.RepeatedCompositeFieldContainer[SignedGroupCommit]
    def __init__(self, group_id: _Optional[bytes] = ..., commits: _Optional[_Iterable[_Union[SignedGroupCommit, _Mapping]]] = ...) -> None: ...

class GroupRetryRequest(_message.Message):
    __slots__ = ("group_id", "heads", "message_id", "distribution_id", "reason")
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTION_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    group_id: bytes
    heads: _containers.RepeatedScalarFieldContainer[bytes]
    message_id: bytes
    distribution_id: bytes
    reason: str
    def __init__(self, group_id: _Optional[bytes] = ..., heads: _Optional[_Iterable[bytes]] = ..., message_id: _Optional[bytes] = ..., distribution_id: _Optional[bytes] = ..., reason: _Optional[str] = ...) -> None: ...

class GroupResent(_message.Message):
    __slots__ = ("group_id", "heads", "message_id", "sent_at_ms", "content_kind", "content_body")
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_MS_FIELD_NUMBER: _ClassVar[int]
    CONTENT_KIND_FIELD_NUMBER: _ClassVar[int]
    CONTENT_BODY_FIELD_NUMBER: _ClassVar[int]
    group_id: bytes
    heads: _containers.RepeatedScalarFieldContainer[bytes]
    message_id: bytes
    sent_at_ms: int
    content_kind: int
    content_body: bytes
    def __init__(self, group_id: _Optional[bytes] = ..., heads: _Optional[_Iterable[bytes]] = ..., message_id: _Optional[bytes] = ..., sent_at_ms: _Optional[int] = ..., content_kind: _Optional[int] = ..., content_body: _Optional[bytes] = ...) -> None: ...
