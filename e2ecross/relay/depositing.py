# SPDX-License-Identifier: Apache-2.0
"""Deposits of many envelopes in one call: each is taken or refused on its own.

Rules:
- What is deposited for one device stays in its order: once its mailbox is full, its later ones in
  the call are refused too.
- Copies of a message, which are those under one id, go to the account that it is for and to the
  sender's other devices. If nobody of the former gets it, nor do the latter: no device shows as
  sent what has reached nobody. So those for the own account are looked at last.
- What is damaged in the file of one recipient decides over no other.

The functions with a connection run inside a transaction of the caller.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from e2ecross.address import Address
from e2ecross.arguments import require_bytes
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    MailboxFull,
    RemoteError,
    UnknownRecipient,
)
from e2ecross.relay import devices, directory, mailbox
from e2ecross.relay.admitting import Admit, refuse_some
from e2ecross.relay.database import Connection, Database
from e2ecross.relay.epochs import epochs_of_holder, record_epochs
from e2ecross.relay.limits import RelayLimits
from e2ecross.wire import call_arguments as arguments
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.exchange import Deposited
from e2ecross.wire.limits import TOKEN_BYTES

__all__ = [
    "Batch",
    "DepositCall",
    "admitted",
    "deposit_each",
    "judge",
    "read_call",
    "require_carried",
]

_REFUSALS: Final = (UnknownRecipient, BackendRefused, MailboxFull)
"""What is said of an envelope; anything else is the state of the file, and passes."""


class DepositCall:
    """What `Relay.deposit_all` is given; no `repr` shows it.

    Args:
        token: the sender's, 32 bytes, secret.
        envelopes: encoded.
        epochs: by stripe; None: none is told.
        consents: none, or one for each envelope.
    """

    __slots__ = ("consents", "envelopes", "epochs", "token")

    def __init__(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> None:
        self.token = token
        self.envelopes = envelopes
        self.epochs = epochs
        self.consents = consents


class Batch(NamedTuple):
    """Envelopes of one call.

    Attributes:
        told: epochs of the sender's store, by stripe.
        envelopes: encoded, as they came.
        decoded: by place, those that could be decoded.
        refused: by place, why the others could not; and who may not send to whom.
        consents: none, or by place the tokens that came with them, secret.
        sender: of whom it was asked what may be sent; None: of nobody.
    """

    told: dict[int, int]
    envelopes: Sequence[bytes]
    decoded: dict[int, Envelope]
    refused: dict[int, BackendError]
    consents: Sequence[bytes]
    sender: Address | None = None

    def __repr__(self) -> str:
        return f"<Batch of {len(self.envelopes)}>"


def read_call(call: DepositCall) -> Batch:
    """Check what a call was given, and decode what can be, outside of any transaction.

    Raises:
        InvalidArgument: something has the wrong type or length.
        BackendRefused: too many envelopes, or too large together; or too many epochs.
    """
    require_bytes("token", call.token, TOKEN_BYTES)
    envelopes = arguments.require_envelopes(call.envelopes)
    told = arguments.require_told(call.epochs)
    consents = arguments.require_consents(call.consents, len(envelopes))
    batch = Batch(told, envelopes, {}, {}, consents)
    for place, data in enumerate(envelopes):
        try:
            batch.decoded[place] = Envelope.decode(data)
        except RemoteError as error:
            batch.refused[place] = BackendRefused(f"this is no envelope: {error}")
    return batch


def judge(database: Database, admit: Admit | None, call: DepositCall, batch: Batch) -> Batch:
    """Return a batch with what the service around the relay refuses of it.

    Args:
        database: says whose token it is.
        admit: decides; None: everybody may.
        call: what the relay was given.
        batch: the envelopes of the call.

    Raises:
        NotRegistered: the token is not that of any sender in them.
    """
    if admit is None or not batch.decoded:
        return batch
    sender, _ = database.read(lambda connection: _holder(connection, call.token, batch.decoded, ()))
    return admitted(admit, sender, batch)


def admitted(admit: Admit, sender: Address, batch: Batch) -> Batch:
    """The same of a device whose token it was just now."""
    asked = {
        place: (envelope.recipient, batch.consents[place] if batch.consents else b"")
        for place, envelope in batch.decoded.items()
        if envelope.sender == sender
    }
    refused = batch.refused | refuse_some(admit, sender, asked)
    return batch._replace(refused=refused, sender=sender)


def deposit_each(
    connection: Connection, token: bytes, batch: Batch, limits: RelayLimits, now_ms: int
) -> Deposited:
    """Put envelopes of one sender into mailboxes, in their order, and keep the epochs it tells.

    Args:
        connection: inside a writing transaction.
        token: the sender's, 32 bytes, secret.
        batch: the envelopes.
        limits: what is carried, and how many may wait.
        now_ms: the time, milliseconds since 1970.

    Raises:
        NotRegistered: the token is not that of any sender in them.
        BackendRefused: it tells epochs of too many stripes.
    """
    decoded, refused = batch.decoded, dict(batch.refused)
    if not decoded:
        return Deposited(refused)  # nobody that the token could be of
    sender, before = _holder(connection, token, decoded, batch.told)
    if batch.sender not in (None, sender):  # nobody was asked of this one
        raise directory.not_registered(batch.sender or sender)
    mailbox.forget_expired(connection, limits, now_ms, len(decoded))
    mailbox.drop_overdue(connection, limits, now_ms)
    own, users = sender.user_id, {sender.user_id}
    for_others: list[int] = []
    for_own: list[int] = []
    for place, envelope in decoded.items():
        if envelope.sender != sender:
            refused[place] = BackendRefused(
                f"the envelope is of {envelope.sender}, and the token that of {sender}"
            )
            continue
        if place in refused and mailbox.was_taken(connection, envelope):
            del refused[place]  # a repetition is taken, whatever was decided since
        user = envelope.recipient.user_id
        users.add(user)
        (for_own if user == own else for_others).append(place)
    into = _Into(connection, limits, now_ms)
    _deposit_all(into, batch, [place for place in for_others if place not in refused], refused)
    for_nobody = _unheard(batch, for_others, refused)
    for place in for_own:
        reasons = for_nobody.get(decoded[place].message_id)
        if reasons:
            refused[place] = _not_copied(reasons)
    _deposit_all(into, batch, [place for place in for_own if place not in refused], refused)
    # Whatever became of them: the ciphertexts have left the device.
    record_epochs(connection, sender, batch.told, before, limits)
    return Deposited(dict(sorted(refused.items())), devices.seqs(connection, users), before)


def require_carried(size: int, limits: RelayLimits) -> None:
    """Check how many bytes an encoded envelope has.

    Raises:
        BackendRefused: more than this relay carries.
    """
    if size > limits.envelope_bytes:
        raise BackendRefused(
            f"the envelope has {size} bytes, this back end carries up to {limits.envelope_bytes}"
        )


def _holder(
    connection: Connection, token: bytes, decoded: dict[int, Envelope], stripes: Collection[int]
) -> tuple[Address, dict[int, int]]:
    """Return the sender that the token is of, and what it has told of these stripes before.

    One envelope of another does not decide over all.
    """
    senders = list(dict.fromkeys(envelope.sender for envelope in decoded.values()))
    for sender in senders:
        before = epochs_of_holder(connection, sender, token, stripes)
        if before is not None:
            return sender, before
    raise directory.not_registered(senders[0])


class _Into(NamedTuple):
    connection: Connection
    limits: RelayLimits
    now_ms: int


def _deposit_all(
    into: _Into, batch: Batch, places: Iterable[int], refused: dict[int, BackendError]
) -> None:
    full: dict[Address, str] = {}
    for place in places:
        envelope = batch.decoded[place]
        try:
            if envelope.recipient in full:
                raise MailboxFull(full[envelope.recipient])
            _deposit(into, envelope, batch.envelopes[place])
        except BackendError as error:  # also of what is damaged in the file: nothing was written
            if isinstance(error, MailboxFull):
                full[envelope.recipient] = str(error)
            refused[place] = error.with_traceback(None)  # which would keep all envelopes


def _deposit(into: _Into, envelope: Envelope, encoded: bytes) -> None:
    connection, limits, now_ms = into
    require_carried(len(encoded), limits)
    mailbox.deposit(connection, envelope, encoded, limits, now_ms)


def _unheard(
    batch: Batch, places: Iterable[int], refused: dict[int, BackendError]
) -> dict[bytes, list[BackendError]]:
    """Return ids of messages with copies for others, none of which was taken, and why not."""
    reasons: dict[bytes, list[BackendError]] = {}
    taken: set[bytes] = set()
    for place in places:
        message_id = batch.decoded[place].message_id
        if place in refused:
            reasons.setdefault(message_id, []).append(refused[place])
        else:
            taken.add(message_id)
    return {message_id: why for message_id, why in reasons.items() if message_id not in taken}


def _not_copied(reasons: list[BackendError]) -> BackendError:
    why = (
        f"no copy of this message for the account that it is for was taken ({reasons[0].code}), so "
        f"none for the sender's own devices is"
    )
    # What may pass for those passes for this one, too.
    is_final = all(isinstance(reason, _REFUSALS) for reason in reasons)
    return BackendRefused(why) if is_final else BackendError(why)
