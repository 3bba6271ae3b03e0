# SPDX-License-Identifier: Apache-2.0
"""Sending through a back end: from the outbox to envelopes that the back end has.

Rules:
- Each lane goes in its order, and none waits for another: what fails with one recipient delays that
  recipient alone, also where the back end refuses a whole call for the sake of one envelope in it.
- How much is tried in vain in one call is bounded; lanes that were take their turn behind the
  others. What goes well goes on.
- What the back end refuses for good is given up. What it cannot do now is tried again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from e2ecross.address import Address
from e2ecross.client.link import Link, ensure_session
from e2ecross.device.bundles import NO_NEWS, BundleNews, repair_sessions
from e2ecross.device.posting import (
    Result,
    encrypt_message,
    encrypt_waiting,
    hold_for_decision,
    is_settled,
    next_lanes,
    next_of_lane,
    read_epoch_to_tell,
    settle,
    take_back,
)
from e2ecross.device.trusting import read_identity
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    E2ECrossError,
    MailboxFull,
    NoSession,
    NotRegistered,
    RecordCorrupted,
    RemoteError,
    SessionExhausted,
    UnknownRecipient,
    UntrustedIdentity,
)
from e2ecross.state.outbox import Lane, LaneName, Waiting
from e2ecross.wire.content import Content
from e2ecross.wire.envelope import Envelope

__all__ = ["flush_outbox", "prepare_message", "send_waiting"]

_FINAL: Final = (UnknownRecipient, BackendRefused, RemoteError, SessionExhausted, NoSession)
"""What will be said again when the same thing is tried again."""
_MAX_ENVELOPES: Final = 1_024
_MAX_BYTES: Final = 4 * 1024 * 1024
_FIRST_BATCH: Final = 16
"""While nothing is known of the way, little is read for it; then twice as much each time."""
_MAX_IN_VAIN: Final = 32
"""Lanes that one flush tries in vain."""
_MAX_FAILURES: Final = 6
"""Calls that may fail one after another: a batch of 16 lanes is halved until one is left."""


@dataclass(slots=True)
class _Batch:
    """What goes in one deposit, and what becomes of it.

    Attributes:
        items: what waits, with its envelope, lane by lane.
        results: what the back end has, and what is given up.
        refused: errors of what is given up, by message id.
        blocked: lanes that cannot go on, and why.
        size: bytes of all envelopes.
    """

    items: list[tuple[Waiting, bytes]] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    refused: dict[bytes, E2ECrossError] = field(default_factory=dict)
    blocked: dict[Lane, E2ECrossError] = field(default_factory=dict)
    size: int = 0

    def give_up(self, waiting: Waiting, error: E2ECrossError) -> None:
        """Note that something will not be sent."""
        self.results.append(Result(waiting, error.code))
        self.refused[waiting.message_id] = error


def prepare_message(
    link: Link, address: Address, content: Content, message_id: bytes
) -> tuple[bool, BundleNews]:
    """Encrypt a message and put it into the outbox, unless it is or has been there.

    Args:
        link: to the back end.
        address: the recipient.
        content: what the user sends.
        message_id: 16 bytes.

    Returns:
        Whether it is there, else it was sent before; and what the bundle has brought that it took.

    Raises:
        E2ECrossError: as `ensure_session` and `encrypt_message`.
    """
    context, news, is_repaired = link.context, NO_NEWS, False
    for _ in range(_ATTEMPTS):
        try:
            return encrypt_message(context, address, content, message_id) is not None, news
        except NoSession:
            news = ensure_session(link, address, fresh=True)
        except RecordCorrupted:
            if is_repaired or not repair_sessions(context, address):
                raise
            is_repaired = True
    return encrypt_message(context, address, content, message_id) is not None, news


_ATTEMPTS: Final = 2
"""A damaged session goes, then a new one takes its place."""


def send_waiting(link: Link, address: Address, message_id: bytes) -> None:
    """Deposit what waits for a recipient, up to a message (16 bytes of id) of ours.

    Raises:
        UnknownRecipient: the back end does not know the recipient.
        MailboxFull: the recipient has no room; the message was taken back.
        BackendRefused: the back end refuses it; or has refused it when somebody else asked.
        UntrustedIdentity: what stands before it waits for the user, and so does it.
        BackendError: the back end cannot be reached; everything stays.
    """
    lane, context = Lane(LaneName.MESSAGES, address), link.context
    most, renewed = _FIRST_BATCH, set[Address]()
    while True:
        batch = _collect(link, [lane], most, renewed)
        failure = _deposit(link, batch, wanted=message_id)
        _settle(link, batch, failure, wanted=message_id)
        is_sent = is_settled(context, address, message_id)
        if is_sent:
            return
        if is_sent is False:
            raise batch.refused.get(message_id) or BackendRefused(
                "the back end has refused the message: a notice says why"
            )
        error = failure or batch.blocked.get(lane)
        if isinstance(error, MailboxFull):
            take_back(context, address, message_id)
        if error is not None:
            raise error
        most = min(2 * most, _MAX_ENVELOPES)


def flush_outbox(link: Link) -> None:
    """Deposit what waits in the outbox.

    Raises:
        BackendError: the back end could not do it all; the first reason. The rest waits.
        RecordCorrupted: likewise, because a record is damaged.
    """
    after, most, failures = 0, _FIRST_BATCH, 0
    renewed: set[Address] = set()
    in_vain: dict[Lane, E2ECrossError] = {}
    while len(in_vain) < _MAX_IN_VAIN and failures < _MAX_FAILURES:
        lanes, after = next_lanes(link.context, after, most)
        todo = [[lane for lane in lanes if lane not in in_vain]]
        if not todo[0]:
            break
        while todo and failures < _MAX_FAILURES:
            part = todo.pop()
            batch = _collect(link, part, most, renewed)
            failure = _deposit(link, batch)
            failures = 0 if failure is None else failures + 1
            if failure is not None and len(part) > 1:
                # One of them may be the reason: the others do not wait for it.
                half = len(part) // 2
                todo += [part[half:], part[:half]]
                continue
            _settle(link, batch, failure)
            in_vain |= batch.blocked
            if batch.items and failure is None:
                most = min(2 * most, _MAX_ENVELOPES)
                todo.append([lane for lane in part if lane not in in_vain])
    for error in in_vain.values():
        if not isinstance(error, MailboxFull | UntrustedIdentity):
            raise error


def _collect(link: Link, lanes: Iterable[Lane], most: int, renewed: set[Address]) -> _Batch:
    """Put together what is to be deposited next, encrypting what waits for it.

    Args:
        link: to the back end.
        lanes: where to look.
        most: how many at most.
        renewed: recipients with whom a new session was started; updated.
    """
    batch = _Batch()
    for lane in lanes:
        try:
            for waiting in next_of_lane(link.context, lane, most - len(batch.items)):
                _add(link, batch, waiting, renewed)
                if batch.size > _MAX_BYTES:
                    batch.items.pop()
                    return batch
        except UntrustedIdentity as error:
            hold_for_decision(link.context, lane, error.identity_key)
            batch.blocked[lane] = error
        except NotRegistered:
            raise
        except (BackendError, RecordCorrupted) as error:
            batch.blocked[lane] = error
        if len(batch.items) >= most:
            break
    return batch


def _add(link: Link, batch: _Batch, waiting: Waiting, renewed: set[Address]) -> None:
    try:
        envelope = waiting.envelope or _encrypt(link, waiting, renewed)
    except _FINAL as error:
        batch.give_up(waiting, error)
        return
    if envelope is not None:
        data = envelope.encode()
        batch.items.append((waiting, data))
        batch.size += len(data)


def _encrypt(link: Link, waiting: Waiting, renewed: set[Address]) -> Envelope | None:
    """Encrypt something now; None when it need not be sent any more.

    With the first of each recipient that needs it a new session is started; the others use that.
    """
    context, address = link.context, waiting.lane.recipient
    before = read_identity(context, address)
    for _ in range(_ATTEMPTS):
        try:
            fresh = waiting.fresh_session and address not in renewed
            ensure_session(link, address, fresh=fresh)
            if fresh:
                renewed.add(address)
            return encrypt_waiting(context, waiting, before)
        except RecordCorrupted:
            if not repair_sessions(context, address):
                raise
    return encrypt_waiting(context, waiting, before)


def _deposit(
    link: Link, batch: _Batch, *, wanted: bytes = b""
) -> BackendError | RemoteError | None:
    """Deposit a batch, and add what became of it; returns the error of the call as a whole.

    That may be one of a peer: a back end that raises it for one envelope must not stop others.
    """
    if not batch.items:
        return None
    envelopes = [data for _, data in batch.items]
    try:
        epoch = read_epoch_to_tell(link.context)
        refused, told = link.backend.deposit_all(link.token, envelopes, epoch)
    except NotRegistered:
        raise
    except (BackendError, RemoteError) as error:
        return error
    link.context.watch.note(told, "the back end")
    for place, (waiting, _) in enumerate(batch.items):
        reason = refused.get(place)
        # What was promised waits until there is room; what is not, or whose caller waits, does not.
        is_dropped = isinstance(reason, MailboxFull) and (
            waiting.lane.name is LaneName.REQUESTS or waiting.message_id == wanted
        )
        if reason is None:
            batch.results.append(Result(waiting))
        elif is_dropped or isinstance(reason, _FINAL):
            batch.give_up(waiting, reason)
        else:
            batch.blocked[waiting.lane] = reason
    return None


def _settle(
    link: Link,
    batch: _Batch,
    failure: BackendError | RemoteError | None,
    *,
    wanted: bytes = b"",
) -> None:
    if failure is not None:
        for waiting, _ in batch.items:
            batch.blocked[waiting.lane] = failure
    blocked = [
        (lane, error.code)
        for lane, error in batch.blocked.items()
        if not isinstance(error, UntrustedIdentity | RecordCorrupted)
    ]
    settle(link.context, batch.results, blocked=blocked, wanted=wanted)
