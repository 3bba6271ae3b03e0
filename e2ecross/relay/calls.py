# SPDX-License-Identifier: Apache-2.0
"""Calls about many at once: each user, and each envelope, is served or refused on its own.

Rules:
- One that fails, also because its rows in the file are damaged, decides over no other. What is
  refused is told in its place, also when nothing else is in the call.

The functions with a connection run inside a transaction of the caller.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

from e2ecross.address import MAX_DEVICE, Address, UserId
from e2ecross.arguments import (
    require_bytes,
    require_list,
    require_type,
    require_whole_number,
)
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    RemoteError,
    UnknownRecipient,
)
from e2ecross.relay import allowance, directory, mailbox
from e2ecross.relay.limits import RelayLimits
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.exchange import KeysWanted, UserKeys

__all__ = ["decode_all", "deposit_each", "hand_out", "require_envelopes", "require_wanted"]

_MAX_IN_CALL: Final = 1_024
"""Envelopes or users in one call: bounds how long one transaction holds the file."""
_MAX_CALL_BYTES: Final = 4 * 1024 * 1024
"""Envelopes in one call, bytes."""


def require_wanted(wanted: Sequence[KeysWanted]) -> list[KeysWanted]:
    """Return whose keys are wanted; raise `InvalidArgument` if they are none, or too many."""
    listed = require_list("wanted", wanted)
    require_whole_number("the length of wanted", len(listed), 1, _MAX_IN_CALL)
    return [_checked(keys) for keys in listed]


def _checked(wanted: KeysWanted) -> KeysWanted:
    require_type("an element of wanted", wanted, KeysWanted)
    require_type("the user of an element of wanted", wanted.user, UserId)
    if wanted.devices is None:
        return wanted
    devices = require_list("the devices of an element of wanted", wanted.devices)
    for device in devices:
        require_whole_number("a device of an element of wanted", device, 1, MAX_DEVICE)
    return KeysWanted(wanted.user, frozenset(devices))


def require_envelopes(envelopes: Sequence[bytes]) -> list[bytes]:
    """Return the encoded envelopes; raise `InvalidArgument` if they are none, or too many."""
    listed = require_list("envelopes", envelopes)
    require_whole_number("the length of envelopes", len(listed), 1, _MAX_IN_CALL)
    for envelope in listed:
        require_bytes("an element of envelopes", envelope)
    require_whole_number("the size of envelopes", sum(map(len, listed)), 0, _MAX_CALL_BYTES)
    return listed


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
    for device in there:
        if wanted.devices is not None and device not in wanted.devices:
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
    envelopes: Sequence[bytes],
) -> tuple[dict[int, Envelope], dict[int, BackendError]]:
    """Return by place what could be decoded, and why the rest could not."""
    decoded: dict[int, Envelope] = {}
    refused: dict[int, BackendError] = {}
    for place, data in enumerate(envelopes):
        try:
            decoded[place] = Envelope.decode(data)
        except RemoteError as error:
            refused[place] = BackendRefused(f"this is no envelope: {error}")
    return decoded, refused


def deposit_each(
    connection: sqlite3.Connection,
    envelopes: Sequence[bytes],
    decoded: Mapping[int, Envelope],
    limits: RelayLimits,
) -> dict[int, BackendError]:
    """Put envelopes of one sender, the first one's, into mailboxes.

    Returns:
        By place, why some were refused.
    """
    sender = next(iter(decoded.values())).sender
    refused: dict[int, BackendError] = {}
    for place, envelope in decoded.items():
        try:
            if envelope.sender != sender:
                raise BackendRefused(f"the envelope is of {envelope.sender}, others of {sender}")
            _deposit(connection, envelope, envelopes[place], limits)
        except BackendError as error:
            refused[place] = error
    return refused


def _deposit(
    connection: sqlite3.Connection, envelope: Envelope, encoded: bytes, limits: RelayLimits
) -> None:
    if len(encoded) > limits.envelope_bytes:
        raise BackendRefused(
            f"the envelope has {len(encoded)} bytes, this back end carries up to "
            f"{limits.envelope_bytes}"
        )
    if not directory.is_registered(connection, envelope.recipient):
        raise UnknownRecipient(f"{envelope.recipient} is not registered")
    mailbox.deposit(connection, envelope, encoded, limits)
