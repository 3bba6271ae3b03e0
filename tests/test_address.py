# SPDX-License-Identifier: Apache-2.0
import pickle
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.address import DEFAULT_DEVICE, MAX_DEVICE, Address, App, UserId
from e2ecross.errors import InvalidArgument

apps = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=32)
users = st.text("abcdefghijklmnopqrstuvwxyz0123456789_+-", min_size=1, max_size=64)
devices = st.integers(1, 127)

BAD_APPS: list[Any] = ["", "a" * 33, "WhatsApp", "what sapp", "a.b", "a:b", "a_b", "a+b", "é"]
BAD_APPS += ["whatsapp\n", "\u0661", "\uff41", None, b"whatsapp", 1]
BAD_USERS: list[Any] = ["", "a" * 65, "Ana", "a.b", "a:b", "a b", "a@b", "é", "ana\n", "\u0661"]
BAD_USERS += [None, b"ana", 1]
BAD_DEVICES: list[Any] = [0, -1, 128, 2**32 + 1, True, False, 1.0, "1", None]


@given(apps, users, devices)
def test_address_survives_its_text(app: str, user: str, device: int) -> None:
    address = Address(app, user, device)
    assert str(address) == f"{app}:{user}.{device}"
    assert Address.parse(str(address)) == address
    assert address.user_id == UserId(app, user)
    assert str(address.user_id) == f"{app}:{user}"
    assert Address.parse(str(address.user_id)) == Address(app, user)


def test_device_is_1_unless_told_otherwise() -> None:
    assert Address("whatsapp", "ana").device == DEFAULT_DEVICE == 1
    assert Address.parse("whatsapp:ana").device == 1
    assert Address.parse("instagram:budi.2") == Address(App.INSTAGRAM, "budi", 2)


@pytest.mark.parametrize("device", [1, 2, 126, 127])
def test_devices_are_1_to_127(device: int) -> None:
    assert Address("whatsapp", "ana", device).device == device
    assert MAX_DEVICE == 127


def test_longest_parts_are_accepted() -> None:
    assert str(Address("a" * 32, "b" * 64, 127)) == "a" * 32 + ":" + "b" * 64 + ".127"


@pytest.mark.parametrize("app", BAD_APPS)
def test_bad_app_is_refused(app: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument, match="app must be"):
        Address(app, "ana")
    with pytest.raises(InvalidArgument, match="app must be"):
        UserId(app, "ana")


@pytest.mark.parametrize("user", BAD_USERS)
def test_bad_user_is_refused(user: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument, match="user must be"):
        Address("whatsapp", user)
    with pytest.raises(InvalidArgument, match="user must be"):
        UserId("whatsapp", user)


@pytest.mark.parametrize("device", BAD_DEVICES)
def test_bad_device_is_refused(device: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument, match="device must be"):
        Address("whatsapp", "ana", device)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whatsapp",
        "whatsapp:",
        ":ana",
        ":",
        "whatsapp:ana.",
        "whatsapp:ana.0",
        "whatsapp:ana.01",
        "whatsapp:ana.+1",
        "whatsapp:ana.-1",
        "whatsapp:ana. 1",
        "whatsapp:ana.1 ",
        "whatsapp:ana.1\n",
        "whatsapp:ana.1.1",
        "whatsapp:ana.128",
        "whatsapp:ana.1000",
        "whatsapp:ana.\u0661",
        "whatsapp:ana:1",
        "whatsapp::ana",
        " whatsapp:ana",
        "WHATSAPP:ana",
        "whatsapp:Ana",
    ],
)
def test_any_other_spelling_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        Address.parse(text)


@pytest.mark.parametrize("text", [None, b"whatsapp:ana", 1])
def test_what_is_no_text_is_refused(text: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument, match="text must be a string"):
        Address.parse(text)


@given(st.text(max_size=30) | st.text("ab.:1", max_size=8))
def test_arbitrary_text_is_an_address_in_its_spelling_or_refused(text: str) -> None:
    try:
        address = Address.parse(text)
    except InvalidArgument:
        return
    assert text in (str(address), str(address.user_id))


def test_known_apps_are_app_and_others_are_text() -> None:
    assert Address("whatsapp", "ana").app is App.WHATSAPP
    assert UserId("messenger", "ana").app is App.MESSENGER
    assert Address(App.INSTAGRAM, "ana").app is App.INSTAGRAM
    unknown = Address("signal-2", "ana").app
    assert unknown == "signal-2"
    assert not isinstance(unknown, App)
    assert {app.value for app in App} == {"whatsapp", "instagram", "messenger"}


def test_same_address_is_one_key_however_it_was_made() -> None:
    addresses = {
        Address("whatsapp", "ana"),
        Address(App.WHATSAPP, "ana", 1),
        Address.parse("whatsapp:ana"),
        Address.parse("whatsapp:ana.1"),
    }
    assert len(addresses) == 1
    assert Address("whatsapp", "ana", 2) not in addresses
    assert Address("instagram", "ana") not in addresses


def test_addresses_are_ordered_by_app_user_and_device() -> None:
    ordered = [
        Address("instagram", "z", 1),
        Address("whatsapp", "ana", 2),
        Address("whatsapp", "ana", 10),
        Address("whatsapp", "budi", 1),
    ]
    shuffled = [ordered[i] for i in (3, 1, 0, 2)]
    assert sorted(shuffled) == ordered
    assert UserId("instagram", "z") < UserId("whatsapp", "ana")


def test_address_cannot_be_changed_but_pickled() -> None:
    address = Address("whatsapp", "ana", 3)
    with pytest.raises(FrozenInstanceError):
        address.device = 4  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(address)) == address  # noqa: S301
