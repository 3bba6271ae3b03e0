# SPDX-License-Identifier: Apache-2.0
"""Messages on their way into the outbox of a `Client`, many in one transaction.

Rules:
- Encrypt and keep in one commit; the envelope leaves after it, and is forgotten when the back end
  has it.
- What fails with one recipient touches no other: each has a savepoint.
- In a store with stripes each stripe has a transaction, and what fails with one touches no other.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from e2ecross.address import Address
from e2ecross.conversation.negotiation import Plan
from e2ecross.crypto.secret import without_frames
from e2ecross.device.composing import Draft
from e2ecross.device.conversations import note_sent_to
from e2ecross.device.copies import Copying
from e2ecross.device.copy_ids import Outgoing
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.posted import KeysAsked, KeysNeeded, Posted, Unready
from e2ecross.device.settling import file_in_flight
from e2ecross.device.uploading import note_media_ahead, note_media_sent
from e2ecross.errors import (
    BackendError,
    E2ECrossError,
    LocalError,
    RecordCorrupted,
    RemoteError,
    RestoredStore,
    StoreError,
    StoreMoved,
    StoreTooNew,
)
from e2ecross.state.context import Context
from e2ecross.state.epoch import WitnessedTransaction, read_epoch
from e2ecross.state.transactions import peer_transaction
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import encode_content

__all__ = ["plan_message", "post_messages", "post_missing"]

_OF_ONE: Final = (LocalError, RemoteError, BackendError, RecordCorrupted, StoreTooNew)
"""What may fail with one recipient alone."""

Result = Posted | KeysNeeded | E2ECrossError | None


def post_messages(
    context: Context,
    leftovers: Leftovers,
    messages: Sequence[Outgoing],
    draft: Draft,
    begun: set[Address],
    asked: KeysAsked,
) -> tuple[dict[int, int], list[Result]]:
    """Encrypt content for recipients and put it into the outbox, unless it is or has been there.

    One transaction for each stripe; what fails with one recipient touches no other.

    Args:
        context: of the device.
        leftovers: are forgotten in the same commits.
        messages: whom it is for.
        draft: what the user sends.
        begun: devices for which the caller has put something there before; updated.
        asked: what was asked of the back end for it.

    Returns:
        By stripe the epoch to tell the back end; and for each message where it is, or what it
        needs, or:
        UntrustedIdentity: the user has to decide about an identity key first.
        HostingChanged: the user has to hear of who holds keys of the account.
        LossyContent: some devices would not show all of it, and the user has not agreed to that.
        ContentRefused: some devices do not obey what protects somebody.
        ConsentMissing: the recipient has not granted a message of this purpose now.
        InvalidArgument: the message id was used for other content.
        SessionExhausted: a session has no message numbers left.
        RecordCorrupted: a record of the recipient is damaged.
        StoreError: what is of the recipient's stripe cannot be read or written.
        E2ECrossError: no device of the recipient can be reached; why device 1 cannot.
    """
    encoded = encode_content(draft.blank)  # once for all of them
    named = [(message.address.user_id, message.message_id) for message in messages]
    note_media_ahead(context, draft.content, draft.expiry, draft.view_once, named)

    def post(copying: Copying, tx: Transaction, message: Outgoing) -> Posted:
        posted = copying.post(message, draft, encoded)
        if posted.is_new:
            user = posted.conversation.user_id
            note_sent_to(context, tx, user)
            note_media_sent(context, tx, user, posted.message, message.message_id)
        return posted

    return _post_each(context, leftovers, messages, begun, asked, post)


def post_missing(
    context: Context,
    leftovers: Leftovers,
    messages: Sequence[Outgoing],
    begun: set[Address],
    asked: KeysAsked,
    purpose: int = 0,
) -> tuple[dict[int, int], list[Result]]:
    """Encrypt kept messages for devices that are listed since, and put that into the outbox.

    The same message id, and to no device twice. See `post_messages`; None in the place of a message
    that is not kept any more. The purpose is the one that they were sent with.
    """

    def post(copying: Copying, _: Transaction, message: Outgoing) -> Posted | None:
        return copying.post_missing(message, purpose)

    return _post_each(context, leftovers, messages, begun, asked, post)


def plan_message(context: Context, address: Address, draft: Draft) -> Plan:
    """Return what the devices of a recipient would show, by the list that is held of them."""
    with peer_transaction(context, address.user_id) as tx:
        return Copying(context, tx, (), KeysAsked(), context.clock()).plan(address, draft)


def _post_each(
    context: Context,
    leftovers: Leftovers,
    messages: Sequence[Outgoing],
    begun: set[Address],
    asked: KeysAsked,
    post: Callable[[Copying, Transaction, Outgoing], Posted | None],
) -> tuple[dict[int, int], list[Result]]:
    found: dict[int, Result] = {}
    epochs: dict[int, int] = {}
    places: dict[int, list[int]] = {}
    for place, message in enumerate(messages):
        places.setdefault(context.stripe_of(message.address.user_id), []).append(place)
    for stripe, part in sorted(places.items()):
        # What is put there counts as begun once it is committed.
        posting = _Posting(context, leftovers, stripe, set(begun), asked, post)
        try:
            epochs[stripe], results = posting.post_all([messages[place] for place in part])
        except StoreError as error:
            if not context.store.stripes or isinstance(error, RestoredStore | StoreMoved):
                raise
            results = [without_frames(error)] * len(part)
        else:
            begun.update(posting.begun)
        found.update(zip(part, results, strict=True))
    return epochs, [found[place] for place in range(len(messages))]


class _Posting(NamedTuple):
    """One transaction that puts messages into the outbox; see `post_messages`."""

    context: Context
    leftovers: Leftovers
    stripe: int
    begun: set[Address]
    asked: KeysAsked
    post: Callable[[Copying, Transaction, Outgoing], Posted | None]

    def post_all(self, messages: Sequence[Outgoing]) -> tuple[int, list[Result]]:
        """Post messages for accounts of the stripe; returns its epoch, too."""
        context, stripe, begun = self.context, self.stripe, self.begun
        results: list[Result] = []
        with self.leftovers.going(stripe) as forget, WitnessedTransaction(context, stripe) as tx:
            forget(tx)
            if not begun:  # else what is in flight is the caller's, and about to leave
                file_in_flight(context, tx)
            copying = Copying(context, tx, begun, self.asked, context.clock())
            for message in messages:
                try:
                    with tx.savepoint():
                        result = self.post(copying, tx, message)
                except Unready as unready:
                    results.append(unready.needed)
                    continue
                except _OF_ONE as error:
                    results.append(without_frames(error))
                    continue
                results.append(result)
                if result is not None:
                    begun.update(copy.waiting.backlog.recipient for copy in result.copies)
            return read_epoch(tx), results
