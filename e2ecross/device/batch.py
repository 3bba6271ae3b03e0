# SPDX-License-Identifier: Apache-2.0
"""Many messages in one transaction: one commit for all of them, a savepoint for each peer.

In a store with stripes that is one for each stripe, the stripes ascending.

Rules:
- What fails with one message or one peer is a value in the result and touches no other peer. What
  fails with the store as a whole is raised, and then nothing of it is saved or released.
- The sessions and the epoch are written once for each peer, however many messages there are.
- Messages of one peer are read in the order in which they are given.
- A message that is refused alone (`LocalError`, `RemoteError`) needs no undoing, which saves a
  savepoint for each: both operations check everything before they write the first row, and what a
  protocol function raises it has returned no state of. What is raised later is `RecordCorrupted`,
  or another error of the store, and undoes all of the peer, or of the batch.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from e2ecross.address import Address
from e2ecross.arguments import require_callable, require_list, require_type
from e2ecross.crypto.secret import without_frames
from e2ecross.device.receiving import (
    DecodedMessage,
    decode_ciphertext,
    decrypt_envelope,
    message_from,
)
from e2ecross.device.sending import (
    checked_message_id,
    encrypt_content,
    require_content,
    require_other_device,
)
from e2ecross.errors import LocalError, RecordCorrupted, RemoteError
from e2ecross.state.context import Context
from e2ecross.state.epoch import WitnessedReceipt, WitnessedTransaction
from e2ecross.state.message import ControlMessage, DeviceMessage
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import AnyContent, PayloadContent
from e2ecross.wire.envelope import Envelope

__all__ = ["Progress", "decrypt_many", "encrypt_many"]

Progress = Callable[[int, int], None]
"""Called with how many are done and how many there are, inside the transaction: be quick."""

_Decoded = tuple[Envelope, DecodedMessage]
P = TypeVar("P")


def encrypt_many(
    context: Context, addresses: Iterable[Address], content: AnyContent, progress: Progress | None
) -> list[Envelope | LocalError | RecordCorrupted]:
    """See `Device.encrypt_many`."""
    require_content(content)
    listed = require_list("addresses", addresses)
    for address in listed:
        require_type("an element of addresses", address, Address)
        require_other_device(context, address, "an element of addresses")
    if progress is not None:
        require_callable("progress", progress)
    results: dict[int, Envelope | LocalError | RecordCorrupted] = {}
    for stripe, places in _by_stripe(context, listed).items():
        with WitnessedTransaction(context, stripe) as tx:
            found = _encrypt_all(
                *(context, tx, [listed[place] for place in places], content),
                _counted(progress, len(results), len(listed)),
            )
        results.update(zip(places, found, strict=True))
    return [results[place] for place in range(len(listed))]


def decrypt_many(
    context: Context, envelopes: Iterable[Envelope | bytes], progress: Progress | None
) -> list[DeviceMessage | ControlMessage | RemoteError | RecordCorrupted]:
    """See `Device.decrypt_many`. The envelopes are decoded outside of the transaction."""
    listed = require_list("envelopes", envelopes)
    for envelope in listed:
        require_type("an element of envelopes", envelope, Envelope, bytes)
    if progress is not None:
        require_callable("progress", progress)
    decoded = [_decode(context, envelope) for envelope in listed]
    senders = [None if isinstance(item, RemoteError) else item[0].sender for item in decoded]
    results: dict[int, DeviceMessage | ControlMessage | RemoteError | RecordCorrupted] = {}
    for stripe, places in _by_stripe(context, senders).items():
        with WitnessedReceipt(context, stripe) as tx:
            found = _decrypt_all(
                *(context, tx, [decoded[place] for place in places]),
                _counted(progress, len(results), len(decoded)),
            )
        results.update(zip(places, found, strict=True))
    return [results[place] for place in range(len(decoded))]


def _by_stripe(context: Context, peers: Sequence[Address | None]) -> dict[int, list[int]]:
    """Return the places of the peers of each stripe, the stripes ascending.

    Who nobody knows stands with the first that there is.
    """
    if not context.store.stripes:
        return {0: list(range(len(peers)))}
    stripes = [None if peer is None else context.stripe_of(peer.user_id) for peer in peers]
    first = min((stripe for stripe in stripes if stripe is not None), default=1)
    places = _by_peer([first if stripe is None else stripe for stripe in stripes])
    return dict(sorted(places.items()))


def _counted(progress: Progress | None, before: int, count: int) -> Progress | None:
    """What counts on from that many messages, of so many in all."""
    if progress is None:
        return None
    return lambda done, _: progress(before + done, count)


def _encrypt_all(
    context: Context,
    tx: Transaction,
    addresses: Sequence[Address],
    content: PayloadContent,
    progress: Progress | None,
) -> list[Envelope | LocalError | RecordCorrupted]:
    """Encrypt content for every address, each under a message id of its own.

    Returns:
        For each address its envelope, or what `Device.encrypt` would have raised.
    """
    now_ms = context.clock()
    results: list[Envelope | LocalError | RecordCorrupted | None] = [None] * len(addresses)
    done = 0
    for address, places in _by_peer(addresses).items():
        try:
            with tx.savepoint():
                for place in places:
                    results[place] = _encrypt(context, tx, address, content, now_ms)
        except RecordCorrupted as error:
            for place in places:
                results[place] = without_frames(error)
        done += len(places)
        if progress is not None:
            progress(done, len(addresses))
    return [result for result in results if result is not None]


def _decrypt_all(
    context: Context,
    tx: Transaction,
    decoded: Sequence[_Decoded | RemoteError],
    progress: Progress | None,
) -> list[DeviceMessage | ControlMessage | RemoteError | RecordCorrupted]:
    """Decrypt what was decoded.

    Returns:
        For each envelope its message, or what `Device.decrypt` would have raised.
    """
    now_ms = context.clock()
    results: list[DeviceMessage | ControlMessage | RemoteError | RecordCorrupted | None] = [
        None
    ] * len(decoded)
    senders = [None if isinstance(item, RemoteError) else item[0].sender for item in decoded]
    done = 0
    for places in _by_peer(senders).values():
        try:
            with tx.savepoint():
                for place in places:
                    results[place] = _decrypt(context, tx, decoded[place], now_ms)
        except RecordCorrupted as error:
            for place in places:
                results[place] = without_frames(error)
        done += len(places)
        if progress is not None:
            progress(done, len(decoded))
    return [result for result in results if result is not None]


def _by_peer(peers: Sequence[P]) -> dict[P, list[int]]:
    """Return the places of each peer in the list, in their order."""
    places: dict[P, list[int]] = {}
    for place, peer in enumerate(peers):
        places.setdefault(peer, []).append(place)
    return places


def _encrypt(
    context: Context, tx: Transaction, address: Address, content: PayloadContent, now_ms: int
) -> Envelope | LocalError:
    message_id = checked_message_id(context, None)
    try:
        return encrypt_content(context, tx, address, content, message_id, now_ms)
    except LocalError as error:  # nothing has changed
        return without_frames(error)


def _decode(context: Context, envelope: Envelope | bytes) -> _Decoded | RemoteError:
    try:
        if isinstance(envelope, bytes):
            envelope = Envelope.decode(envelope)
        return envelope, decode_ciphertext(context, envelope)
    except RemoteError as error:
        return without_frames(error)


def _decrypt(
    context: Context, tx: Transaction, item: _Decoded | RemoteError, now_ms: int
) -> DeviceMessage | ControlMessage | RemoteError:
    if isinstance(item, RemoteError):
        return item
    try:
        received = decrypt_envelope(context, tx, *item, now_ms)
    except RemoteError as error:  # nothing has changed
        return without_frames(error)
    return message_from(received)
