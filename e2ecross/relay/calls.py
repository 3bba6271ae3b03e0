# SPDX-License-Identifier: Apache-2.0
"""Calls about many at once: each user, and each envelope, is served or refused on its own.

The functions with a connection run inside a transaction of the caller.
"""

import sqlite3
from collections.abc import Mapping, Sequence

from e2ecross.address import Address
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    MailboxFull,
    RemoteError,
    UnknownRecipient,
)
from e2ecross.relay import allowance, directory, mailbox
from e2ecross.relay.limits import RelayLimits
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.exchange import KeysWanted, UserKeys
from e2ecross.wire.limits import MAX_ENVELOPE_BYTES

__all__ = ["decode_all", "deposit_each", "hand_out"]


def hand_out(
    connection: sqlite3.Connection,
    requester: Address,
    wanted: KeysWanted,
    limits: RelayLimits,
    now_ms: int,
) -> UserKeys | UnknownRecipient:
    """Return the keys that are wanted of one user, or that there are none."""
    there = directory.devices_with_keys(connection, wanted.user)
    bundles = []
    for device in there if wanted.devices is None else sorted(wanted.devices):
        if device not in there:
            continue
        address = Address(wanted.user.app, wanted.user.user, device)
        pair = (requester.user_id, address)
        left = allowance.is_left(connection, *pair, limits, now_ms)
        bundle, is_one_time = directory.hand_out_bundle(connection, address, left)
        if is_one_time:
            allowance.use(connection, *pair, limits, now_ms)
        bundles.append(bundle)
    if not there or (wanted.devices and not bundles):
        return UnknownRecipient(f"{wanted.user} has published no keys: it has to register first")
    return UserKeys(b"", tuple(bundles))


def decode_all(
    envelopes: Sequence[bytes], limits: RelayLimits
) -> tuple[dict[int, Envelope], dict[int, BackendError]]:
    """Return by place what could be decoded, and why the rest could not.

    Raises:
        BackendRefused: nothing could.
    """
    decoded: dict[int, Envelope] = {}
    refused: dict[int, BackendError] = {}
    for place, data in enumerate(envelopes):
        try:
            decoded[place] = _decode(data, limits)
        except BackendRefused as error:
            refused[place] = error
    if not decoded:
        raise refused[0]
    return decoded, refused


def deposit_each(
    connection: sqlite3.Connection,
    envelopes: Sequence[bytes],
    decoded: Mapping[int, Envelope],
    limits: RelayLimits,
) -> dict[int, BackendError]:
    """Put envelopes of one sender into mailboxes; returns by place why some were refused."""
    sender = next(iter(decoded.values())).sender
    refused: dict[int, BackendError] = {}
    for place, envelope in decoded.items():
        try:
            if envelope.sender != sender:
                raise BackendRefused(f"the envelope is of {envelope.sender}, others of {sender}")
            if not directory.is_registered(connection, envelope.recipient):
                raise UnknownRecipient(f"{envelope.recipient} is not registered")
            mailbox.deposit(connection, envelope, envelopes[place], limits)
        except (BackendRefused, UnknownRecipient, MailboxFull) as error:
            refused[place] = error
    return refused


def _decode(data: bytes, limits: RelayLimits) -> Envelope:
    # Beyond the last bound it is no envelope anywhere, and `decode` says so before parsing.
    if limits.envelope_bytes < len(data) <= MAX_ENVELOPE_BYTES:
        raise BackendRefused(
            f"the envelope has {len(data)} bytes, this back end carries up to "
            f"{limits.envelope_bytes}"
        )
    try:
        return Envelope.decode(data)
    except RemoteError as error:
        raise BackendRefused(f"this is no envelope: {error}") from error
