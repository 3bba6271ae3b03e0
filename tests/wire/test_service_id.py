# SPDX-License-Identifier: Apache-2.0
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.wire.service_id import encode_addresses, encode_service_id
from e2ecross.wire.signal_message import (
    VERSION_4,
    decode_prekey_signal_message,
)
from tests.support.vectors import transcripts, unhex

TEXT = "9d0652a3-dcc3-4d11-975f-74d61598733f"
OTHER = "796abedb-ca4e-4f18-8803-1fde5b921f9f"


@given(st.uuids(), st.booleans(), st.booleans())
def test_a_service_id_is_a_kind_and_a_uuid(value: uuid.UUID, upper: bool, is_pni: bool) -> None:
    text = str(value).upper() if upper else str(value)
    expected = bytes((is_pni,)) + value.bytes
    assert encode_service_id(("PNI:" if is_pni else "") + text) == expected


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ana",
        "pni:" + TEXT,
        "ACI:" + TEXT,
        "PNI:",
        "PNI:PNI:" + TEXT,
        "{" + TEXT + "}",
        "urn:uuid:" + TEXT,
        TEXT.replace("-", ""),
        TEXT + "\n",
        " " + TEXT,
        TEXT[:-1],
        TEXT + "0",
        TEXT.replace("9d", "9g"),
        TEXT.replace("-", "\u2010"),
        TEXT.replace("9", "\u0669"),
        "9d0652a3d-cc3-4d11-975f-74d61598733f",
    ],
)
def test_any_other_name_is_none(name: str) -> None:
    assert encode_service_id(name) is None
    assert encode_addresses(name, 1, TEXT, 1) is None
    assert encode_addresses(TEXT, 1, name, 1) is None


def test_the_field_names_both_ends() -> None:
    expected = b"\0" + uuid.UUID(TEXT).bytes + b"\x01\x01" + uuid.UUID(OTHER).bytes + b"\x7f"
    assert encode_addresses(TEXT, 1, "PNI:" + OTHER, 127) == expected
    for bad in (0, 128, -1):
        assert encode_addresses(TEXT, bad, OTHER, 1) is None
        assert encode_addresses(TEXT, 1, OTHER, bad) is None


@pytest.mark.parametrize("number", [0, 1])
def test_the_recorded_first_messages_have_it(number: int) -> None:
    transcript = transcripts()[number]
    first = unhex(transcript["events"][0]["message"])
    message = decode_prekey_signal_message(first, (VERSION_4,)).message
    ours, peer = transcript["our_address"], transcript["peer_address"]
    sender, recipient = (ours, peer) if transcript["initiator"] == "us" else (peer, ours)
    assert message.addresses == encode_addresses(*sender, *recipient)
