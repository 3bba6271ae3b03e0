# SPDX-License-Identifier: Apache-2.0
from dataclasses import fields

import pytest

from e2ecross.errors import InvalidArgument
from e2ecross.relay import RelayLimits
from e2ecross.wire.limits import MAX_ENVELOPE_BYTES


def test_the_defaults_are_those_that_the_house_names() -> None:
    limits = RelayLimits()
    assert limits.envelope_bytes == 131_072
    assert limits.mailbox_messages == 10_000
    assert limits.mailbox_reserve_per_sender == 10
    assert limits.mailbox_reserve == 1_000
    assert limits.fetch_messages == 1_000


def test_every_limit_is_documented() -> None:
    for field in fields(RelayLimits):
        assert f"    {field.name}: " in (RelayLimits.__doc__ or "")


@pytest.mark.parametrize("name", [field.name for field in fields(RelayLimits)])
@pytest.mark.parametrize("value", [0, -1, True, 1.5, "7", None, 2**63])
def test_a_limit_that_is_none_is_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidArgument, match=name):
        RelayLimits(**{name: value})  # type: ignore[arg-type]


def test_the_size_of_an_envelope_can_only_be_lowered() -> None:
    assert RelayLimits(envelope_bytes=1).envelope_bytes == 1
    with pytest.raises(InvalidArgument, match="envelope_bytes"):
        RelayLimits(envelope_bytes=MAX_ENVELOPE_BYTES + 1)


def test_what_can_be_handed_out_must_be_remembered() -> None:
    RelayLimits(one_time_prekeys=5, handed_out_prekeys=5)
    with pytest.raises(InvalidArgument, match="handed_out_prekeys"):
        RelayLimits(one_time_prekeys=5, handed_out_prekeys=4)


@pytest.mark.parametrize(
    ("messages", "reserve"),
    [(1, 0), (9, 0), (10, 1), (19, 1), (20, 2), (100_000, 10_000), (2**63 - 1, (2**63 - 1) // 10)],
)
def test_a_tenth_more_is_reserved(messages: int, reserve: int) -> None:
    assert RelayLimits(mailbox_messages=messages).mailbox_reserve == reserve


def test_one_user_alone_cannot_get_into_the_reserve() -> None:
    RelayLimits(mailbox_messages=10, mailbox_reserve_per_sender=10)
    with pytest.raises(InvalidArgument, match="mailbox_reserve_per_sender must not be more"):
        RelayLimits(mailbox_messages=10, mailbox_reserve_per_sender=11)
    RelayLimits(mailbox_messages=9, mailbox_reserve_per_sender=11)  # there is none to get into


@pytest.mark.parametrize("name", ["remembered_ms", "requester_window_ms"])
def test_a_time_that_would_fit_into_no_row_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match=name):
        RelayLimits(**{name: 2**62})
