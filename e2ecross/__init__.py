# SPDX-License-Identifier: Apache-2.0
"""End-to-end encryption between messaging apps: the Signal protocol in typed Python.

A name is imported when it is first used (PEP 562): an app starts without what it does not need.
"""

from typing import TYPE_CHECKING, Final

from e2ecross.lazy import lazy_names

if TYPE_CHECKING:
    from e2ecross.address import Address, App, Recipient, UserId
    from e2ecross.client.backend import Backend
    from e2ecross.client.blob_store import BlobStore
    from e2ecross.client.client import Client
    from e2ecross.client.device_link import DeviceLink
    from e2ecross.client.downloads import AttachmentFile
    from e2ecross.client.groups import Group
    from e2ecross.client.linking import LinkState
    from e2ecross.client.pairing import Pairing
    from e2ecross.client.sent import Delivery, Sent
    from e2ecross.client.timeline import Timeline
    from e2ecross.client.uploads import Upload
    from e2ecross.conversation.display import display_text
    from e2ecross.conversation.entry import Entry, EntryKind
    from e2ecross.conversation.negotiation import Loss, Outcome, Plan, negotiate
    from e2ecross.crypto.entropy import EntropySource
    from e2ecross.device.account_devices import AccountDevice, AccountDevices
    from e2ecross.device.batch import Progress
    from e2ecross.device.device import Device
    from e2ecross.device.group_raw import SenderKeyGroup
    from e2ecross.device.group_reading import GroupMember, GroupStatus
    from e2ecross.device.waiting import Pending
    from e2ecross.errors import E2ECrossError
    from e2ecross.metrics import Metrics
    from e2ecross.protocol.attachment_reader import AttachmentReader
    from e2ecross.protocol.safety_number import SafetyNumber
    from e2ecross.state.context import Clock
    from e2ecross.state.inbox import InboxItem
    from e2ecross.state.message import ControlMessage, FailedMessage, Message
    from e2ecross.state.notice import Notice, NoticeKind
    from e2ecross.state.policy import Policy
    from e2ecross.state.session_store import SessionInfo
    from e2ecross.state.trust import RemoteIdentity, TrustState
    from e2ecross.state.witness import Witness
    from e2ecross.wire.attachment import Attachment, ShownAs
    from e2ecross.wire.bundle import (
        KyberPrekey,
        OneTimePrekey,
        PreKeyBundle,
        PublishedKeys,
        SignedPrekey,
    )
    from e2ecross.wire.capabilities import Capability
    from e2ecross.wire.content import (
        Answer,
        AnyContent,
        Bytes,
        ConsentGrant,
        ConsentRevoke,
        Content,
        Delete,
        Edit,
        Expiry,
        Framed,
        Media,
        Mention,
        MessageRef,
        Options,
        Reaction,
        Receipt,
        RetryRequest,
        SentContent,
        Text,
        UnsupportedContent,
        decode_unsupported,
    )
    from e2ecross.wire.content.frame import Frame
    from e2ecross.wire.envelope import Envelope, MessageKind
    from e2ecross.wire.exchange import Deposited, KeysWanted, UserKeys, Waiting
    from e2ecross.wire.group import GroupId, Role
    from e2ecross.wire.sender_key_message import SenderKeyForm

__version__ = "0.1.0"

__all__ = [
    "AccountDevice",
    "AccountDevices",
    "Address",
    "Answer",
    "AnyContent",
    "App",
    "Attachment",
    "AttachmentFile",
    "AttachmentReader",
    "Backend",
    "BlobStore",
    "Bytes",
    "Capability",
    "Client",
    "Clock",
    "ConsentGrant",
    "ConsentRevoke",
    "Content",
    "ControlMessage",
    "Delete",
    "Delivery",
    "Deposited",
    "Device",
    "DeviceLink",
    "E2ECrossError",
    "Edit",
    "EntropySource",
    "Entry",
    "EntryKind",
    "Envelope",
    "Expiry",
    "FailedMessage",
    "Frame",
    "Framed",
    "Group",
    "GroupId",
    "GroupMember",
    "GroupStatus",
    "InboxItem",
    "KeysWanted",
    "KyberPrekey",
    "LinkState",
    "Loss",
    "Media",
    "Mention",
    "Message",
    "MessageKind",
    "MessageRef",
    "Metrics",
    "Notice",
    "NoticeKind",
    "OneTimePrekey",
    "Options",
    "Outcome",
    "Pairing",
    "Pending",
    "Plan",
    "Policy",
    "PreKeyBundle",
    "Progress",
    "PublishedKeys",
    "Reaction",
    "Receipt",
    "Recipient",
    "RemoteIdentity",
    "RetryRequest",
    "Role",
    "SafetyNumber",
    "SenderKeyForm",
    "SenderKeyGroup",
    "Sent",
    "SentContent",
    "SessionInfo",
    "ShownAs",
    "SignedPrekey",
    "Text",
    "Timeline",
    "TrustState",
    "UnsupportedContent",
    "Upload",
    "UserId",
    "UserKeys",
    "Waiting",
    "Witness",
    "__version__",
    "decode_unsupported",
    "display_text",
    "negotiate",
]

_HOMES: Final = {
    "AccountDevice": "e2ecross.device.account_devices",
    "AccountDevices": "e2ecross.device.account_devices",
    "Address": "e2ecross.address",
    "Answer": "e2ecross.wire.content",
    "AnyContent": "e2ecross.wire.content",
    "App": "e2ecross.address",
    "Attachment": "e2ecross.wire.attachment",
    "AttachmentFile": "e2ecross.client.downloads",
    "AttachmentReader": "e2ecross.protocol.attachment_reader",
    "Backend": "e2ecross.client.backend",
    "BlobStore": "e2ecross.client.blob_store",
    "Bytes": "e2ecross.wire.content",
    "Capability": "e2ecross.wire.capabilities",
    "Client": "e2ecross.client.client",
    "Clock": "e2ecross.state.context",
    "ConsentGrant": "e2ecross.wire.content",
    "ConsentRevoke": "e2ecross.wire.content",
    "Content": "e2ecross.wire.content",
    "ControlMessage": "e2ecross.state.message",
    "Delete": "e2ecross.wire.content",
    "Delivery": "e2ecross.client.sent",
    "Deposited": "e2ecross.wire.exchange",
    "Device": "e2ecross.device.device",
    "DeviceLink": "e2ecross.client.device_link",
    "E2ECrossError": "e2ecross.errors",
    "Edit": "e2ecross.wire.content",
    "EntropySource": "e2ecross.crypto.entropy",
    "Entry": "e2ecross.conversation.entry",
    "EntryKind": "e2ecross.conversation.entry",
    "Envelope": "e2ecross.wire.envelope",
    "Expiry": "e2ecross.wire.content",
    "FailedMessage": "e2ecross.state.message",
    "Frame": "e2ecross.wire.content.frame",
    "Framed": "e2ecross.wire.content",
    "Group": "e2ecross.client.groups",
    "GroupId": "e2ecross.wire.group",
    "GroupMember": "e2ecross.device.group_reading",
    "GroupStatus": "e2ecross.device.group_reading",
    "InboxItem": "e2ecross.state.inbox",
    "KeysWanted": "e2ecross.wire.exchange",
    "KyberPrekey": "e2ecross.wire.bundle",
    "LinkState": "e2ecross.client.linking",
    "Loss": "e2ecross.conversation.negotiation",
    "Media": "e2ecross.wire.content",
    "Mention": "e2ecross.wire.content",
    "Message": "e2ecross.state.message",
    "MessageKind": "e2ecross.wire.envelope",
    "MessageRef": "e2ecross.wire.content",
    "Metrics": "e2ecross.metrics",
    "Notice": "e2ecross.state.notice",
    "NoticeKind": "e2ecross.state.notice",
    "OneTimePrekey": "e2ecross.wire.bundle",
    "Options": "e2ecross.wire.content",
    "Outcome": "e2ecross.conversation.negotiation",
    "Pairing": "e2ecross.client.pairing",
    "Pending": "e2ecross.device.waiting",
    "Plan": "e2ecross.conversation.negotiation",
    "Policy": "e2ecross.state.policy",
    "PreKeyBundle": "e2ecross.wire.bundle",
    "Progress": "e2ecross.device.batch",
    "PublishedKeys": "e2ecross.wire.bundle",
    "Reaction": "e2ecross.wire.content",
    "Receipt": "e2ecross.wire.content",
    "Recipient": "e2ecross.address",
    "RemoteIdentity": "e2ecross.state.trust",
    "RetryRequest": "e2ecross.wire.content",
    "Role": "e2ecross.wire.group",
    "SafetyNumber": "e2ecross.protocol.safety_number",
    "SenderKeyForm": "e2ecross.wire.sender_key_message",
    "SenderKeyGroup": "e2ecross.device.group_raw",
    "Sent": "e2ecross.client.sent",
    "SentContent": "e2ecross.wire.content",
    "SessionInfo": "e2ecross.state.session_store",
    "ShownAs": "e2ecross.wire.attachment",
    "SignedPrekey": "e2ecross.wire.bundle",
    "Text": "e2ecross.wire.content",
    "Timeline": "e2ecross.client.timeline",
    "TrustState": "e2ecross.state.trust",
    "UnsupportedContent": "e2ecross.wire.content",
    "Upload": "e2ecross.client.uploads",
    "UserId": "e2ecross.address",
    "UserKeys": "e2ecross.wire.exchange",
    "Waiting": "e2ecross.wire.exchange",
    "Witness": "e2ecross.state.witness",
    "decode_unsupported": "e2ecross.wire.content",
    "display_text": "e2ecross.conversation.display",
    "negotiate": "e2ecross.conversation.negotiation",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
