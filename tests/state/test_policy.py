# SPDX-License-Identifier: Apache-2.0
"""`Policy`: its defaults, and that nothing out of range gets in."""

from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from e2ecross import Policy
from e2ecross.errors import InvalidArgument
from tests.support.devices import DAY_MS

_TIMES = ("signed_prekey_max_age_ms", "signed_prekey_kept_ms")
_COUNTS = ("one_time_prekeys_low", "one_time_prekeys_target")
_MESSAGE_COUNTS = (
    "retry_requests_per_peer",
    "retry_requests",
    "resends_per_peer",
    "resends",
)


def test_the_defaults_are_those_that_are_documented() -> None:
    assert {field.name: getattr(Policy(), field.name) for field in fields(Policy)} == {
        "refuse_changed_identity": False,
        "signed_prekey_max_age_ms": 7 * DAY_MS,
        "signed_prekey_kept_ms": 30 * DAY_MS,
        "one_time_prekeys_low": 25,
        "one_time_prekeys_target": 100,
        "accept_changed_identity": False,
        "resend_kept_ms": 7 * DAY_MS,
        "resend_kept_messages": 20_000,
        "delivered_kept_ms": 45 * DAY_MS,
        "retry_requests_per_peer": 1_000,
        "retry_requests": 5_000,
        "resends_per_peer": 1_000,
        "resends": 5_000,
        "minimum_version": 4,
        "accept_version_downgrade": False,
        "require_spqr": True,
        "max_forward_jump": 4_000,
        "max_devices": 5,
        "device_list_max_age_ms": 35 * DAY_MS,
        "device_list_renew_ms": 7 * DAY_MS,
        "capabilities": frozenset({10}),
        "send_delivered_receipts": True,
        "send_read_receipts": True,
        "request_messages": 50,
        "pending_groups": 64,
        "sender_key_max_age_ms": 7 * DAY_MS,
        "attachment_bytes": 2**31,
    }


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("minimum_version", (3, 4), (2, 5, True, "4", None)),
        ("max_devices", (1, 16), (0, 17, True, 4.0)),
        ("device_list_max_age_ms", (8 * DAY_MS, 365 * DAY_MS), (8 * DAY_MS - 1, 366 * DAY_MS)),
        ("device_list_renew_ms", (DAY_MS, 30 * DAY_MS), (DAY_MS - 1, 30 * DAY_MS + 1)),
        ("resend_kept_messages", (0, 10**9), (-1, 10**9 + 1, True, 1.0)),
        ("max_forward_jump", (1, 25_000), (0, 25_001, -1, 4.0)),
        ("max_devices", (1, 16), (0, 17, True, "5", None)),
        ("accept_version_downgrade", (True, False), (0, 1, None)),
        (
            "capabilities",
            (frozenset(), frozenset({10, 13, 20, 32, 33})),
            ({10}, [10], None, frozenset({13}), frozenset({10, 11}), frozenset({10, 34})),
        ),
        ("require_spqr", (True, False), (0, 1, None)),
        (
            "capabilities",
            (frozenset(), frozenset({10}), frozenset({10, *range(13, 21), 32, 33})),
            ({10}, (10,), None, frozenset({13}), frozenset({10, 11}), frozenset({10, 35})),
        ),
        ("send_delivered_receipts", (True, False), (0, 1, None)),
        ("send_read_receipts", (True, False), (0, 1, None)),
        ("request_messages", (0, 50, 1_000), (-1, 1_001, True, "1", None, 50.0)),
        ("pending_groups", (0, 64, 1_000), (-1, 1_001, True, "1", None, 50.0)),
        (
            "sender_key_max_age_ms",
            (60 * 60 * 1000, 30 * DAY_MS),
            (60 * 60 * 1000 - 1, 30 * DAY_MS + 1, True, "1"),
        ),
        ("attachment_bytes", (0, 2**36), (-1, 2**36 + 1, True, "1")),
    ],
)
def test_settings_within_bounds(name: str, good: tuple[Any, ...], bad: tuple[Any, ...]) -> None:
    for value in good:
        assert getattr(Policy(**{name: value}), name) == value
    for value in bad:
        with pytest.raises(InvalidArgument, match=name):
            Policy(**{name: value})


def test_a_policy_cannot_be_changed_afterwards() -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(Policy(), "one_time_prekeys_low", 5)  # noqa: B010


@pytest.mark.parametrize("name", _TIMES)
def test_times_are_from_a_millisecond_to_ten_years(name: str) -> None:
    for value in (1, 3650 * DAY_MS):
        settings: dict[str, Any] = {name: value}
        assert getattr(Policy(**settings), name) == value
    for bad in (0, -1, 3650 * DAY_MS + 1, 1.0, "1", None, True):
        wrong: dict[str, Any] = {name: bad}
        with pytest.raises(InvalidArgument, match=rf"\b{name}\b"):
            Policy(**wrong)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("resend_kept_ms", 1, 30 * DAY_MS),
        ("delivered_kept_ms", 31 * DAY_MS, 3650 * DAY_MS),
        ("device_list_max_age_ms", 8 * DAY_MS, 365 * DAY_MS),
        ("device_list_renew_ms", DAY_MS, 30 * DAY_MS),
        *((name, 0, 1_000_000) for name in _MESSAGE_COUNTS),
    ],
)
def test_settings_have_bounds(name: str, low: int, high: int) -> None:
    for value in (low, high):
        settings: dict[str, Any] = {name: value}
        assert getattr(Policy(**settings), name) == value
    for bad in (low - 1, high + 1, -1, float(low), str(low), None, True):
        wrong: dict[str, Any] = {name: bad}
        with pytest.raises(InvalidArgument, match=rf"\b{name}\b"):
            Policy(**wrong)


def test_received_messages_are_remembered_for_longer_than_anybody_may_send_again() -> None:
    longest = Policy(resend_kept_ms=30 * DAY_MS)
    for days in (1, 30):
        with pytest.raises(InvalidArgument, match="delivered_kept_ms"):
            Policy(delivered_kept_ms=days * DAY_MS)
    assert longest.resend_kept_ms < Policy(delivered_kept_ms=31 * DAY_MS).delivered_kept_ms


@pytest.mark.parametrize("name", _COUNTS)
def test_counts_are_whole_numbers_within_a_publication(name: str) -> None:
    for bad in (-1, 1001, 5.0, "5", None, True):
        settings: dict[str, Any] = {name: bad}
        with pytest.raises(InvalidArgument, match=rf"\b{name}\b"):
            Policy(**settings)


def test_the_refill_mark_is_at_most_the_target() -> None:
    assert Policy(one_time_prekeys_low=0, one_time_prekeys_target=0).one_time_prekeys_target == 0
    assert Policy(one_time_prekeys_low=1000, one_time_prekeys_target=1000)
    with pytest.raises(InvalidArgument, match="one_time_prekeys_low"):
        Policy(one_time_prekeys_low=11, one_time_prekeys_target=10)


@pytest.mark.parametrize("name", ["refuse_changed_identity", "accept_changed_identity"])
def test_refusing_and_accepting_is_a_plain_yes_or_no(name: str) -> None:
    for bad in (0, 1, "yes", None):
        settings: dict[str, Any] = {name: bad}
        with pytest.raises(InvalidArgument, match=name):
            Policy(**settings)


def test_a_changed_identity_is_not_both_refused_and_accepted() -> None:
    with pytest.raises(InvalidArgument, match="both refused and accepted"):
        Policy(refuse_changed_identity=True, accept_changed_identity=True)
