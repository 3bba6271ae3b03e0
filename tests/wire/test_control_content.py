# SPDX-License-Identifier: Apache-2.0
"""What the devices of an account tell each other, and lists that clients push: kinds 2^31 + 16 on.

`RetryRequest` and `Resent`: `test_content.py`.
"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.address import Address, UserId
from e2ecross.crypto.keys import PublicKey
from e2ecross.errors import DecodeError, InvalidArgument
from e2ecross.wire.content import (
    ControlContent,
    DeviceListPush,
    DeviceRequest,
    History,
    HistoryItem,
    Payload,
    Pin,
    Pins,
    ReadMark,
    ReadMarks,
    Text,
    decode_content,
    decode_payload,
    encode_content,
    encode_payload,
)
from e2ecross.wire.limits import (
    MAX_CAPABILITIES_BYTES,
    MAX_CONTENT_BODY_BYTES,
    MAX_PLAINTEXT_BYTES,
    MAX_SIGNED_DEVICE_LIST_BYTES,
)
from tests.support.formats import ADDRESS, MESSAGE_ID, PEER
from tests.support.points import BAD_KEYS, GOOD_KEY
from tests.support.protobuf import Field, message

PUSH, PINS, HISTORY, READ_MARKS, REQUEST = range(2**31 + 16, 2**31 + 21)
ANA, BUDI = ADDRESS.user_id, PEER.user_id
KEY = PublicKey(GOOD_KEY)
LONGEST = Address("a" * 32, "b" * 64, 127)
PIN = Pin(BUDI, KEY, verified=True)
ITEM = HistoryItem(PEER, BUDI, MESSAGE_ID, 1, *encode_content(Text("attack at dawn")))
MARK = ReadMark(PEER, MESSAGE_ID)

user_ids = st.sampled_from([ANA, BUDI, LONGEST.user_id])
senders = st.sampled_from([ADDRESS, PEER, LONGEST])
message_ids = st.binary(min_size=16, max_size=16)
# A `HistoryItem` holds plaintext, and so it is equal to itself alone: see below.
controls = st.one_of(
    st.lists(st.binary(min_size=1, max_size=100), min_size=1, max_size=2).map(
        lambda lists: DeviceListPush(tuple(lists))
    ),
    st.lists(st.builds(Pin, user_ids, st.just(KEY), st.booleans()), min_size=1, max_size=9).map(
        lambda pins: Pins(tuple(pins))
    ),
    st.builds(
        lambda sender, ids: ReadMarks(tuple(ReadMark(sender, one) for one in ids)),
        senders,
        st.lists(message_ids, min_size=1, max_size=9),
    ),
    st.builds(DeviceRequest, unlink=st.booleans(), capabilities=st.binary(max_size=256)),
)


@given(controls)
def test_it_survives_its_encoding(content: ControlContent) -> None:
    kind, body = encode_content(content)
    assert kind >= 2**31
    assert decode_content(kind, body) == content


@given(
    st.lists(
        st.builds(
            HistoryItem,
            *(senders, user_ids, message_ids, st.integers(0, 2**64 - 1)),
            *(st.integers(1, 2**32 - 1), st.binary(max_size=100)),
        ),
        min_size=1,
        max_size=9,
    )
)
def test_a_history_survives_its_encoding(items: list[HistoryItem]) -> None:
    kind, body = encode_content(History(tuple(items)))
    decoded = decode_content(kind, body)
    assert isinstance(decoded, History)
    assert [_values(item) for item in decoded.items] == [_values(item) for item in items]
    assert encode_content(decoded) == (kind, body)


def _values(item: HistoryItem) -> tuple[object, ...]:
    return (
        *(item.sender, item.peer, item.message_id),
        *(item.sent_at_ms, item.content_kind, item.content_body),
    )


def test_it_has_the_documented_encoding() -> None:
    budi: list[Field] = [(1, b"signal-2"), (2, b"budi_+-9")]
    device = message([*budi, (3, 127)])
    user = message(budi)
    pin = message([(1, user), (2, GOOD_KEY), (3, 1)])
    item = message([(1, device), (2, user), (3, MESSAGE_ID), (4, 1), (5, 1), (6, b"\x0a\x01x")])
    mark = message([(1, device), (2, MESSAGE_ID)])
    documented: list[tuple[ControlContent, int, list[Field]]] = [
        (DeviceListPush((b"one", b"two")), PUSH, [(1, b"one"), (1, b"two")]),
        (Pins((PIN,)), PINS, [(1, pin)]),
        (History((replace(ITEM, content_body=b"\x0a\x01x"),)), HISTORY, [(1, item)]),
        (ReadMarks((MARK, MARK)), READ_MARKS, [(1, mark), (1, mark)]),
        (DeviceRequest(unlink=True, capabilities=b"c"), REQUEST, [(1, 1), (2, b"c")]),
        (DeviceRequest(unlink=False, capabilities=b""), REQUEST, []),
    ]
    for content, kind, items in documented:
        assert encode_content(content) == (kind, message(items))


@pytest.mark.parametrize(
    ("content", "name", "value"),
    [
        (DeviceListPush((b"x",)), "device_lists", ()),
        (DeviceListPush((b"x",)), "device_lists", (b"x",) * 3),
        (DeviceListPush((b"x",)), "device_lists", [b"x"]),
        (DeviceListPush((b"x",)), "device_lists", (b"",)),
        (DeviceListPush((b"x",)), "device_lists", ("x",)),
        (DeviceListPush((b"x",)), "device_lists", (bytes(MAX_SIGNED_DEVICE_LIST_BYTES + 1),)),
        (PIN, "user", ADDRESS),
        (PIN, "account_key", bytes(32)),
        (PIN, "account_key", b"\x05" + bytes(32)),
        (PIN, "verified", 1),
        (Pins((PIN,)), "pins", ()),
        (Pins((PIN,)), "pins", (PIN,) * 501),
        (Pins((PIN,)), "pins", [PIN]),
        (Pins((PIN,)), "pins", (MARK,)),
        (ITEM, "sender", BUDI),
        (ITEM, "peer", PEER),
        (ITEM, "message_id", bytes(15)),
        (ITEM, "sent_at_ms", 2**64),
        (ITEM, "sent_at_ms", -1),
        (ITEM, "content_kind", 0),
        (ITEM, "content_kind", 2**32),
        (ITEM, "content_body", "halo"),
        (ITEM, "content_body", bytes(MAX_CONTENT_BODY_BYTES + 1)),
        (History((ITEM,)), "items", ()),
        (History((ITEM,)), "items", [ITEM]),
        (History((ITEM,)), "items", (PIN,)),
        (MARK, "sender", BUDI),
        (MARK, "message_id", bytes(17)),
        (ReadMarks((MARK,)), "messages", ()),
        (ReadMarks((MARK,)), "messages", (MARK,) * 257),
        (ReadMarks((MARK,)), "messages", [MARK]),
        (ReadMarks((MARK,)), "messages", (PIN,)),
        (ReadMarks((MARK,)), "messages", (MARK, ReadMark(ADDRESS, MESSAGE_ID))),
        (DeviceRequest(unlink=True, capabilities=b""), "unlink", 1),
        (DeviceRequest(unlink=True, capabilities=b""), "capabilities", "c"),
        (DeviceRequest(unlink=True, capabilities=b""), "capabilities", bytes(257)),
    ],
)
def test_it_names_what_is_wrong_with_it(content: Any, name: str, value: object) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument, match=f"^{name} "):
        replace(content, **{name: value})


@pytest.mark.parametrize("key", [key for key in BAD_KEYS.values() if len(key) == len(GOOD_KEY)])
def test_a_pin_of_a_key_that_nobody_has_is_refused(key: bytes) -> None:
    with pytest.raises(InvalidArgument, match=r"^account_key "):
        Pin(BUDI, PublicKey(key), verified=False)
    pin = message([(1, message([(1, b"whatsapp"), (2, b"ana")])), (2, key)])
    with pytest.raises(DecodeError, match="account_key"):
        decode_content(PINS, message([(1, pin)]))


_SENDER: Field = (1, message([(1, b"whatsapp"), (2, b"ana"), (3, 2)]))
_USER: Field = (1, message([(1, b"whatsapp"), (2, b"ana")]))
_PEER: Field = (2, message([(1, b"whatsapp"), (2, b"ana")]))


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (PUSH, []),
        (PUSH, [(1, b"")]),
        (PUSH, [(1, b"x")] * 3),
        (PUSH, [(1, bytes(MAX_SIGNED_DEVICE_LIST_BYTES + 1))]),
        (PINS, []),
        (PINS, [(1, b"")]),
        (PINS, [(1, message([_USER]))]),
        (PINS, [(1, message([_SENDER, (2, GOOD_KEY)]))]),
        (PINS, [(1, message([_USER, (2, GOOD_KEY[:-1])]))]),
        (PINS, [(1, message([_USER, (2, GOOD_KEY), (3, 2)]))]),
        (PINS, [(1, message([_USER, (2, GOOD_KEY)]))] * 501),
        (HISTORY, []),
        (HISTORY, [(1, b"")]),
        (HISTORY, [(1, message([_SENDER, (3, MESSAGE_ID), (5, 1)]))]),
        (HISTORY, [(1, message([_PEER, (3, MESSAGE_ID), (5, 1)]))]),
        (HISTORY, [(1, message([_SENDER, _PEER, (5, 1)]))]),
        (HISTORY, [(1, message([_SENDER, _PEER, (3, MESSAGE_ID)]))]),
        (HISTORY, [(1, message([_SENDER, _PEER, (3, MESSAGE_ID), (5, 1), (7, 1)]))]),
        (READ_MARKS, []),
        (READ_MARKS, [(1, b"")]),
        (READ_MARKS, [(1, message([_SENDER]))]),
        (READ_MARKS, [(1, message([_SENDER, (2, bytes(15))]))]),
        (READ_MARKS, [(1, message([_SENDER, (2, MESSAGE_ID)]))] * 257),
        (REQUEST, [(1, 2)]),
        (REQUEST, [(2, bytes(257))]),
        (REQUEST, [(3, b"new")]),
    ],
)
def test_malformed_from_a_peer_is_a_decode_error(kind: int, fields: list[Field]) -> None:
    with pytest.raises(DecodeError):
        decode_content(kind, message(fields))


def test_the_least_that_is_well_formed_is_read() -> None:
    """So that each of the refusals above has its own reason."""
    item = message([_SENDER, _PEER, (3, MESSAGE_ID), (5, 1)])
    for kind, least in (
        (PUSH, message([(1, b"x")])),
        (PINS, message([(1, message([_USER, (2, GOOD_KEY)]))])),
        (HISTORY, message([(1, item)])),
        (READ_MARKS, message([(1, message([_SENDER, (2, MESSAGE_ID)]))])),
        (REQUEST, b""),
    ):
        assert encode_content(decode_content(kind, least)) == (kind, least)


# --- Sizes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        DeviceListPush((bytes(MAX_SIGNED_DEVICE_LIST_BYTES),) * 2),
        Pins((Pin(UserId("whatsapp", "b" * 40), KEY, verified=True),) * 500),
        ReadMarks((ReadMark(LONGEST, MESSAGE_ID),) * 256),
        DeviceRequest(unlink=True, capabilities=bytes(MAX_CAPABILITIES_BYTES)),
    ],
)
def test_the_largest_of_each_kind_is_read(content: ControlContent) -> None:
    kind, body = encode_content(content)
    assert len(body) <= MAX_CONTENT_BODY_BYTES
    assert decode_content(kind, body) == content


def test_pins_of_long_names_are_fewer() -> None:
    pin = Pin(LONGEST.user_id, KEY, verified=True)
    most = MAX_CONTENT_BODY_BYTES // len(encode_content(Pins((pin,)))[1])
    _, body = encode_content(Pins((pin,) * most))
    assert len(body) <= MAX_CONTENT_BODY_BYTES
    with pytest.raises(InvalidArgument, match=r"^pins has \d+ bytes encoded"):
        Pins((pin,) * (most + 1))
    with pytest.raises(DecodeError, match="more than"):
        decode_content(PINS, body + encode_content(Pins((pin,)))[1])


def test_the_largest_message_fits_into_a_history_alone() -> None:
    largest = HistoryItem(
        *(LONGEST, LONGEST.user_id, MESSAGE_ID),
        *(2**64 - 1, 2**32 - 1, bytes(MAX_CONTENT_BODY_BYTES)),
    )
    history = History((largest,))
    kind, body = encode_content(history)
    assert encode_content(decode_content(kind, body)) == (kind, body)
    payload = Payload(LONGEST, LONGEST, MESSAGE_ID, 2**32 - 1, 2**64 - 1, history)
    padded = encode_payload(payload)
    assert len(padded) <= MAX_PLAINTEXT_BYTES
    assert encode_payload(decode_payload(padded)) == padded


def test_a_history_has_512_bytes_more_than_other_contents() -> None:
    room = MAX_CONTENT_BODY_BYTES + 512
    _, one = encode_content(History((ITEM,)))
    most = room // len(one)
    _, body = encode_content(History((ITEM,) * most))
    assert MAX_CONTENT_BODY_BYTES < len(body) <= room
    with pytest.raises(InvalidArgument, match=r"^items has \d+ bytes encoded"):
        History((ITEM,) * (most + 1))
    with pytest.raises(DecodeError, match=f"more than the {room}"):
        decode_content(HISTORY, body + one)


def test_what_users_wrote_is_not_shown() -> None:
    assert repr(History((ITEM, ITEM))) == "<History of 2 messages>"
    assert repr(ITEM) == "<HistoryItem: secret>"
    assert "attack" not in str(replace(ITEM, content_body=b"attack"))
