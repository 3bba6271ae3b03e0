# SPDX-License-Identifier: Apache-2.0
"""Deposits of one message for many devices: what all of them get is kept once.

Rules:
- Each recipient has an envelope of its own, as if it had come alone: `fetch` returns its one
  encoding, it counts in its mailbox, and it is refused on its own.
- What they share is there as long as one of them waits. The triggers of the file see to that.

The function runs inside a transaction of the caller.

Source: docs/wire-format.md, fields of EnvelopeCopies.
"""

from collections.abc import Mapping

from e2ecross.errors import BackendError
from e2ecross.relay import devices, directory, mailbox
from e2ecross.relay.admitting import Admit, refuse_some
from e2ecross.relay.database import Connection, Database
from e2ecross.relay.depositing import require_carried
from e2ecross.relay.epochs import epochs_of_holder, record_epochs
from e2ecross.relay.limits import RelayLimits
from e2ecross.relay.rows import require_row
from e2ecross.wire.envelope import Envelope, EnvelopeCopies, MessageKind
from e2ecross.wire.exchange import Deposited

__all__ = ["deposit_copies", "judge_copies"]


def judge_copies(
    database: Database, admit: Admit | None, token: bytes, copies: EnvelopeCopies
) -> dict[int, BackendError]:
    """Return who does not get copies by what the service around the relay says, by place.

    Raises:
        NotRegistered: the token (32 bytes, secret) is not that of the sender.
    """
    if admit is None:
        return {}
    database.read(lambda connection: directory.require_holder(connection, copies.sender, token))
    asked = {place: (recipient, b"") for place, recipient in enumerate(copies.recipients)}
    return refuse_some(admit, copies.sender, asked)


def deposit_copies(
    connection: Connection,
    token: bytes,
    copies: EnvelopeCopies,
    told: Mapping[int, int],
    limits: RelayLimits,
    now_ms: int,
    not_admitted: Mapping[int, BackendError],
) -> Deposited:
    """Put a message into mailboxes of its recipients, and keep the epochs that its sender tells.

    Args:
        connection: inside a writing transaction.
        token: the sender's, 32 bytes, secret.
        copies: the message, and who gets it.
        told: epochs of the sender's store, by stripe.
        limits: what is carried, and how many may wait.
        now_ms: the time, milliseconds since 1970.
        not_admitted: by place, why a recipient does not get it.

    Raises:
        NotRegistered: the token is not that of the sender.
        BackendRefused: it tells epochs of too many stripes.
    """
    sender = copies.sender
    before = epochs_of_holder(connection, sender, token, told)
    if before is None:
        raise directory.not_registered(sender)
    mailbox.forget_expired(connection, limits, now_ms, len(copies.recipients))
    mailbox.drop_overdue(connection, limits, now_ms)
    refused = _deposit_each(connection, copies, limits, now_ms, not_admitted)
    # Whatever became of it: the ciphertext has left the device.
    record_epochs(connection, sender, told, before, limits)
    users = {sender.user_id, *(recipient.user_id for recipient in copies.recipients)}
    return Deposited(refused, devices.seqs(connection, users), before)


def _deposit_each(
    connection: Connection,
    copies: EnvelopeCopies,
    limits: RelayLimits,
    now_ms: int,
    not_admitted: Mapping[int, BackendError],
) -> dict[int, BackendError]:
    """Deposit for each recipient; returns by place why for which not."""
    beginnings, ending = copies.encode_apart()
    (shared,) = require_row(
        connection,
        "INSERT INTO shared_ciphertexts (ciphertext) VALUES (?) RETURNING number",
        (ending,),
        int,
    )
    refused: dict[int, BackendError] = {}
    for place, recipient in enumerate(copies.recipients):
        envelope = Envelope(
            copies.message_id, copies.sender, recipient, MessageKind.SENDER_KEY, copies.ciphertext
        )
        if place in not_admitted and not mailbox.was_taken(connection, envelope):
            refused[place] = not_admitted[place]
            continue
        beginning = beginnings[place]
        try:
            require_carried(len(beginning) + len(ending), limits)
            mailbox.deposit(connection, envelope, beginning, limits, now_ms, shared)
        except BackendError as error:  # also of what is damaged in the file: nothing was written
            refused[place] = error.with_traceback(None)  # which would keep the ciphertext
    connection.execute(  # none is new, or nobody takes it
        "DELETE FROM shared_ciphertexts WHERE number = ?"
        " AND NOT EXISTS (SELECT 1 FROM mailbox WHERE shared = ?)",
        (shared, shared),
    )
    return refused
