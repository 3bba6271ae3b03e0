# SPDX-License-Identifier: Apache-2.0
"""What `receive` hands out: failures in their places, in order, and at most so many."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from e2ecross import Client, Envelope, FailedMessage, Message, Policy, Text, UnsupportedContent
from e2ecross.client import sending_calls
from e2ecross.device.composing import Draft
from e2ecross.errors import (
    AuthenticationFailed,
    BackendError,
    DecodeError,
    DuplicateMessage,
    EnvelopeMismatch,
    IdentityChangedError,
    RemoteError,
)
from e2ecross.wire.exchange import Waiting
from tests.client.conversation import ask, meet, names, reopen, send, shown
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    TOKO,
    BackendSimulator,
    garbage,
    make_client,
    make_device,
    new_bundle,
)
from tests.support.store_kinds import STRIPES

# --- Failures in their places ---------------------------------------------------------------


def test_a_message_that_cannot_be_read_stands_in_its_place_and_stops_nothing(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "one", "two", "three")
    broken = backend.waiting(BUDI)[1]
    backend.rewrite(BUDI, 1, lambda data: data[:-1] + bytes((data[-1] ^ 1,)))
    items = budi.receive()
    assert shown(items) == ["one", "!authentication_failed", "three"]
    failed = items[1]
    assert isinstance(failed, FailedMessage)
    assert isinstance(failed.error, AuthenticationFailed)
    assert (failed.sender, failed.message_id) == (ANA, broken.message_id)
    assert not failed.redelivered
    assert backend.free(BUDI) == []  # final: acknowledged
    budi.confirm(items)
    assert backend.mailbox(BUDI) == []
    assert budi.receive() == []
    # The genuine copy still opens.
    backend.inject(BUDI, broken.encode())
    assert shown(budi.receive()) == ["two"]


@pytest.mark.parametrize("data", garbage())
def test_garbage_from_the_back_end_is_a_failure_of_nobody(
    data: bytes, pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    backend.inject(BUDI, data)
    send(ana, BUDI, "halo")
    items = budi.receive()
    assert shown(items) == ["!decode_error", "halo"]
    assert names(items)[0] == (None, None)
    budi.confirm(items)
    assert reopen(budi, backend).receive() == []


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda e: replace(e, recipient=TOKO), EnvelopeMismatch),
        (lambda e: replace(e, sender=BUDI), EnvelopeMismatch),
        (lambda e: replace(e, message_id=MESSAGE_ID), EnvelopeMismatch),
        (lambda e: replace(e, ciphertext=b"\x33"), DecodeError),
    ],
)
def test_a_rewritten_envelope_is_a_failure(
    change: Callable[[Envelope], Envelope],
    error: type[RemoteError],
    pair: tuple[Client, Client],
    backend: BackendSimulator,
) -> None:
    ana, budi = pair
    send(ana, BUDI, "halo")
    genuine = backend.mailbox(BUDI)[0]
    backend.rewrite(BUDI, 0, lambda data: change(Envelope.decode(data)).encode())
    (item,) = budi.receive()
    assert isinstance(item, FailedMessage)
    assert type(item.error) is error
    backend.inject(BUDI, genuine)
    assert shown(budi.receive()) == ["halo"]


def test_a_replayed_message_is_a_failure_and_is_not_shown_again(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "halo")
    backend.replay(BUDI, 0)
    items = budi.receive()
    assert shown(items) == ["halo", "!duplicate_message"]
    assert isinstance(cast("FailedMessage", items[1]).error, DuplicateMessage)


def test_messages_come_in_the_order_of_the_mailbox_whatever_it_is(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "0", "1", "2", "3", "4")
    backend.reorder(BUDI, (3, 0, 4, 2, 1))
    backend.drop(BUDI, 1)
    assert shown(budi.receive()) == ["3", "4", "2", "1"]


def test_content_of_a_newer_sender_is_a_message(
    pair: tuple[Client, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, budi = pair
    monkeypatch.setattr(
        sending_calls, "draft_of", lambda content, *_, **__: Draft(content, content)
    )
    later: Any = UnsupportedContent(12, b"a later format")
    ana.send(BUDI, later)
    (item,) = budi.receive()
    assert isinstance(item, Message)
    assert item.content == UnsupportedContent(12, b"a later format")


def test_a_message_under_a_new_identity_is_flagged_or_refused_by_policy(
    backend: BackendSimulator,
) -> None:
    for address, policy in ((ANA, None), (TOKO, Policy(refuse_changed_identity=True))):
        client = make_client(address, backend, policy=policy)
        for seed in ("old", "new"):
            budi = make_device(BUDI, seed=seed)
            budi.start_session(new_bundle(client.device, kyber=True))
            backend.inject(address, budi.encrypt(address, Text(seed)).encode())
        old, new = client.receive()
        assert isinstance(old, Message)
        assert not old.identity_changed
        if policy is None:
            assert isinstance(new, Message)
            assert new.identity_changed
        else:
            assert isinstance(new, FailedMessage)
            assert isinstance(new.error, IdentityChangedError)
            assert (new.error.address, new.error.identity_key) == (BUDI, budi.identity_key)
            client.device.accept_identity(BUDI, new.error.identity_key)
        # From the inbox they come as they came the first time.
        again = reopen(client, backend).receive()
        assert again[0] == replace(old, redelivered=True)
        assert shown(again) == shown([old, new])


# --- Limits ---------------------------------------------------------------------------------


def test_a_limit_bounds_what_is_taken_from_the_back_end(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "0", "1", "2", "3", "4")
    assert shown(budi.receive(limit=2)) == ["0", "1"]
    assert len(backend.free(BUDI)) == 3
    assert shown(budi.receive(limit=2)) == ["2", "3"]
    assert shown(budi.receive(limit=2)) == ["4"]


def test_items_that_wait_in_the_inbox_come_before_the_back_end_is_asked(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "0", "1", "2")
    budi.receive()
    send(ana, BUDI, "3")
    again = reopen(budi, backend)
    calls = len(backend.calls)
    items = again.receive(limit=2)
    assert shown(items) == ["0", "1"]
    asked = backend.calls[calls:]
    assert "fetch" not in asked
    if STRIPES:  # one of many workers begins with its upkeep, and confirms what it has got
        again.confirm(items)
    else:
        assert not asked
    items = again.receive(limit=2)
    assert shown(items) == ["2", "3"]
    assert [item.redelivered for item in items] == [True, False]


def test_what_comes_while_it_waits_is_returned_by_that_call(
    pair: tuple[Client, Client], backend: BackendSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, budi = pair
    waiting, fetch = Client(budi.device, backend, wait_ms=25_000), backend.fetch

    def until_it_is_there(*args: Any, wait_ms: int = 0, **options: Any) -> list[Waiting]:  # noqa: ANN401
        waited.append(wait_ms)
        if wait_ms:
            send(ana, BUDI, "halo")
        return fetch(*args, wait_ms=wait_ms, **options)

    waited: list[int] = []
    monkeypatch.setattr(backend, "fetch", until_it_is_there)
    assert shown(waiting.receive()) == ["halo"]
    assert waited[:2] == [0, 25_000]  # so nothing that is due waits for mail


@pytest.mark.parametrize("method", ["epochs", "fetch"])
def test_what_has_failed_is_told_at_once(
    pair: tuple[Client, Client], backend: BackendSimulator, method: str
) -> None:
    waiting = Client(pair[1].device, backend, wait_ms=25_000)
    backend.fail(method)
    with pytest.raises(BackendError):
        waiting.receive()
    assert "fetch" not in backend.calls[len(backend.calls) - backend.calls[::-1].index(method) :]


def test_no_more_is_taken_in_than_can_be_handed_over(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    """What the app has not confirmed counts, so that the inbox does not grow."""
    ana, budi = pair
    for number in range(6):
        send(ana, BUDI, str(number))
    assert len(budi.receive(limit=2)) == 2
    again = reopen(budi, backend)
    assert len(again.receive(limit=3)) == 3  # two of before, and one more
    assert len(backend.free(BUDI)) == 3


# --- Until there is something for the app ----------------------------------------------------


def test_what_is_not_for_the_app_ends_no_loop_of_it(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    """An empty answer means that nothing waits: an app receives until it gets one."""
    ana, budi = pair
    for number in range(4):
        ask(ana, BUDI, number.to_bytes(16))  # its client has that, and the app nothing
    send(ana, BUDI, "halo")
    assert len(backend.free(BUDI)) == 5
    assert shown(budi.receive(limit=1)) == ["halo"]
    assert budi.receive(limit=1) == []


def test_what_is_gone_through_is_so_once_and_costs_no_more_than_it_has_to(
    pair: tuple[Client, Client], backend: BackendSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also at a back end that hands out again what it has been told of; keys are looked at once."""
    ana, budi = pair
    meet(ana, budi)
    for number in range(4):
        ask(ana, BUDI, number.to_bytes(16), fresh_session=number == 3)  # which uses a prekey
    backend.reorder(BUDI, (3, 0, 1, 2))
    monkeypatch.setattr(backend, "acknowledge", lambda *_: None)
    before = len(backend.calls)
    assert budi.receive(limit=2) == []
    made = backend.calls[before:]
    assert made.count("fetch") == 3
    assert made.count("one_time_prekey_count") == 1


@pytest.mark.skipif(bool(STRIPES), reason="what one of many workers is shown no other gets")
def test_what_another_client_was_faster_with_ends_no_loop_of_the_app(
    pair: tuple[Client, Client], backend: BackendSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, budi = pair
    send(ana, BUDI, "0", "1", "2", "3", "4")
    other, fetch = Client(budi.device, backend), backend.fetch

    def while_the_other_one_goes_on(*args: Any, **options: Any) -> list[Waiting]:  # noqa: ANN401
        monkeypatch.setattr(backend, "fetch", fetch)
        page = fetch(*args, **options)
        others = other.receive(len(page))
        assert shown(others) == ["0", "1", "2", "3", "4"][: len(page)]
        other.confirm(others)
        return page

    monkeypatch.setattr(backend, "fetch", while_the_other_one_goes_on)
    assert shown(budi.receive(limit=2)) == ["2", "3"]
