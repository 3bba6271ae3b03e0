# SPDX-License-Identifier: Apache-2.0
"""Making, publishing and replacing our own prekeys.

Rules:
- Generate, commit, upload, confirm. Until a publication is confirmed it is repeated byte for byte,
  so that an upload whose answer was lost does no harm.
- Keys are generated and signed outside of any transaction.
- No id is used twice.
"""

from dataclasses import replace

from e2ecross.client.context import Context, require_device, save_device
from e2ecross.client.epoch import count_operation, witnessed_transaction
from e2ecross.client.prekey_store import (
    SignedPrekeyState,
    delete_expired_signed_prekeys,
    put_one_time_prekey,
    put_signed_prekey,
    require_signed_prekey,
)
from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.keys import KeyPair, generate_key_pair
from e2ecross.crypto.xeddsa import sign
from e2ecross.errors import InvalidArgument, RecordCorrupted, RemoteError
from e2ecross.protocol.prekeys import require_free_ids, rotation_is_due
from e2ecross.stores.base import Transaction
from e2ecross.wire.bundle import OneTimePrekey, PublishedKeys, SignedPrekey
from e2ecross.wire.limits import MAX_SEEN_BASE_KEYS
from e2ecross.wire.records import DeviceRecord

__all__ = [
    "confirm_publication",
    "make_signed_prekey",
    "needs_rotation",
    "prepare_publication",
    "waiting_publication",
]


def make_signed_prekey(
    identity_key_pair: KeyPair, prekey_id: int, entropy: EntropySource, now_ms: int
) -> SignedPrekeyState:
    """Generate and sign a signed prekey."""
    key_pair = generate_key_pair(entropy)
    return SignedPrekeyState(
        prekey_id, key_pair, sign(identity_key_pair, key_pair.public, entropy), now_ms
    )


def waiting_publication(device: DeviceRecord) -> PublishedKeys | None:
    """Return the publication that has not been confirmed yet, or None."""
    if not device.unconfirmed_publication:
        return None
    try:
        return PublishedKeys.decode(device.unconfirmed_publication)
    except RemoteError as error:
        raise RecordCorrupted(
            "the stored publication does not decode: the store is damaged"
        ) from error


def needs_rotation(context: Context, tx: Transaction, device: DeviceRecord) -> bool:
    """Tell whether the current signed prekey is to be replaced: by age, or because it is full."""
    current = require_signed_prekey(tx, device.signed_prekey_id)
    max_age_ms = context.policy.signed_prekey_max_age_ms
    return (
        rotation_is_due(current.created_at_ms, context.clock(), max_age_ms)
        or current.seen_base_keys >= MAX_SEEN_BASE_KEYS
    )


def prepare_publication(context: Context, one_time: int) -> PublishedKeys:
    """Return the keys to publish, the same ones until they are confirmed.

    While they are not, the device's record has what is sent with them: `publication_epoch`, and
    `replaces_prekeys` if they take the place of everything that was published before.

    Args:
        context: of the device.
        one_time: how many new one-time prekeys, if a new publication is made.

    Raises:
        PrekeysExhausted: there are not enough ids left.
        WitnessFailed: the witness cannot be told; the publication waits.
    """
    with witnessed_transaction(context) as tx:
        waiting = waiting_publication(require_device(tx))
    if waiting is not None:
        return waiting
    key_pairs = [generate_key_pair(context.entropy) for _ in range(one_time)]
    # Signed although it may not be needed: whether it is can only be known inside.
    spare = make_signed_prekey(context.identity_key_pair, 0, context.entropy, context.clock())
    with witnessed_transaction(context) as tx:
        device = require_device(tx)
        waiting = waiting_publication(device)
        if waiting is not None:  # another process was faster
            return waiting
        return _record_publication(context, tx, device, key_pairs, spare)


def confirm_publication(context: Context, published: PublishedKeys) -> None:
    """Note that a publication has arrived; a second time nothing happens.

    Raises:
        InvalidArgument: another publication is the one that waits.
    """
    with context.store.transaction() as tx:
        device = require_device(tx)
        if not device.unconfirmed_publication:
            return
        if device.unconfirmed_publication != published.encode():
            raise InvalidArgument("published is not the publication that waits to be confirmed")
        save_device(
            tx,
            replace(
                device, unconfirmed_publication=b"", publication_epoch=0, replaces_prekeys=False
            ),
        )


def _record_publication(
    context: Context,
    tx: Transaction,
    device: DeviceRecord,
    key_pairs: list[KeyPair],
    spare: SignedPrekeyState,
) -> PublishedKeys:
    current = require_signed_prekey(tx, device.signed_prekey_id)
    next_id = device.next_prekey_id
    require_free_ids(next_id, 1 + len(key_pairs))
    if needs_rotation(context, tx, device):
        put_signed_prekey(tx, replace(current, replaced_at_ms=context.clock()))
        current = replace(spare, id=next_id)
        put_signed_prekey(tx, current)
        next_id += 1
    delete_expired_signed_prekeys(tx, context.clock(), context.policy.signed_prekey_kept_ms)
    one_time_prekeys = []
    for prekey_id, key_pair in enumerate(key_pairs, next_id):
        put_one_time_prekey(tx, prekey_id, key_pair)
        one_time_prekeys.append(OneTimePrekey(prekey_id, key_pair.public))
    published = PublishedKeys(
        address=context.address,
        registration_id=context.registration_id,
        identity_key=context.identity_key_pair.public,
        signed_prekey=SignedPrekey(current.id, current.key_pair.public, current.signature),
        one_time_prekeys=tuple(one_time_prekeys),
    )
    save_device(
        tx,
        replace(
            device,
            next_prekey_id=next_id + len(key_pairs),
            signed_prekey_id=current.id,
            unconfirmed_publication=published.encode(),
            publication_epoch=count_operation(tx),
        ),
    )
    return published
