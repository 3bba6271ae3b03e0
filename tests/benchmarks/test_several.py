# SPDX-License-Identifier: Apache-2.0
"""Rows of accounts: the copies are those that the table says, and so are the signatures."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import pytest

from benchmarks import floor
from benchmarks.contestants import lists, several
from benchmarks.contestants.devices import STORES
from benchmarks.contestants.several import further_measures, several_makers, with_account
from benchmarks.job import Job, Step
from e2ecross import Bytes, Envelope, Message, MessageKind
from e2ecross.relay import Relay
from e2ecross.wire.exchange import Deposited

MEMORY = STORES["memory"]
VERIFY = "e2ecross.protocol.device_list.verify_signature"

Deposits = list[list[Envelope]]


def job_of(operation: str, **parameters: int) -> Job:
    return Job(operation, {"bytes": 100, **parameters}, 1, 1, 1)


@pytest.fixture
def deposits(monkeypatch: pytest.MonkeyPatch) -> Deposits:
    """What every relay is handed, call by call."""
    calls: Deposits = []
    genuine = Relay.deposit_all

    def deposit_all(
        self: Relay,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int],
        consents: Sequence[bytes],
    ) -> Deposited:
        calls.append([Envelope.decode(envelope) for envelope in envelopes])
        return genuine(self, token, envelopes, epochs=epochs, consents=consents)

    monkeypatch.setattr(Relay, "deposit_all", deposit_all)
    return calls


@pytest.mark.parametrize("store", ["memory", "sealed"])
@pytest.mark.parametrize("devices", [1, 3, 5])
def test_every_device_gets_its_copy_in_one_call(
    store: str, devices: int, deposits: Deposits
) -> None:
    with ExitStack() as cleanup:
        make = several_makers(STORES[store])["client_send_devices"]
        step = make(job_of("client_send_devices", devices=devices), cleanup)
        step()
        step()
    for call in deposits:
        assert [each.recipient.device for each in call] == [*range(1, devices + 1)]
        assert {each.kind for each in call} == {MessageKind.SIGNAL}  # nothing is started for it
    assert len(deposits) == 2


def test_what_is_measured_can_be_read() -> None:
    with ExitStack() as cleanup:
        ana, budis = with_account(STORES["sealed"], 3, cleanup)
        results = ana.encrypt_many([budi.address for budi in budis], Bytes(b"halo"))
        for budi, envelope in zip(budis, results, strict=True):
            assert isinstance(envelope, Envelope)
            message = budi.decrypt(envelope)
            assert isinstance(message, Message)
            assert message.content == Bytes(b"halo")


@pytest.mark.parametrize(("accounts", "devices"), [(1, 3), (3, 1)])
def test_a_first_contact_is_one_with_every_device(
    accounts: int, devices: int, deposits: Deposits
) -> None:
    job = job_of("client_first_contact", accounts=accounts, devices=devices)
    with ExitStack() as cleanup:
        step = several_makers(MEMORY)["client_first_contact"](job, cleanup)
        step()
        step()
    assert [len(call) for call in deposits] == [devices] * 2 * accounts
    envelopes = [each for call in deposits for each in call]
    assert {each.kind for each in envelopes} == {MessageKind.PREKEY}
    assert len({each.recipient for each in envelopes}) == 2 * 3


def test_a_copy_that_is_missing_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    publish = several._publish_account
    monkeypatch.setattr(
        several, "_publish_account", lambda relay, devices: publish(relay, devices[:-1])
    )
    with ExitStack() as cleanup:
        step = several_makers(MEMORY)["client_send_devices"](job_of("", devices=3), cleanup)
        with pytest.raises(ValueError, match="not 3 copies"):
            step()


def test_a_further_device_is_the_difference_by_the_devices_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0

    def prepare(store: object, job: Job, number: int, cleanup: ExitStack) -> Step:
        def step() -> None:
            nonlocal now
            now += 7 + 3 * number

        return step

    monkeypatch.setattr(several, "perf_counter", lambda: now)
    assert several._further(MEMORY, prepare)(job_of("", fewer=1, more=5)) == 3


@pytest.mark.parametrize(
    ("operation", "sizes"),
    [
        ("client_send_further", {1, 3}),
        ("client_encrypt_further", set()),
        ("encrypt_many_further", set()),
    ],
)
def test_the_relay_is_in_the_difference_where_the_table_says_so(
    operation: str, sizes: set[int], deposits: Deposits
) -> None:
    further_measures(MEMORY)[operation](job_of(operation, fewer=1, more=3))
    assert {len(call) for call in deposits} == sizes


def test_the_floor_verifies_the_signatures_of_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of("verify_list", devices=3)
    signed = lists._signed(job)
    whole: list[tuple[bytes, ...]] = []
    alone: list[tuple[bytes, ...]] = []
    monkeypatch.setattr(lists, "_signed", lambda job: signed)
    monkeypatch.setattr(VERIFY, lambda *signature: whole.append(signature))
    monkeypatch.setattr(floor, "verify", lambda *signature: alone.append(signature))
    with ExitStack() as cleanup:
        lists.verify_whole(job, cleanup)()
        lists.verify_alone(job, cleanup)()
    assert alone == whole
    assert len(whole) == 3
