# SPDX-License-Identifier: Apache-2.0
"""What becomes of what waits in the outbox."""

from e2ecross import Device, FailedMessage, Notice, NoticeKind, RetryRequest
from e2ecross.device.settling import give_up, hold_for_decision
from e2ecross.state.inbox import walk_inbox
from e2ecross.state.outbox import Lane, LaneName, list_lane, put_request
from tests.support.devices import ANA, BUDI, introduce, make_device

LANE = Lane(LaneName.REQUESTS, BUDI)
KEYS = [make_device(BUDI, seed=seed).identity_key for seed in ("one", "another")]


def held(device: Device) -> list[bytes]:
    """The keys that the app has been told to decide about, in order."""
    context = device._context
    with context.store.transaction() as tx:
        items = [item for _, item in walk_inbox(context, tx)]
    keys = []
    for item in items:
        assert isinstance(item, Notice)
        assert item.kind is NoticeKind.IDENTITY_PENDING
        keys.append(item.identity_key)
    return keys


def test_what_a_lane_waits_for_is_said_once_for_each_key() -> None:
    device = make_device(ANA)
    context = device._context
    hold_for_decision(context, LANE, KEYS[0])  # nothing waits there yet
    assert held(device) == []
    with context.store.transaction() as tx:
        put_request(tx, BUDI, bytes(16), RetryRequest(bytes(16), None, 0, "decode_error"))
    for key in (KEYS[0], KEYS[0], KEYS[1], KEYS[1]):
        hold_for_decision(context, LANE, key)
    assert held(device) == KEYS


def test_what_somebody_else_has_given_up_is_told_once() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    context = ana._context
    with context.store.transaction() as tx:
        put_request(tx, BUDI, bytes(16), RetryRequest(bytes(16), None, 0, "decode_error"))
        (waiting,) = list_lane(tx, LANE)
        for _ in range(2):
            give_up(context, tx, waiting, "unknown_recipient")
        (item,) = [item for _, item in walk_inbox(context, tx)]
    assert isinstance(item, FailedMessage)
    assert (item.sender, item.message_id, item.retrying) == (BUDI, bytes(16), False)
