# SPDX-License-Identifier: Apache-2.0
"""One deposit of many envelopes, and what becomes of each.

Rules:
- Each envelope is taken or refused on its own. That the call fails says nothing about any of them.
- What the back end refuses for good is given up. What it cannot do now is tried again.
- Of lists it may speak for the accounts alone that something was deposited for, and the own one:
  else it could make this device ask for strangers, and keep what it is told of them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from e2ecross.address import UserId
from e2ecross.client.attempts import Failure
from e2ecross.client.link import Link
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    E2ECrossError,
    MailboxFull,
    NoSession,
    NotRegistered,
    RemoteError,
    SessionExhausted,
    UnknownRecipient,
    UntrustedIdentity,
)
from e2ecross.metrics import Watch
from e2ecross.state.outbox import Backlog, BacklogName, Waiting

__all__ = ["FINAL", "MAX_BYTES", "MAX_ENVELOPES", "Batch", "deposit"]

FINAL: Final = (UnknownRecipient, BackendRefused, RemoteError, SessionExhausted, NoSession)
"""What will be said again when the same thing is tried again."""
MAX_ENVELOPES: Final = 1_024
MAX_BYTES: Final = 4 * 1024 * 1024
"""Of one deposit."""


@dataclass(slots=True)
class Batch:
    """What goes in one deposit, and what becomes of it.

    Attributes:
        items: what waits, with its envelope, backlog by backlog.
        taken: what the back end has.
        refused: what is given up, and why.
        blocked: backlogs that cannot go on, and why.
        left: backlogs that were not looked at to their end, because too much was done in vain.
        seqs: the newest lists of devices, by what the back end says.
        size: bytes of all envelopes.
    """

    items: list[tuple[Waiting, bytes]] = field(default_factory=list)
    taken: list[Waiting] = field(default_factory=list)
    refused: dict[Waiting, E2ECrossError] = field(default_factory=dict)
    blocked: dict[Backlog, E2ECrossError] = field(default_factory=dict)
    left: list[Backlog] = field(default_factory=list)
    seqs: dict[UserId, int] = field(default_factory=dict)
    size: int = 0

    @property
    def codes(self) -> list[tuple[Backlog, str]]:
        """What backlogs wait to pass; not those that wait for the user, who are noted elsewhere."""
        return [
            (backlog, error.code)
            for backlog, error in self.blocked.items()
            if not isinstance(error, UntrustedIdentity)
        ]


def deposit(
    link: Link, batch: Batch, epochs: Mapping[int, int], *, wanted: Collection[bytes] = ()
) -> Failure | None:
    """Deposit a batch, and add what became of it; returns the error of the call as a whole.

    That may be one of a peer: a back end that raises it for one envelope must not stop others.

    Args:
        link: to the back end.
        batch: what is deposited.
        epochs: to tell, by stripe; those of all that is deposited are among them.
        wanted: ids of messages (16 bytes) whose caller waits: they do not wait for room.

    Raises:
        NotRegistered: nobody's envelopes are taken.
        RestoredStore: the back end has seen the store further ahead.
    """
    if not batch.items:
        return None
    envelopes = [data for _, data in batch.items]
    users = {waiting.backlog.recipient.user_id for waiting, _ in batch.items}
    stripes = {link.context.stripe_of(user) for user in users}
    told = {stripe: epochs[stripe] for stripe in sorted(stripes)}
    try:
        consents = [waiting.consent for waiting, _ in batch.items]
        answer = link.backend.deposit_all(link.token, envelopes, told, consents)
    except NotRegistered:
        raise
    except (BackendError, RemoteError) as error:
        return error
    for stripe, epoch in answer.epochs.items():
        link.context.watch.note(epoch, "the back end", stripe)
    own = link.context.address.user_id
    users.add(own)
    batch.seqs.update({user: seq for user, seq in answer.seqs.items() if user in users})
    new: list[Waiting] = []
    for place, (waiting, _) in enumerate(batch.items):
        reason = answer.refused.get(place)
        if reason is None:
            new.append(waiting)
            continue
        # What was promised waits until there is room; what is not, or whose caller waits, does not.
        is_dropped = isinstance(reason, MailboxFull) and (
            waiting.backlog.name is BacklogName.REQUESTS or waiting.message_id in wanted
        )
        if is_dropped or isinstance(reason, FINAL):
            batch.refused[waiting] = reason
        else:
            batch.blocked[waiting.backlog] = reason
    batch.taken += new
    if batch.refused:
        _keep_own_copies(batch, own)
    if link.watch is not None:
        _tell(link.watch, batch, new)
    return None


def _tell(watch: Watch, batch: Batch, taken: Collection[Waiting]) -> None:
    """Tell how many copies of messages the back end has now, and what it refuses for good."""
    sent = sum(waiting.backlog.name is BacklogName.MESSAGES for waiting in taken)
    if sent:
        watch.count("sent", sent)
    for waiting, _ in batch.items:
        if waiting in batch.refused:
            watch.event("deposit_refused", batch.refused[waiting].code)


def _keep_own_copies(batch: Batch, own: UserId) -> None:
    """Let copies for the own account, which goes without none of the others, wait with them."""
    waiting_for = {
        waiting.message_id
        for waiting, _ in batch.items
        if waiting.backlog.recipient.user_id != own and waiting.backlog in batch.blocked
    }
    for waiting, reason in list(batch.refused.items()):
        is_own = waiting.backlog.recipient.user_id == own
        if is_own and waiting.message_id in waiting_for and isinstance(reason, BackendRefused):
            batch.blocked[waiting.backlog] = batch.refused.pop(waiting)
