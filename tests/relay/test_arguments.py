# SPDX-License-Identifier: Apache-2.0
"""Wrong arguments are `InvalidArgument` that names the argument, and change nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from e2ecross.errors import InvalidArgument
from e2ecross.relay import Relay
from e2ecross.wire.exchange import KeysWanted
from tests.relay.support import (
    ANA,
    BUDI,
    copies,
    device_list,
    envelope,
    file_bytes,
    published,
    token,
)

KEY = token(ANA)
ENCODED = envelope(ANA, BUDI).encode()
COPIES = copies(ANA, 1, BUDI).encode()
LIST = device_list(ANA).encode()
BOX = bytes(16)


def wanted(relay: Relay, user: Any, devices: Any) -> object:  # noqa: ANN401
    return relay.fetch_keys(ANA, KEY, [KeysWanted(user, devices)])


WRONG: list[tuple[str, Callable[[Any], object]]] = [
    ("address", lambda relay: relay.register("whatsapp:ana.1", KEY)),
    ("token", lambda relay: relay.register(ANA, KEY.hex())),
    ("token", lambda relay: relay.register(ANA, bytearray(KEY))),
    ("token", lambda relay: relay.register(ANA, KEY[:-1])),
    ("token", lambda relay: relay.register(ANA, KEY + b"\0")),
    ("token", lambda relay: relay.publish(None, published(ANA))),
    ("published", lambda relay: relay.publish(KEY, published(ANA).encode())),
    ("token", lambda relay: relay.publish_devices(None, LIST, {})),
    ("token", lambda relay: relay.publish_devices(KEY + b"\0", LIST, {})),
    ("signed_list", lambda relay: relay.publish_devices(KEY, device_list(ANA), {})),
    ("signed_list", lambda relay: relay.publish_devices(KEY, bytearray(LIST), {})),
    ("tokens", lambda relay: relay.publish_devices(KEY, LIST, None)),
    ("tokens", lambda relay: relay.publish_devices(KEY, LIST, [(2, KEY)])),
    ("the keys of tokens", lambda relay: relay.publish_devices(KEY, LIST, {1: KEY})),
    ("the keys of tokens", lambda relay: relay.publish_devices(KEY, LIST, {128: KEY})),
    ("the keys of tokens", lambda relay: relay.publish_devices(KEY, LIST, {"2": KEY})),
    ("the keys of tokens", lambda relay: relay.publish_devices(KEY, LIST, {2: KEY, True: KEY})),
    ("the values of tokens", lambda relay: relay.publish_devices(KEY, LIST, {2: KEY[:-1]})),
    ("the values of tokens", lambda relay: relay.publish_devices(KEY, LIST, {2: KEY.hex()})),
    ("epoch", lambda relay: relay.publish_devices(KEY, LIST, {}, epoch=-1)),
    ("epoch", lambda relay: relay.publish_devices(KEY, LIST, {}, epoch=2**63)),
    ("epoch", lambda relay: relay.publish_devices(KEY, LIST, {}, epoch=None)),
    ("link_id", lambda relay: relay.put_link("0" * 16, 0, b"1", address=ANA, token=KEY)),
    ("link_id", lambda relay: relay.put_link(bytes(15), 0, b"1", address=ANA, token=KEY)),
    ("link_id", lambda relay: relay.get_link(bytes(17), 0)),
    ("slot", lambda relay: relay.put_link(BOX, 3, b"1", address=ANA, token=KEY)),
    ("slot", lambda relay: relay.put_link(BOX, True, b"1", address=ANA, token=KEY)),
    ("slot", lambda relay: relay.get_link(BOX, -1)),
    ("slot", lambda relay: relay.get_link(BOX, None)),
    ("data", lambda relay: relay.put_link(BOX, 0, None, address=ANA, token=KEY)),
    ("data", lambda relay: relay.put_link(BOX, 0, b"", address=ANA, token=KEY)),
    ("data", lambda relay: relay.put_link(BOX, 1, b"")),
    ("address", lambda relay: relay.put_link(BOX, 0, b"1")),
    ("address", lambda relay: relay.put_link(BOX, 2, b"1", address=str(ANA), token=KEY)),
    ("token", lambda relay: relay.put_link(BOX, 0, b"1", address=ANA)),
    ("token", lambda relay: relay.put_link(BOX, 2, b"1", address=ANA, token=KEY[:-1])),
    ("address", lambda relay: relay.one_time_prekey_count(str(ANA), KEY)),
    ("token", lambda relay: relay.one_time_prekey_count(ANA, 5)),
    ("requester", lambda relay: relay.fetch_keys(None, KEY, [KeysWanted(BUDI.user_id, None)])),
    ("token", lambda relay: relay.fetch_keys(ANA, b"", [KeysWanted(BUDI.user_id, None)])),
    ("wanted", lambda relay: relay.fetch_keys(ANA, KEY, 5)),
    ("wanted", lambda relay: relay.fetch_keys(ANA, KEY, "whatsapp:ana")),
    ("an element of wanted", lambda relay: relay.fetch_keys(ANA, KEY, [BUDI])),
    ("user", lambda relay: wanted(relay, BUDI, None)),
    ("devices", lambda relay: wanted(relay, BUDI.user_id, 1)),
    ("devices", lambda relay: wanted(relay, BUDI.user_id, "1")),
    ("devices", lambda relay: wanted(relay, BUDI.user_id, [0])),
    ("devices", lambda relay: wanted(relay, BUDI.user_id, [1, 128])),
    ("devices", lambda relay: wanted(relay, BUDI.user_id, [True])),
    ("devices", lambda relay: wanted(relay, BUDI.user_id, ["1", 1])),
    ("token", lambda relay: relay.deposit_all("", [ENCODED])),
    ("envelopes", lambda relay: relay.deposit_all(KEY, envelope(ANA, BUDI).encode())),
    ("envelopes", lambda relay: relay.deposit_all(KEY, None)),
    ("an element of envelopes", lambda relay: relay.deposit_all(KEY, [envelope(ANA, BUDI)])),
    ("an element of envelopes", lambda relay: relay.deposit_all(KEY, [memoryview(ENCODED)])),
    ("devices", lambda relay: wanted(relay, BUDI.user_id, range(1, 18))),
    ("epochs", lambda relay: relay.deposit_all(KEY, [ENCODED], epochs=5)),
    ("epochs", lambda relay: relay.deposit_all(KEY, [ENCODED], epochs=[(0, 5)])),
    ("epochs", lambda relay: relay.deposit_all(KEY, [ENCODED], epochs={"0": 5})),
    ("epochs", lambda relay: relay.deposit_all(KEY, [ENCODED], epochs={-1: 5})),
    ("epochs", lambda relay: relay.deposit_all(KEY, [ENCODED], epochs={0: 2**63})),
    ("consents", lambda relay: relay.deposit_all(KEY, [ENCODED], consents=[b"", b""])),
    ("consents", lambda relay: relay.deposit_all(KEY, [ENCODED], consents=[bytes(31)])),
    ("consents", lambda relay: relay.deposit_all(KEY, [ENCODED], consents=[None])),
    ("consents", lambda relay: relay.deposit_all(KEY, [ENCODED], consents=b"")),
    ("token", lambda relay: relay.deposit_copies("", COPIES)),
    ("token", lambda relay: relay.deposit_copies(KEY[:-1], COPIES)),
    ("copies", lambda relay: relay.deposit_copies(KEY, None)),
    ("copies", lambda relay: relay.deposit_copies(KEY, [COPIES])),
    ("copies", lambda relay: relay.deposit_copies(KEY, bytearray(COPIES))),
    ("copies", lambda relay: relay.deposit_copies(KEY, copies(ANA, 1, BUDI))),
    ("epochs", lambda relay: relay.deposit_copies(KEY, COPIES, epochs={0: -1})),
    ("epochs", lambda relay: relay.deposit_copies(KEY, COPIES, epochs=5)),
    ("credential", lambda relay: relay.register(ANA, KEY, credential=bytes(4097))),
    ("wait_ms", lambda relay: relay.fetch(ANA, KEY, 1, wait_ms=-1)),
    ("wait_ms", lambda relay: relay.fetch(ANA, KEY, 1, wait_ms=30_001)),
    ("hold_ms", lambda relay: relay.fetch(ANA, KEY, 1, hold_ms=600_001, holder=bytes(16))),
    ("holder", lambda relay: relay.fetch(ANA, KEY, 1, hold_ms=1)),
    ("holder", lambda relay: relay.fetch(ANA, KEY, 1, holder=bytes(16))),
    ("holder", lambda relay: relay.fetch(ANA, KEY, 1, hold_ms=1, holder="0123456789abcdef")),
    ("epochs", lambda relay: relay.deposit_all(KEY, [ENCODED], epochs={0: "5"})),
    ("replaces", lambda relay: relay.register(ANA, KEY, replaces=None)),
    ("replaces", lambda relay: relay.register(ANA, KEY, replaces=KEY[:-1])),
    ("replaces", lambda relay: relay.register(ANA, KEY, replaces=KEY.hex())),
    ("credential", lambda relay: relay.register(ANA, KEY, credential="text")),
    ("address", lambda relay: relay.epochs(str(ANA), KEY)),
    ("token", lambda relay: relay.epochs(ANA, KEY[:-1])),
    ("address", lambda relay: relay.fetch(1, KEY, 1)),
    ("token", lambda relay: relay.fetch(ANA, 1, 1)),
    ("limit", lambda relay: relay.fetch(ANA, KEY, 0)),
    ("limit", lambda relay: relay.fetch(ANA, KEY, 1001)),
    ("limit", lambda relay: relay.fetch(ANA, KEY, True)),
    ("limit", lambda relay: relay.fetch(ANA, KEY, "5")),
    ("after", lambda relay: relay.fetch(ANA, KEY, 1, -1)),
    ("after", lambda relay: relay.fetch(ANA, KEY, 1, 2**63)),
    ("after", lambda relay: relay.fetch(ANA, KEY, 1, None)),
    ("address", lambda relay: relay.acknowledge(None, KEY, [1])),
    ("token", lambda relay: relay.acknowledge(ANA, None, [1])),
    ("numbers", lambda relay: relay.acknowledge(ANA, KEY, 1)),
    ("numbers", lambda relay: relay.acknowledge(ANA, KEY, b"\x01")),
    ("numbers", lambda relay: relay.acknowledge(ANA, KEY, {1})),
    ("numbers", lambda relay: relay.acknowledge(ANA, KEY, [1, "2"])),
    ("numbers", lambda relay: relay.acknowledge(ANA, KEY, [True])),
    ("address", lambda relay: relay.waiting("whatsapp:ana.1")),
]


@pytest.mark.parametrize(("name", "call"), WRONG)
def test_wrong_arguments_are_named(
    relay: Relay, path: Path, name: str, call: Callable[[Any], object]
) -> None:
    before = file_bytes(path)
    with pytest.raises(InvalidArgument, match=rf"^{name} must ") as caught:
        call(relay)
    assert KEY.hex() not in str(caught.value)
    assert repr(KEY) not in str(caught.value)
    assert file_bytes(path) == before


def test_what_this_relay_does_not_use_is_taken(relay: Relay) -> None:
    relay.register(ANA, KEY, credential=bytes(4096))
    for consents in ((), [b""], [bytes(32)]):
        assert relay.deposit_all(KEY, [ENCODED], consents=consents).refused == {}
    relay.deposit_all(token(BUDI), [envelope(BUDI, ANA).encode()])  # or a service waits
    found = relay.fetch(ANA, KEY, 1, wait_ms=30_000, hold_ms=600_000, holder=bytes(16))
    assert len(found) == 1


def test_the_bounds_of_fetch_are_allowed(relay: Relay) -> None:
    assert relay.fetch(ANA, KEY, 1000) == []
    assert relay.fetch(ANA, KEY, 1, 2**63 - 1) == []


@pytest.mark.parametrize(
    "path", ["", ":memory:", "a\0b", b"relay.db", None, 5, pytest.param(Path, id="class")]
)
def test_a_path_that_names_no_file_is_refused(path: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument, match=r"^path must "):
        Relay(path)


@pytest.mark.parametrize("name", ["authorise", "limits", "clock"])
def test_wrong_settings_are_named(tmp_path: Path, name: str) -> None:
    wrong: Any = {name: 5}
    with pytest.raises(InvalidArgument, match=rf"^{name} must "):
        Relay(tmp_path / "relay.db", **wrong)
    assert list(tmp_path.iterdir()) == []
