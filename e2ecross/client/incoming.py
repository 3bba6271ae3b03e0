# SPDX-License-Identifier: Apache-2.0
"""Receiving through a back end: from waiting envelopes to items in the inbox.

Rules:
- Decrypt and keep in the inbox in one commit, acknowledge, hand over.
- A message that cannot be read is final, and stops nothing else; its sender is asked for it. What
  the store or the way to the back end did wrong is not: the message stays at the back end.
- A message is shown once, however often and in whatever envelope it comes.
"""

from typing import Final

from e2ecross.client.link import Link, repair_sessions, require_minimum_version
from e2ecross.client.retrying import answer_request, request_again
from e2ecross.device.receiving import (
    DecodedMessage,
    Received,
    decode_ciphertext,
    decrypt_envelope,
    message_from,
)
from e2ecross.errors import (
    BackendError,
    E2ECrossError,
    IdentityChangedError,
    RecordCorrupted,
    RemoteError,
    StoreError,
)
from e2ecross.state.context import Context
from e2ecross.state.delivered import note_delivered, was_delivered
from e2ecross.state.epoch import witnessed_receipt
from e2ecross.state.inbox import (
    list_known_numbers,
    put_failure,
    put_message,
    put_nothing,
    remove_confirmed_numbers,
)
from e2ecross.state.message import Message
from e2ecross.stores.base import Transaction
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.signal_message import PreKeySignalMessage

__all__ = ["acknowledge", "fetch_into_inbox"]

_MAX_NUMBER: Final = 2**64 - 1
"""The highest number that an inbox record has room for."""


def fetch_into_inbox(
    link: Link, limit: int, acknowledged: set[int], receipts: set[int], errors: list[E2ECrossError]
) -> None:
    """Move waiting envelopes into the inbox; one that fails for now stays where it is.

    Args:
        link: to the back end.
        limit: how many envelopes at most.
        acknowledged: back-end numbers in the inbox that the back end has heard of; updated.
        receipts: gets the receipts of what was put into the inbox.
        errors: gets what went wrong with the store; such envelopes are not counted.

    Raises:
        BackendError: the back end cannot be reached.
    """
    known = acknowledge(link, acknowledged)
    after = taken = 0
    while taken < limit and len(errors) < limit:
        wanted = limit - taken
        batch = _fetch(link, wanted, after)
        for number, data in batch:
            after = max(after, number)
            try:
                if number not in known:
                    receipt = _take_in(link, number, data)
                    if receipt is not None:
                        receipts.add(receipt)
            except StoreError as error:
                errors.append(error)
            else:
                taken += 1
        if not batch:
            break
    if taken:
        acknowledge(link, acknowledged)


def acknowledge(link: Link, acknowledged: set[int]) -> set[int]:
    """Tell the back end what has arrived; returns the numbers that are in the inbox."""
    context = link.context
    with context.store.transaction() as tx:
        known = list_known_numbers(tx)
    acknowledged &= known
    if known > acknowledged:
        link.backend.acknowledge(context.address, link.token, sorted(known - acknowledged))
        acknowledged |= known
        with context.store.transaction() as tx:
            remove_confirmed_numbers(tx, known)
    return known


def _take_in(link: Link, number: int, data: bytes) -> int | None:
    """Put what an envelope holds into the inbox; returns its receipt if the app will see it."""
    context = link.context
    envelope: Envelope | None = None
    message: DecodedMessage | None = None
    try:
        envelope = Envelope.decode(data)
        message = decode_ciphertext(context, envelope)
        if isinstance(message, PreKeySignalMessage):
            require_minimum_version(context, message.message.version)
        return _decrypt(context, number, envelope, message)
    except RemoteError as error:
        if _was_taken_in(link, number):
            return None
        with context.store.transaction() as tx:
            if number in list_known_numbers(tx):
                return None  # another process was faster
            retrying = envelope is not None and request_again(context, tx, envelope, message, error)
            return put_failure(tx, number, envelope, error, retrying=retrying)


def _decrypt(
    context: Context, number: int, envelope: Envelope, message: DecodedMessage
) -> int | None:
    try:
        with witnessed_receipt(context) as tx:
            received = decrypt_envelope(context, tx, envelope, message, context.clock())
            return _keep(context, tx, number, envelope, received)
    except RecordCorrupted:
        if not repair_sessions(context, envelope.sender):
            raise
    with witnessed_receipt(context) as tx:
        received = decrypt_envelope(context, tx, envelope, message, context.clock())
        return _keep(context, tx, number, envelope, received)


def _keep(
    context: Context, tx: Transaction, number: int, envelope: Envelope, received: Received
) -> int | None:
    """Keep what was received in the commit that has used up its message key."""
    message = message_from(received)
    now_ms = context.clock()
    if not was_delivered(tx, context.policy, message.sender, message.message_id, now_ms):
        note_delivered(tx, context.policy, message.sender, message.message_id, now_ms)
        if isinstance(message, Message):
            return put_message(tx, number, message)
        answer_request(context, tx, received, message.content)
    if not received.identity_changed:
        put_nothing(tx, number)
        return None
    # The app sees no requests and no second copies, but a changed identity is never silent.
    error = IdentityChangedError(
        f"a request or a second copy of a message came from {message.sender} under a new identity "
        f"key: compare the safety number, then accept the key",
        message.sender,
        received.identity_key,
    )
    return put_failure(tx, number, envelope, error, retrying=False)


def _was_taken_in(link: Link, number: int) -> bool:
    """Tell whether another process has taken in what this one has fetched.

    The inbox is asked first: what has left it, confirmed, had left the back end before.
    """
    context = link.context
    with context.store.transaction() as tx:
        known = number in list_known_numbers(tx)
    return known or number not in dict(_fetch(link, 1, number - 1))


def _fetch(link: Link, limit: int, after: int) -> list[tuple[int, bytes]]:
    """Return what waits, as far as it is what a back end may answer.

    Numbers ascend: a back end that repeats itself is not followed.

    Raises:
        BackendError: it answered with something else.
    """
    answer = link.backend.fetch(link.context.address, link.token, limit, after)
    try:
        items = [(number, data) for number, data in answer]
    except (TypeError, ValueError) as error:
        raise BackendError("the back end answered with something that is no mailbox") from error
    for number, data in items:
        if type(number) is not int or number > _MAX_NUMBER or type(data) is not bytes:
            raise BackendError("the back end answered with something that is no mailbox")
    return [(number, data) for number, data in items if number > after][:limit]
