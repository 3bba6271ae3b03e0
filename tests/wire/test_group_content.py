# SPDX-License-Identifier: Apache-2.0
"""What clients tell each other about groups, payloads of group messages, and copies."""

from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from e2ecross.address import Address
from e2ecross.errors import (
    DecodeError,
    EnvelopeMismatch,
    InvalidArgument,
    RemoteError,
    UnsupportedVersion,
)
from e2ecross.wire._pb.e2ecross.v1 import envelope_pb2, group_pb2
from e2ecross.wire.content import (
    Bytes,
    CommitBytes,
    DeviceHints,
    GroupCommits,
    GroupPayload,
    GroupResent,
    GroupRetryRequest,
    SenderKeyGrant,
    Text,
    UnsupportedContent,
    decode_content,
    decode_group_payload,
    decode_payload,
    encode_content,
    encode_group_payload,
    encode_payload,
)
from e2ecross.wire.encoding import serialize
from e2ecross.wire.envelope import Envelope, EnvelopeCopies, MessageKind
from e2ecross.wire.group import GroupDestination, GroupId
from tests.support.formats import (
    ADDRESS,
    DESTINATION,
    GROUP_ID,
    GROUP_PAYLOAD,
    HEADS,
    MESSAGE_ID,
    PAYLOAD,
    PEER,
)
from tests.support.vectors import groups, unhex

GROUP_MESSAGE = groups("group_message")
CONTROLS = groups("controls")["vectors"]
REQUEST = GroupRetryRequest(GROUP_ID, HEADS, MESSAGE_ID, MESSAGE_ID, "unknown_sender_key")
COPIES = EnvelopeCopies(MESSAGE_ID, ADDRESS, (PEER, Address("whatsapp", "ana", 2)), b"cipher")


@pytest.mark.parametrize("item", CONTROLS, ids=lambda item: item["name"])
def test_recorded_controls(item: dict[str, Any]) -> None:
    value = decode_content(item["kind"], unhex(item["body"]))
    assert encode_content(value) == (item["kind"], unhex(item["body"]))
    assert type(value).__name__ == item["name"].partition(",")[0]


def test_the_next_kind_is_carried_and_none_stands_for_a_known_one() -> None:
    assert decode_content(2**31 + 36, b"x") == UnsupportedContent(2**31 + 36, b"x")
    for kind in range(2**31 + 32, 2**31 + 36):
        with pytest.raises(InvalidArgument):
            UnsupportedContent(kind, b"x")


@pytest.mark.parametrize("size", [0, 257])
def test_a_grant_holds_1_to_256_bytes_and_shows_none(size: int) -> None:
    with pytest.raises(InvalidArgument):
        SenderKeyGrant(DESTINATION, bytes(size))
    assert repr(SenderKeyGrant(DESTINATION, b"x" * 256)) == "<SenderKeyGrant: secret>"


@pytest.mark.parametrize("item", groups("grants")["vectors"], ids=lambda item: item["name"])
def test_a_recorded_grant_is_read_unless_its_own_bytes_are_at_fault(item: dict[str, str]) -> None:
    """What is in its distribution message, and whose it is, is judged where sender keys are."""
    if item["name"] in ("no heads", "unknown field"):
        with pytest.raises(DecodeError):
            decode_content(2**31 + 32, unhex(item["body"]))
    else:
        value = decode_content(2**31 + 32, unhex(item["body"]))
        assert encode_content(value)[1] == unhex(item["body"])


def test_commits_in_one_message_have_at_most_61440_bytes() -> None:
    def of(room: int) -> GroupCommits:
        most = CommitBytes(bytes(16_384), bytes(64))
        return GroupCommits(GROUP_ID, (most, most, most, CommitBytes(bytes(room), b"")))

    room = 61_440 - len(encode_content(of(5_000))[1]) + 5_000
    kind, body = encode_content(of(room))
    assert len(body) == 61_440
    assert decode_content(kind, body) == of(room)
    with pytest.raises(InvalidArgument):
        of(room + 1)
    with pytest.raises(DecodeError):
        decode_content(kind, body + b"\0")


@pytest.mark.parametrize("commits", [(), [CommitBytes(b"", b"")]])
def test_there_is_a_commit(commits: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument):
        GroupCommits(GROUP_ID, commits)
    with pytest.raises(InvalidArgument):
        GroupCommits(bytes(32), (CommitBytes(b"", b""),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"group_id": bytes(32)},
        {"heads": HEADS[::-1]},
        {"message_id": bytes(15)},
        {"distribution_id": bytes(17)},
        {"reason": ""},
        {"reason": "a" * 65},
        {"reason": "no spaces"},
        {"reason": b"a"},
    ],
)
def test_a_request_with_something_else_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        replace(REQUEST, **changes)


def test_a_group_id_of_another_length_is_refused_where_there_is_one() -> None:
    for body in (
        serialize(group_pb2.GroupRetryRequest(group_id=bytes(31), reason="a")),
        serialize(group_pb2.GroupCommits(commits=[group_pb2.SignedGroupCommit(commit=b"a")])),
    ):
        for kind in (2**31 + 33, 2**31 + 34):
            with pytest.raises(DecodeError):
                decode_content(kind, body)


@pytest.mark.parametrize(
    "changes",
    [
        {"destination": GROUP_ID},
        {"message_id": bytes(17)},
        {"sent_at_ms": 2**64},
        {"content": UnsupportedContent(2**31 + 36, b"")},
        {"content": REQUEST},
    ],
)
def test_what_is_sent_again_is_what_a_user_sent(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        replace(GroupResent(DESTINATION, MESSAGE_ID, 0, Text("halo")), **changes)


@pytest.mark.parametrize("kind", [0, 2**31 + 1, 2**31 + 32, 2**31 + 36])
def test_a_control_or_nothing_in_what_is_sent_again_is_refused(kind: int) -> None:
    body = serialize(
        group_pb2.GroupResent(
            group_id=GROUP_ID.value, heads=HEADS, message_id=MESSAGE_ID, content_kind=kind
        )
    )
    with pytest.raises(DecodeError):
        decode_content(2**31 + 35, body)


def test_the_largest_content_can_be_sent_again() -> None:
    heads = tuple(bytes((number,)) * 32 for number in range(16))
    largest = GroupResent(
        GroupDestination(GROUP_ID, heads), MESSAGE_ID, 2**64 - 1, Bytes(bytes(65_536))
    )
    kind, body = encode_content(largest)
    assert encode_content(decode_content(kind, body)) == (kind, body)
    full = GroupResent(
        GroupDestination(GROUP_ID, heads),
        MESSAGE_ID,
        2**64 - 1,
        UnsupportedContent(15, bytes(69_632)),
    )
    kind, body = encode_content(full)
    assert decode_content(kind, body) == full


@pytest.mark.parametrize("item", GROUP_MESSAGE["messages"], ids=lambda item: item["text"])
def test_recorded_payloads_and_copies(item: dict[str, Any]) -> None:
    payload = decode_group_payload(unhex(item["padded"]))
    assert encode_group_payload(payload) == unhex(item["padded"])
    assert payload.destination.group_id == GroupId(unhex(GROUP_MESSAGE["group_id"]))
    assert [head.hex() for head in payload.destination.heads] == item["heads"]
    assert payload.content == Text(item["text"])
    copies = EnvelopeCopies.decode(unhex(item["envelope_copies"]))
    assert copies.encode() == unhex(item["envelope_copies"])
    assert copies.ciphertext == unhex(item["sender_key_message"])
    assert (copies.sender, copies.message_id) == (payload.sender, payload.message_id)
    budi = Address("instagram", "budi")
    assert copies.encode_for(budi) == unhex(item["envelope_to_budi"])


@pytest.mark.parametrize("item", GROUP_MESSAGE["payload_refusals"], ids=lambda item: item["name"])
def test_recorded_payload_refusals(item: dict[str, str]) -> None:
    code = "ok"
    try:
        decode_group_payload(unhex(item["padded"]))
    except RemoteError as error:
        code = error.code
    assert code == item["expect"]


def test_a_payload_is_read_where_it_was_sent() -> None:
    with pytest.raises(EnvelopeMismatch, match="into a group"):
        decode_payload(encode_group_payload(GROUP_PAYLOAD))
    with pytest.raises(EnvelopeMismatch, match="to a device"):
        decode_group_payload(encode_payload(PAYLOAD))


def test_hints_about_a_peer_are_refused() -> None:
    bad = replace(GROUP_PAYLOAD, hints=DeviceHints(1, bytes(16), 2, bytes(16)))
    with pytest.raises(DecodeError, match="hints"):
        decode_group_payload(encode_group_payload(bad))
    assert isinstance(
        decode_group_payload(encode_group_payload(replace(GROUP_PAYLOAD, hints=None))),
        GroupPayload,
    )


def _devices(count: int) -> tuple[Address, ...]:
    return tuple(Address("instagram", f"user{number:05}", 127) for number in range(count))


def test_1024_devices_get_a_message_and_one_more_does_not() -> None:
    most = replace(COPIES, recipients=_devices(1024))
    assert EnvelopeCopies.decode(most.encode()) == most
    with pytest.raises(InvalidArgument, match="1 to 1024"):
        replace(COPIES, recipients=_devices(1025))
    fields = envelope_pb2.EnvelopeCopies()
    fields.ParseFromString(most.encode())
    fields.recipients.add().CopyFrom(fields.recipients[-1])
    with pytest.raises(DecodeError, match="more than 1024"):
        EnvelopeCopies.decode(serialize(fields))


@given(
    count=st.integers(1, 20),
    ciphertext=st.binary(min_size=1, max_size=300),
    message_id=st.binary(min_size=16, max_size=16),
)
def test_copies_apart_are_the_envelopes_of_their_recipients(
    count: int, ciphertext: bytes, message_id: bytes
) -> None:
    copies = EnvelopeCopies(message_id, PEER, _devices(count), ciphertext)
    beginnings, ending = copies.encode_apart()
    assert [beginning + ending for beginning in beginnings] == [
        copies.encode_for(each) for each in copies.recipients
    ]
    for beginning, each in zip(beginnings, copies.recipients, strict=True):
        assert Envelope.decode(beginning + ending) == Envelope(
            message_id, PEER, each, MessageKind.SENDER_KEY, ciphertext
        )


def test_the_longest_beginning_of_a_copy() -> None:
    sender, recipient = (Address("a" * 32, name * 64, 127) for name in "ab")
    copies = EnvelopeCopies(MESSAGE_ID, sender, (recipient,), b"cipher")
    assert [len(each) for each in copies.encode_apart()[0]] == [228]


def test_the_largest_copies_are_within_their_bound() -> None:
    names = [f"{number:064}" for number in range(1024)]
    recipients = tuple(Address("a" * 32, name, 127) for name in names)
    largest = EnvelopeCopies(MESSAGE_ID, PEER, recipients, bytes(100_864))
    assert len(largest.encode()) <= 262_144
    assert EnvelopeCopies.decode(largest.encode()) == largest
    with pytest.raises(DecodeError):
        EnvelopeCopies.decode(bytes(262_145))


@pytest.mark.parametrize(
    "changes",
    [
        {"recipients": ()},
        {"recipients": COPIES.recipients[::-1]},
        {"recipients": COPIES.recipients[:1] * 2},
        {"recipients": (ADDRESS,)},
        {"recipients": list(COPIES.recipients)},
        {"recipients": ("whatsapp:ana.2",)},
        {"sender": "whatsapp:ana.1"},
        {"message_id": bytes(15)},
        {"ciphertext": b""},
        {"ciphertext": bytes(100_865)},
    ],
)
def test_other_copies_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        replace(COPIES, **changes)


def test_copies_of_another_version_kind_or_order_are_refused() -> None:
    for changes, error in (
        ({"version": 2}, UnsupportedVersion),
        ({"version": 0}, DecodeError),
        ({"kind": 2}, DecodeError),
        ({"ciphertext": b""}, DecodeError),
    ):
        fields = envelope_pb2.EnvelopeCopies()
        fields.ParseFromString(COPIES.encode())
        for name, value in changes.items():
            setattr(fields, name, value)
        with pytest.raises(error):
            EnvelopeCopies.decode(serialize(fields))
    assert "cipher" not in repr(COPIES)
    assert "2 devices" in repr(COPIES)
