# SPDX-License-Identifier: Apache-2.0
"""What clients tell each other about groups, and what stands around a message into one.

Rules:
- What is printed here was decrypted: of a sender key all but the chain key is told, of what a user
  has sent its kind and its size.
- Which of these it is, the bytes tell: each has a field that no other has.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from e2ecross.cli.describe_commits import CommitsView, describe_commits
from e2ecross.cli.describe_sender_keys import DistributionView, describe_distribution
from e2ecross.errors import DecodeError, RemoteError
from e2ecross.wire.content import (
    GroupCommits,
    GroupResent,
    GroupRetryRequest,
    PayloadContent,
    SenderKeyGrant,
    decode_content,
    decode_group_payload,
    encode_content,
)
from e2ecross.wire.sender_key_message import SenderKeyForm

__all__ = [
    "ControlView",
    "GrantView",
    "GroupPayloadView",
    "GroupResentView",
    "GroupRetryRequestView",
    "describe_control",
    "describe_group_payload",
]

_KINDS: Final = range(2**31 + 32, 2**31 + 36)


@dataclass(frozen=True, slots=True)
class GrantView:
    """A sender key for one device, but for the chain key.

    Attributes:
        kind: "sender_key_grant".
        size_bytes: of the whole.
        group: `group:` and 64 hexadecimal digits.
        heads: where the key was made: hashes of commits, 32 bytes each as hex.
        distribution: the key; None if it does not decode.
        problem: why it does not, or None.
    """

    kind: str
    size_bytes: int
    group: str
    heads: tuple[str, ...]
    distribution: DistributionView | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class GroupRetryRequestView:
    """A client could not read a message into a group.

    Attributes:
        kind: "group_retry_request".
        size_bytes: of the whole.
        group: `group:` and 64 hexadecimal digits; None: it is not known there.
        heads: hashes of the newest commits that it has, 32 bytes each as hex.
        message_id: 16 bytes as hex; None: it asks for commits alone.
        distribution_id: of the key that the message is under, 16 bytes as hex, or None.
        reason: the code of the error there.
    """

    kind: str
    size_bytes: int
    group: str | None
    heads: tuple[str, ...]
    message_id: str | None
    distribution_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class GroupResentView:
    """A message into a group, again and for one device alone.

    Attributes:
        kind: "group_resent".
        size_bytes: of the whole.
        group: `group:` and 64 hexadecimal digits.
        heads: where the message stands: hashes of commits, 32 bytes each as hex.
        message_id: 16 bytes as hex.
        sent_at_ms: by the sender's clock, milliseconds since 1970.
        content_kind: the number of what was sent.
        content_bytes: its size, encoded.
    """

    kind: str
    size_bytes: int
    group: str
    heads: tuple[str, ...]
    message_id: str
    sent_at_ms: int
    content_kind: int
    content_bytes: int


@dataclass(frozen=True, slots=True)
class GroupPayloadView:
    """The plaintext of a message into a group, but for the content.

    Attributes:
        kind: "group_payload".
        size_bytes: with its padding.
        sender: such as `whatsapp:ana.1`.
        group: `group:` and 64 hexadecimal digits.
        heads: where the message stands: hashes of commits, 32 bytes each as hex.
        message_id: 16 bytes as hex.
        registration_id: the sender's installation.
        sent_at_ms: by the sender's clock, milliseconds since 1970.
        content_kind: the number of what was sent.
        content_bytes: its size, encoded.
        list_seq: number of the sender's own list of devices; None if it tells of none.
        list_hash: beginning of the hash of that, 16 bytes as hex, or None.
    """

    kind: str
    size_bytes: int
    sender: str
    group: str
    heads: tuple[str, ...]
    message_id: str
    registration_id: int
    sent_at_ms: int
    content_kind: int
    content_bytes: int
    list_seq: int | None
    list_hash: str | None


ControlView = GrantView | CommitsView | GroupRetryRequestView | GroupResentView


def describe_control(data: bytes) -> ControlView:
    """Read the body of what a client tells another about a group.

    Raises:
        DecodeError: none.
        UnsupportedVersion: what is sent again is of a later version.
    """
    for kind in _KINDS:
        with suppress(DecodeError):
            return _describe_content(decode_content(kind, data), len(data))
    raise DecodeError("it tells nothing about a group")


def describe_group_payload(data: bytes) -> GroupPayloadView:
    """Read a padded payload whose destination is a group.

    Raises:
        DecodeError: none.
        EnvelopeMismatch: its destination is a device.
        UnsupportedVersion: of a later version.
    """
    payload = decode_group_payload(data)
    content_kind, body = encode_content(payload.content)
    return GroupPayloadView(
        kind="group_payload",
        size_bytes=len(data),
        sender=str(payload.sender),
        group=str(payload.destination.group_id),
        heads=_hex(payload.destination.heads),
        message_id=payload.message_id.hex(),
        registration_id=payload.registration_id,
        sent_at_ms=payload.sent_at_ms,
        content_kind=content_kind,
        content_bytes=len(body),
        list_seq=None if payload.hints is None else payload.hints.sender_seq,
        list_hash=None if payload.hints is None else payload.hints.sender_hash.hex(),
    )


def _describe_content(content: PayloadContent, size_bytes: int) -> ControlView:
    match content:
        case SenderKeyGrant():
            return _describe_grant(content, size_bytes)
        case GroupCommits():
            return describe_commits(content, size_bytes)
        case GroupRetryRequest():
            return _describe_request(content, size_bytes)
        case GroupResent():
            return _describe_resent(content, size_bytes)
        case _:
            raise DecodeError("a content of another kind")


def _describe_grant(grant: SenderKeyGrant, size_bytes: int) -> GrantView:
    distribution, problem = None, None
    try:
        distribution = describe_distribution(SenderKeyForm.UUID, grant.distribution)
    except RemoteError as error:
        problem = str(error)
    made = grant.made
    return GrantView(
        kind="sender_key_grant",
        size_bytes=size_bytes,
        group=str(made.group_id),
        heads=_hex(made.heads),
        distribution=distribution,
        problem=problem,
    )


def _describe_request(request: GroupRetryRequest, size_bytes: int) -> GroupRetryRequestView:
    return GroupRetryRequestView(
        kind="group_retry_request",
        size_bytes=size_bytes,
        group=None if request.group_id is None else str(request.group_id),
        heads=_hex(request.heads),
        message_id=request.message_id.hex() or None,
        distribution_id=request.distribution_id.hex() or None,
        reason=request.reason,
    )


def _describe_resent(resent: GroupResent, size_bytes: int) -> GroupResentView:
    content_kind, body = encode_content(resent.content)
    return GroupResentView(
        kind="group_resent",
        size_bytes=size_bytes,
        group=str(resent.destination.group_id),
        heads=_hex(resent.destination.heads),
        message_id=resent.message_id.hex(),
        sent_at_ms=resent.sent_at_ms,
        content_kind=content_kind,
        content_bytes=len(body),
    )


def _hex(hashes: tuple[bytes, ...]) -> tuple[str, ...]:
    return tuple(each.hex() for each in hashes)
