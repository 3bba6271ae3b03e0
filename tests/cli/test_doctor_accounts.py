# SPDX-License-Identifier: Apache-2.0
"""`doctor` about lists of devices: each finding provoked on a real store, without a name in it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from e2ecross import Client, Policy
from e2ecross.stores import SQLiteStore
from tests.cli.test_doctor import NOW_MS, Home
from tests.support.accounts import (
    change_account,
    device_of,
    hold_list,
    own_account,
    put_own,
    sign_devices,
)
from tests.support.devices import (
    ANA,
    BUDI,
    DAY_MS,
    TOKO,
    BackendSimulator,
    make_client,
    make_device,
)
from tests.support.linked import link

POLICY = Policy()


@dataclass
class Phone:
    """Device 1 at a back end, whose clock is behind that of `doctor` for a while."""

    home: Home
    backend: BackendSimulator
    age_ms: int = 0

    @contextmanager
    def client(self) -> Iterator[Client]:
        with SQLiteStore(self.home.path) as store:
            yield make_client(ANA, self.backend, store, clock=lambda: NOW_MS - self.age_ms)

    def note(self, client: Client, **changes: object) -> None:
        record = own_account(client.device)
        put_own(client.device, replace(record, **changes))  # type: ignore[arg-type]

    def out(self) -> str:
        return " ".join(self.home.examine().out.split())


@pytest.fixture
def phone(tmp_path: Path) -> Phone:
    folder = tmp_path / "home"
    folder.mkdir()
    return Phone(Home(folder / "ana.db"), BackendSimulator())


def test_a_registered_device_1_has_a_list_and_no_finding(phone: Phone) -> None:
    with phone.client():
        pass
    assert phone.home.findings() == (set(), set())
    assert "own list number 1, 0 days old; 1 device lists of others 0 known" in phone.out()


def test_a_device_without_a_client_has_none(phone: Phone) -> None:
    with phone.home.device():
        pass
    assert "own list none lists of others" in phone.out()


def test_a_device_that_was_linked_and_has_no_keys_is_worth_knowing(phone: Phone) -> None:
    with phone.client() as client:
        link(client, phone.backend)
    assert phone.home.findings()[1] >= {"devices_without_keys"}
    assert "2 devices" in phone.out()
    assert "1 device without keys so far" in phone.out()


def _unpublished(phone: Phone, client: Client) -> None:
    phone.note(client, published=False)


def _must_reset(phone: Phone, client: Client) -> None:
    phone.note(client, published=False, must_reset=True)


def _conflict(phone: Phone, client: Client) -> None:
    phone.note(client, published=False, conflict=True)


def _hosting(phone: Phone, client: Client) -> None:
    hold_list(client.device, sign_devices(make_device(BUDI, clock=lambda: NOW_MS), hosting=2))
    change_account(client.device, BUDI.user_id, hosting_unseen=True)


@pytest.mark.parametrize(
    ("provoke", "problem"),
    [
        (_unpublished, "own_list_unpublished"),
        (_must_reset, "own_list_must_reset"),
        (_conflict, "own_list_conflict"),
        (_hosting, "hosting_unseen"),
    ],
)
def test_a_problem_is_found(
    phone: Phone, provoke: Callable[[Phone, Client], None], problem: str
) -> None:
    with phone.client() as client:
        provoke(phone, client)
    assert phone.home.findings() == ({problem}, set())


@pytest.mark.parametrize(
    ("age_ms", "problem"),
    [
        (POLICY.device_list_renew_ms, "own_list_old"),
        (POLICY.device_list_max_age_ms - DAY_MS, "own_list_old"),
        (POLICY.device_list_max_age_ms + DAY_MS, "own_list_expired"),
    ],
)
def test_an_old_own_list_is_found(phone: Phone, age_ms: int, problem: str) -> None:
    phone.age_ms = age_ms
    with phone.client():
        pass
    found = phone.home.findings()[0]
    assert {code for code in found if code.startswith("own_list")} == {problem}
    assert f"own list number 1, {age_ms // DAY_MS} days old" in phone.out()


def test_lists_of_others_are_worth_knowing(phone: Phone) -> None:
    with phone.client() as client:
        budi, toko = make_device(BUDI), make_device(TOKO, clock=lambda: NOW_MS)
        hold_list(client.device, sign_devices(budi))  # signed years ago
        hold_list(client.device, sign_devices(toko))
        rival = sign_devices(toko, make_device(device_of(TOKO, 2)))
        change_account(client.device, TOKO.user_id, rival=rival)
    assert phone.home.findings() == (set(), {"lists_expired", "lists_forked"})
    assert "lists of others 2 known, 1 too old, 1 in conflict" in phone.out()


def test_neither_names_nor_users_nor_keys_are_printed(phone: Phone) -> None:
    with phone.client() as client:
        laptop = link(client, phone.backend)
        names = own_account(client.device).names
        phone.note(client, names=tuple(each._replace(name="Ana's laptop") for each in names))
        hold_list(client.device, sign_devices(make_device(BUDI)))
        keys = [client.device.identity_key, laptop.device.identity_key]
    for options in ((), ("--json",)):
        out = phone.home.examine(*options).out.replace(str(phone.home.path), "").lower()
        for hidden in ("laptop", "budi", "ana", *(key.hex() for key in keys)):
            assert hidden not in out
