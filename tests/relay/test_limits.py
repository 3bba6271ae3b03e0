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
    assert limits.mailbox_messages_per_sender == 5_000
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


def test_one_sender_cannot_have_more_than_there_is() -> None:
    RelayLimits(mailbox_messages=5, mailbox_messages_per_sender=5)
    with pytest.raises(InvalidArgument, match="mailbox_messages_per_sender must not be more"):
        RelayLimits(mailbox_messages=4, mailbox_messages_per_sender=5)


@pytest.mark.parametrize("name", ["remembered_ms", "requester_window_ms"])
def test_a_time_that_would_fit_into_no_row_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match=name):
        RelayLimits(**{name: 2**62})
