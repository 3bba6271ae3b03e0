# SPDX-License-Identifier: Apache-2.0
"""End-to-end encryption between messaging apps: the Signal protocol in typed Python.

A name is imported when it is first used (PEP 562): an app starts without what it does not need.
"""

from typing import TYPE_CHECKING, Final

from e2ecross.lazy import lazy_names

if TYPE_CHECKING:
    from e2ecross.address import Address, App, UserId
    from e2ecross.client.backend import Backend
    from e2ecross.client.client import Client
    from e2ecross.client.device_link import DeviceLink
    from e2ecross.client.linking import LinkState
    from e2ecross.client.pairing import Pairing
    from e2ecross.client.sent import Delivery, Sent
    from e2ecross.device.account_devices import AccountDevice, AccountDevices
    from e2ecross.device.device import Device
    from e2ecross.device.waiting import Pending
    from e2ecross.errors import E2ECrossError
    from e2ecross.protocol.safety_number import SafetyNumber
    from e2ecross.state.inbox import InboxItem
    from e2ecross.state.message import ControlMessage, FailedMessage, Message
    from e2ecross.state.notice import Notice, NoticeKind
    from e2ecross.state.policy import Policy
    from e2ecross.state.session_store import SessionInfo
    from e2ecross.state.trust import RemoteIdentity, TrustState
    from e2ecross.state.witness import Witness
    from e2ecross.wire.bundle import OneTimePrekey, PreKeyBundle, PublishedKeys, SignedPrekey
    from e2ecross.wire.content import Bytes, Content, RetryRequest, Text, UnsupportedContent
    from e2ecross.wire.envelope import Envelope, MessageKind

__version__ = "0.1.0"

__all__ = [
    "AccountDevice",
    "AccountDevices",
    "Address",
    "App",
    "Backend",
    "Bytes",
    "Client",
    "Content",
    "ControlMessage",
    "Delivery",
    "Device",
    "DeviceLink",
    "E2ECrossError",
    "Envelope",
    "FailedMessage",
    "InboxItem",
    "LinkState",
    "Message",
    "MessageKind",
    "Notice",
    "NoticeKind",
    "OneTimePrekey",
    "Pairing",
    "Pending",
    "Policy",
    "PreKeyBundle",
    "PublishedKeys",
    "RemoteIdentity",
    "RetryRequest",
    "SafetyNumber",
    "Sent",
    "SessionInfo",
    "SignedPrekey",
    "Text",
    "TrustState",
    "UnsupportedContent",
    "UserId",
    "Witness",
    "__version__",
]

_HOMES: Final = {
    "AccountDevice": "e2ecross.device.account_devices",
    "AccountDevices": "e2ecross.device.account_devices",
    "Address": "e2ecross.address",
    "App": "e2ecross.address",
    "Backend": "e2ecross.client.backend",
    "Bytes": "e2ecross.wire.content",
    "Client": "e2ecross.client.client",
    "Content": "e2ecross.wire.content",
    "ControlMessage": "e2ecross.state.message",
    "Delivery": "e2ecross.client.sent",
    "Device": "e2ecross.device.device",
    "DeviceLink": "e2ecross.client.device_link",
    "E2ECrossError": "e2ecross.errors",
    "Envelope": "e2ecross.wire.envelope",
    "FailedMessage": "e2ecross.state.message",
    "InboxItem": "e2ecross.state.inbox",
    "LinkState": "e2ecross.client.linking",
    "Message": "e2ecross.state.message",
    "MessageKind": "e2ecross.wire.envelope",
    "Notice": "e2ecross.state.notice",
    "NoticeKind": "e2ecross.state.notice",
    "OneTimePrekey": "e2ecross.wire.bundle",
    "Pairing": "e2ecross.client.pairing",
    "Pending": "e2ecross.device.waiting",
    "Policy": "e2ecross.state.policy",
    "PreKeyBundle": "e2ecross.wire.bundle",
    "PublishedKeys": "e2ecross.wire.bundle",
    "RemoteIdentity": "e2ecross.state.trust",
    "RetryRequest": "e2ecross.wire.content",
    "SafetyNumber": "e2ecross.protocol.safety_number",
    "Sent": "e2ecross.client.sent",
    "SessionInfo": "e2ecross.state.session_store",
    "SignedPrekey": "e2ecross.wire.bundle",
    "Text": "e2ecross.wire.content",
    "TrustState": "e2ecross.state.trust",
    "UnsupportedContent": "e2ecross.wire.content",
    "UserId": "e2ecross.address",
    "Witness": "e2ecross.state.witness",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
