# SPDX-License-Identifier: Apache-2.0
"""Sending through a back end: from the outbox to envelopes that the back end has.

Rules:
- Each lane goes in its order, and none waits for another: what fails with one recipient delays that
  recipient alone, also where the back end refuses a whole call for the sake of one envelope in it.
- How much is tried in vain in one call is bounded; lanes that were tried are not tried again before
  those that were not, and take turns. What goes well goes on.
- What the back end refuses for good is given up. What it cannot do now is tried again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from e2ecross.address import Address
from e2ecross.client.link import Link, ensure_session
from e2ecross.device.bundles import NO_NEWS, BundleNews, repair_sessions
from e2ecross.device.posting import (
    encrypt_message,
    encrypt_waiting,
    is_settled,
    next_lanes,
    next_of_lane,
    read_epoch_to_tell,
    read_held_key,
)
from e2ecross.device.settling import Result, hold_for_decision, repair, settle, take_back
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
from e2ecross.state.outbox import Lane, LaneName, TurnKind, Waiting
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
"""Lanes of a kind that one flush tries in vain."""
_MAX_FAILURES: Final = 6
"""Calls that may fail one after another: after one for several lanes, each is tried alone."""


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
) -> tuple[bool | None, BundleNews]:
    """Encrypt a message and put it into the outbox, unless it is or has been there.

    Args:
        link: to the back end.
        address: the recipient.
        content: what the user sends.
        message_id: 16 bytes.

    Returns:
        True when it was put there now, False when it waited before, None when it was sent before;
        and what the bundle has brought that it took.

    Raises:
        E2ECrossError: as `ensure_session` and `encrypt_message`.
    """
    context, news, is_repaired = link.context, NO_NEWS, False
    lane = Lane(LaneName.MESSAGES, address)
    for _ in range(_ATTEMPTS):
        try:
            return encrypt_message(context, address, content, message_id), news
        except NoSession:
            news = ensure_session(link, address, fresh=True)
        except RecordCorrupted:
            if is_repaired or not (repair_sessions(context, address) or repair(context, lane)):
                raise
            is_repaired = True
    return encrypt_message(context, address, content, message_id), news


_ATTEMPTS: Final = 2
"""A damaged session goes, then a new one takes its place."""


def send_waiting(link: Link, address: Address, message_id: bytes, *, is_new: bool) -> None:
    """Deposit what waits for a recipient, up to a message (16 bytes of id) of ours.

    Args:
        link: to the back end.
        address: the recipient.
        message_id: of the message.
        is_new: whether nothing was promised before: then an exception is all that is told of it.
            Else a notice says it, too: an exception may be lost on its way to the caller.

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
        # A call that fails as a whole says nothing of the lane: the next flush begins with it.
        _settle(link, batch, None, wanted=message_id if is_new else b"")
        is_sent = is_settled(context, address, message_id)
        if is_sent:
            return
        if is_sent is False:
            raise batch.refused.get(message_id) or BackendRefused(
                "the back end has refused the message: a notice says why"
            )
        error = failure or batch.blocked.get(lane) or _held(link, lane)
        if isinstance(error, MailboxFull):
            take_back(context, address, message_id, is_told=is_new)
        if error is not None:
            raise error
        most = min(2 * most, _MAX_ENVELOPES)


def _held(link: Link, lane: Lane) -> UntrustedIdentity | None:
    """Return that a lane waits for the user, if it does: then nothing of it was collected."""
    key = read_held_key(link.context, lane)
    return UntrustedIdentity(lane.recipient, key) if key else None


def flush_outbox(link: Link) -> None:
    """Deposit what waits in the outbox.

    Raises:
        BackendError: the back end could not do it all; the first reason. The rest waits.
        RecordCorrupted: likewise, because a record is damaged.
    """
    flush = _Flush(link)
    for kind in (TurnKind.READY, TurnKind.LATER):
        for name in LaneName:  # what users sent goes first
            flush.send_all(name, kind)
        if flush.error is not None:  # nobody may be reached: enough was tried
            break
    flush.report()


class _Flush:
    """One walk over the lanes.

    Attributes:
        error: why it was given up to reach anybody.
    """

    def __init__(self, link: Link) -> None:
        """Of this device; nothing is sent yet."""
        self.error: E2ECrossError | None = None
        self._link = link
        self._renewed: set[Address] = set()
        self._in_vain: dict[Lane, E2ECrossError] = {}
        self._damaged: RecordCorrupted | None = None

    def send_all(self, name: LaneName, kind: TurnKind) -> None:
        """Deposit what waits in lanes of a kind, within the bounds on what is tried in vain."""
        size = _FIRST_BATCH if kind is TurnKind.READY else 1
        after, failures, tried = 0, 0, len(self._in_vain)
        lanes: list[Lane] = []
        while len(self._in_vain) - tried < _MAX_IN_VAIN:
            if not lanes:
                turns = next_lanes(self._link.context, name, kind, after, size)
                after, self._damaged = turns.last, self._damaged or turns.damaged
                # Behind what was tried just now nothing else stands.
                lanes = [lane for lane in turns.lanes if lane not in self._in_vain]
                if not lanes:
                    return
            part, behind = lanes[:size], lanes[size:]
            batch = _collect(self._link, part, size, self._renewed)
            failure = _deposit(self._link, batch)
            if failure is not None:
                failures, size = failures + 1, 1
            if failure is None or len(part) == 1:
                _settle(self._link, batch, failure)
                self._in_vain |= batch.blocked
            if failures == _MAX_FAILURES:
                self.error = failure
                return
            if failure is not None:  # one of many may be the reason: the others do not wait for it
                lanes = part + behind if len(part) > 1 else behind
            elif batch.items or batch.results:
                failures, size = 0, min(2 * size, _MAX_ENVELOPES)
                lanes = [lane for lane in part if lane not in self._in_vain] + behind
            else:
                lanes = behind

    def report(self) -> None:
        """Raise the first error that is to be raised."""
        for error in (*self._in_vain.values(), self.error, self._damaged):
            if error is not None and not isinstance(error, MailboxFull | UntrustedIdentity):
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
            for waiting in _next_of_lane(link, lane, most - len(batch.items)):
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


def _next_of_lane(link: Link, lane: Lane, limit: int) -> list[Waiting]:
    try:
        return next_of_lane(link.context, lane, limit)
    except RecordCorrupted:
        if not repair(link.context, lane):
            raise
        return next_of_lane(link.context, lane, limit)


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
        if not isinstance(error, UntrustedIdentity)
    ]
    settle(link.context, batch.results, blocked=blocked, wanted=wanted)
