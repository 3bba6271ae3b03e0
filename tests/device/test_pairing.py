# SPDX-License-Identifier: Apache-2.0
"""Linking another device, at device 1: one call that offers, one that signs."""

import pytest

from e2ecross import Device, Policy
from e2ecross.device.own_list import add_device, ensure_own_list
from e2ecross.device.pairing import check_time, confirm_device, offer_device, take_answer
from e2ecross.errors import InvalidArgument, LinkFailed, NotPrimary, NotRegistered
from e2ecross.protocol.linking import LINK_LIFETIME_MS, PrimaryAnswered, begin_companion
from tests.support.accounts import account, device_of, own_account
from tests.support.devices import ANA, FakeClock, dump, make_device
from tests.support.entropy import SeededEntropy
from tests.support.linked import candidate


@pytest.fixture
def phone(clock: FakeClock) -> Device:
    phone = make_device(ANA, clock=clock, policy=Policy(max_devices=2))
    ensure_own_list(phone._context)
    return phone


def ask(phone: Device) -> PrimaryAnswered:
    """A new device that has answered."""
    entropy, now_ms = SeededEntropy("new"), phone._context.clock()
    start = begin_companion("whatsapp", entropy, now_ms)
    offered = offer_device(phone._context, start.code)
    answered = start.take_offer(
        offered.offer, name="laptop", token=bytes(32), entropy=entropy, now_ms=now_ms
    )
    return take_answer(phone._context, offered, answered.answer)


def test_nothing_is_written_before_the_user_has_confirmed(phone: Device, clock: FakeClock) -> None:
    rows = dump(phone._context.store)
    asking = ask(phone)
    assert dump(phone._context.store) == rows
    signed = confirm_device(phone._context, asking)
    assert account(phone, ANA.user_id).held == signed
    assert signed.list.seq == 2
    assert signed.list.find(2) == asking.listed
    (new,), (name,) = own_account(phone).new_devices, own_account(phone).names
    assert (new.device, new.token_hash, new.linked_at_ms) == (2, asking.token_hash, clock.now_ms)
    assert (name.device, name.name) == (2, "laptop")


def test_it_is_signed_once(phone: Device) -> None:
    asking = ask(phone)
    signed = confirm_device(phone._context, asking)
    rows = dump(phone._context.store)
    assert confirm_device(phone._context, asking) == signed
    assert dump(phone._context.store) == rows


def test_it_is_signed_in_time_or_not_at_all(phone: Device, clock: FakeClock) -> None:
    asking = ask(phone)
    rows = dump(phone._context.store)
    clock.advance(LINK_LIFETIME_MS)
    check_time(phone._context, asking.ends_at_ms)
    clock.advance(1)
    for step in (
        lambda: check_time(phone._context, asking.ends_at_ms),
        lambda: confirm_device(phone._context, asking),
    ):
        with pytest.raises(LinkFailed, match="too long"):
            step()
    assert dump(phone._context.store) == rows


def test_an_answer_has_its_time(phone: Device, clock: FakeClock) -> None:
    start = begin_companion("whatsapp", SeededEntropy("new"), clock.now_ms)
    offered = offer_device(phone._context, start.code)
    clock.advance(LINK_LIFETIME_MS + 1)
    with pytest.raises(LinkFailed, match="too long"):
        take_answer(phone._context, offered, b"")


def test_room_is_looked_for_when_it_is_offered_and_when_it_is_signed(phone: Device) -> None:
    asking = ask(phone)
    new = candidate(phone, 7)
    add_device(phone._context, new.entry, "tablet", new.token_hash)
    rows = dump(phone._context.store)
    for step in (lambda: ask(phone), lambda: confirm_device(phone._context, asking)):
        with pytest.raises(InvalidArgument, match="max_devices"):
            step()
    assert dump(phone._context.store) == rows


def test_device_1_alone_with_a_list_offers_anything(clock: FakeClock) -> None:
    with pytest.raises(NotPrimary):
        ask(make_device(device_of(ANA, 2), clock=clock))
    with pytest.raises(NotRegistered):
        ask(make_device(ANA, clock=clock))
