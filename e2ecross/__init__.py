# SPDX-License-Identifier: Apache-2.0
"""End-to-end encryption between messaging apps: the Signal protocol in typed Python."""

from e2ecross.address import Address, App, UserId
from e2ecross.client.client import Client, Delivery, Sent
from e2ecross.client.device import Device
from e2ecross.client.message import FailedMessage, Message
from e2ecross.client.policy import Policy
from e2ecross.client.session_store import SessionInfo
from e2ecross.client.trust import RemoteIdentity, TrustState
from e2ecross.client.witness import Witness
from e2ecross.errors import E2ECrossError
from e2ecross.protocol.safety_number import SafetyNumber
from e2ecross.wire.bundle import OneTimePrekey, PreKeyBundle, PublishedKeys, SignedPrekey
from e2ecross.wire.content import Bytes, RetryRequest, Text, UnsupportedContent
from e2ecross.wire.envelope import Envelope, MessageKind

__all__ = [
    "Address",
    "App",
    "Bytes",
    "Client",
    "Delivery",
    "Device",
    "E2ECrossError",
    "Envelope",
    "FailedMessage",
    "Message",
    "MessageKind",
    "OneTimePrekey",
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
]
