# SPDX-License-Identifier: Apache-2.0
"""Sending through a back end: from the outbox to envelopes that the back end has.

Rules:
- Each backlog goes in its order, and none waits for another: what fails with one recipient delays
  that recipient alone, also where the back end refuses a whole call for the sake of one envelope
  in it.
- How much is tried in vain in one call is bounded; backlogs that were tried are not tried again
  before those that were not, and take turns. What goes well goes on.
- What the back end refuses for good is given up. What it cannot do now is tried again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from e2ecross.address import Address, UserId
from e2ecross.client.attempts import MAX_FAILURES, Failure
from e2ecross.client.depositing import FINAL, MAX_BYTES, MAX_ENVELOPES, Batch, deposit
from e2ecross.client.link import Link
from e2ecross.client.planning import ensure_session
from e2ecross.device.bundles import repair_sessions
from e2ecross.device.copy_ids import Outgoing
from e2ecross.device.settling import Result, hold_for_decision, repair, settle, take_back
from e2ecross.device.trusting import read_identity
from e2ecross.device.waiting import (
    encrypt_waiting,
    find_posted,
    is_something_due,
    next_backlogs,
    next_of_backlog,
    note_stranger,
    read_epochs_to_tell,
    read_held_key,
)
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    E2ECrossError,
    MailboxFull,
    NotRegistered,
    RecordCorrupted,
    UnknownRecipient,
    UntrustedIdentity,
)
from e2ecross.state.outbox import Backlog, BacklogName, TurnKind, Waiting
from e2ecross.wire.envelope import Envelope

__all__ = [
    "Patience",
    "Told",
    "collect",
    "flush_outbox",
    "refused_for_another",
    "send_waiting",
    "settle_batch",
]

_FIRST_BATCH: Final = 16
"""While nothing is known of the way, little is read for it; then twice as much each time."""
_MAX_IN_VAIN: Final = 32
"""Backlogs of a kind that one flush tries in vain."""
_ATTEMPTS: Final = 2
"""A damaged session goes, then a new one takes its place."""


@dataclass(slots=True)
class Patience:
    """What one call may do in vain before it encrypts anything.

    Attributes:
        left: backlogs for which keys may still be fetched in vain.
    """

    left: int = _MAX_IN_VAIN


@dataclass(slots=True)
class Told:
    """What the back end has told with its answers to deposits.

    Attributes:
        messages: that were deposited.
        seqs: the newest lists of devices, by account.
        gone: accounts with devices that it does not know.
    """

    messages: dict[Outgoing, None] = field(default_factory=dict)
    seqs: dict[UserId, int] = field(default_factory=dict)
    gone: set[UserId] = field(default_factory=set)

    def note(self, batch: Batch) -> None:
        """Note what was told of lists."""
        self.seqs.update(batch.seqs)
        for waiting, error in batch.refused.items():
            if isinstance(error, UnknownRecipient):
                self.gone.add(waiting.backlog.recipient.user_id)

    def note_messages(self, batch: Batch) -> None:
        """Note messages that were taken, whoever has sent them."""
        for waiting in batch.taken:
            if waiting.backlog.name is BacklogName.MESSAGES:
                message = Outgoing(waiting.backlog.recipient, waiting.message_id, is_new=False)
                self.messages[message] = None


def send_waiting(
    link: Link,
    conversation: Address,
    message_id: bytes,
    copy: Waiting,
    told: Told,
    *,
    is_new: bool,
) -> bool:
    """Deposit what waits for a device, up to a copy of a message of ours.

    Args:
        link: to the back end.
        conversation: with whom; see `Posted`.
        message_id: of the message, 16 bytes.
        copy: of the message.
        told: gets what the back end tells.
        is_new: whether nothing was promised before: then an exception is all that is told of it.
            Else a notice says it, too: an exception may be lost on its way to the caller.

    Returns:
        Whether the back end has it. False: for the own account, it goes after something for others
        that has not left yet.

    Raises:
        UnknownRecipient: the back end does not know the recipient.
        MailboxFull: the recipient has no room; the message was taken back.
        BackendRefused: the back end refuses it; or has refused it when somebody else asked.
        UntrustedIdentity: what stands before it waits for the user, and so does it.
        BackendError: the back end cannot be reached; everything stays.
    """
    backlog, context, copy_id = copy.backlog, link.context, copy.message_id
    most, renewed = _FIRST_BATCH, set[Address]()
    while True:
        batch = collect(link, [backlog], most, renewed)
        epochs = read_epochs_to_tell(context, [backlog])
        failure = deposit(link, batch, epochs, wanted=[copy_id])
        # A call that fails as a whole says nothing of the backlog: the next flush begins with it.
        told.note(batch)
        told.note_messages(batch)
        settle_batch(link, batch, told=copy_id if is_new else b"")
        (found,) = find_posted(context, link.leftovers, [(conversation, message_id, copy)])
        for waiting, reason in batch.refused.items():
            if waiting.message_id == copy_id:
                raise reason
        if found is True:
            return True
        if found is False:
            raise refused_for_another()
        error = failure or batch.blocked.get(backlog) or _held(link, backlog)
        if isinstance(error, MailboxFull):
            take_back(context, backlog.recipient, copy_id, is_told=is_new)
        if error is not None:
            raise error
        if not batch.items and not next_of_backlog(context, backlog, 1):
            return False
        most = min(2 * most, MAX_ENVELOPES)


def refused_for_another() -> BackendRefused:
    """The error of a message of which another call has found that it is refused."""
    return BackendRefused("the back end has refused the message: a notice says why")


def _held(link: Link, backlog: Backlog) -> UntrustedIdentity | None:
    """Return that a backlog waits for the user, if it does: then nothing of it was collected."""
    key = read_held_key(link.context, backlog)
    return UntrustedIdentity(backlog.recipient, key) if key else None


def flush_outbox(link: Link, told: Told) -> None:
    """Deposit what waits in the outbox; `told` gets what the back end tells.

    Raises:
        BackendError: the back end could not do it all; the first reason. The rest waits.
        RecordCorrupted: likewise, because a record is damaged.
    """
    if not is_something_due(link.context, link.leftovers):
        return
    flush = _Flush(link, told)
    for kind in (TurnKind.READY, TurnKind.LATER):
        for name in BacklogName:  # what users sent goes first
            flush.send_all(name, kind)
        if flush.error is not None:  # nobody may be reached: enough was tried
            break
    flush.report()


class _Flush:
    """One walk over the backlogs.

    Attributes:
        error: why it was given up to reach anybody.
    """

    def __init__(self, link: Link, told: Told) -> None:
        """Of this device; nothing is sent yet."""
        self.error: E2ECrossError | None = None
        self._link = link
        self._told = told
        self._renewed: set[Address] = set()
        self._in_vain: dict[Backlog, E2ECrossError] = {}
        self._damaged: RecordCorrupted | None = None

    def send_all(self, name: BacklogName, kind: TurnKind) -> None:
        """Deposit what waits in backlogs of a kind, within the bounds on what is tried in vain."""
        size = _FIRST_BATCH if kind is TurnKind.READY else 1
        after, failures, tried = 0, 0, len(self._in_vain)
        backlogs: list[Backlog] = []
        while len(self._in_vain) - tried < _MAX_IN_VAIN:
            if not backlogs:
                turns = next_backlogs(self._link.context, name, kind, after, size)
                after, self._damaged = turns.last, self._damaged or turns.damaged
                # Behind what was tried just now nothing else stands.
                backlogs = [backlog for backlog in turns.backlogs if backlog not in self._in_vain]
                if not backlogs:
                    return
            part, behind = backlogs[:size], backlogs[size:]
            batch = collect(self._link, part, size, self._renewed)
            failure = deposit(self._link, batch, read_epochs_to_tell(self._link.context, part))
            if failure is not None:
                failures, size = failures + 1, 1
            self._told.note(batch)
            self._told.note_messages(batch)
            if failure is None or len(part) == 1:
                settle_batch(self._link, batch, failure)
                self._in_vain |= batch.blocked
            if failures == MAX_FAILURES:
                self.error = failure
                return
            if failure is not None:  # one of many may be the reason: the others do not wait for it
                backlogs = part + behind if len(part) > 1 else behind
            elif batch.items or batch.refused:
                failures, size = 0, min(2 * size, MAX_ENVELOPES)
                backlogs = [backlog for backlog in part if backlog not in self._in_vain] + behind
            else:
                backlogs = behind

    def report(self) -> None:
        """Raise the first error that is to be raised."""
        for error in (*self._in_vain.values(), self.error, self._damaged):
            if error is not None and not isinstance(error, MailboxFull | UntrustedIdentity):
                raise error


def collect(
    link: Link,
    backlogs: Iterable[Backlog],
    most: int,
    renewed: set[Address],
    patience: Patience | None = None,
) -> Batch:
    """Put together what is to be deposited next, encrypting what waits for it.

    Args:
        link: to the back end.
        backlogs: where to look.
        most: how many at most.
        renewed: recipients with whom a new session was started; updated.
        patience: when it has come to an end, what is not encrypted is left; updated. None: nothing
            is left.
    """
    batch = Batch()
    for backlog in backlogs:
        try:
            for waiting in _next_of_backlog(link, backlog, most - len(batch.items)):
                if waiting.envelope is None and patience is not None and not patience.left:
                    batch.left.append(backlog)
                    break
                _add(link, batch, waiting, renewed)
                if batch.size > MAX_BYTES:
                    batch.items.pop()
                    return batch
        except UntrustedIdentity as error:
            hold_for_decision(link.context, backlog, error.identity_key)
            batch.blocked[backlog] = error
        except NotRegistered:
            raise
        except (BackendError, RecordCorrupted) as error:
            batch.blocked[backlog] = error
            if patience is not None and isinstance(error, BackendError):
                patience.left -= 1
        if len(batch.items) >= most:
            break
    return batch


def _next_of_backlog(link: Link, backlog: Backlog, limit: int) -> list[Waiting]:
    try:
        return next_of_backlog(link.context, backlog, limit)
    except RecordCorrupted:
        if not repair(link.context, backlog):
            raise
        return next_of_backlog(link.context, backlog, limit)


def _add(link: Link, batch: Batch, waiting: Waiting, renewed: set[Address]) -> None:
    try:
        envelope = waiting.envelope or _encrypt(link, waiting, renewed)
    except FINAL as error:
        batch.refused[waiting] = error
        return
    if envelope is not None:
        data = envelope.encode()
        batch.items.append((waiting, data))
        batch.size += len(data)


def _encrypt(link: Link, waiting: Waiting, renewed: set[Address]) -> Envelope | None:
    """Encrypt something now; None when it need not be sent any more.

    With the first of each recipient that needs it a new session is started; the others use that.
    """
    context, address, is_repaired = link.context, waiting.backlog.recipient, False
    before = read_identity(context, address)
    while True:
        try:
            fresh = waiting.fresh_session and address not in renewed
            ensure_session(link, address, fresh=fresh)
            if fresh:
                renewed.add(address)
            return encrypt_waiting(context, waiting, before)
        except RecordCorrupted:
            if is_repaired or not repair_sessions(context, address):
                raise
            is_repaired = True
        except FINAL:
            if before is None:
                note_stranger(context, address)
            raise


def settle_batch(
    link: Link, batch: Batch, failure: Failure | None = None, *, told: bytes = b""
) -> None:
    """Note what became of a batch that was deposited.

    Args:
        link: to the back end.
        batch: which.
        failure: of the call as a whole.
        told: id of a message (16 bytes) whose caller hears of it by an exception alone.
    """
    if failure is not None:
        for waiting, _ in batch.items:
            batch.blocked[waiting.backlog] = failure
    results = [*map(Result, batch.taken)]
    for waiting, error in batch.refused.items():
        is_told = waiting.backlog.name is BacklogName.MESSAGES and waiting.message_id == told
        results.append(Result(waiting, error.code, is_told=is_told))
    settle(link.context, results, blocked=batch.codes)
