# SPDX-License-Identifier: Apache-2.0
"""Sending content to recipients, one or many: encrypted in one commit, deposited in one call.

Rules:
- Each recipient has a result of their own. What fails with one stops no other; nor does a device
  that cannot be reached stop another of the same recipient.
- A ciphertext leaves after its commit. What the back end has taken is forgotten with the next one.
- The copies of a message are deposited in one call, but those that stand behind something else in
  their backlogs: they go in their order (`outgoing.py`). None for the own account goes before all
  for the recipient: those that have an id of their own go in the next call.
- What the back end says of newer lists is followed a few times, and costs one question where it is
  not true. Whatever becomes of that, what was sent before is sent.
- When it was given up to reach the back end, what can be encrypted still is: it is sent later.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from typing import Final, NamedTuple

from e2ecross.address import Address, UserId
from e2ecross.client.attempts import Failure, try_parts
from e2ecross.client.depositing import FINAL, MAX_BYTES, MAX_ENVELOPES, Batch, deposit
from e2ecross.client.link import Link
from e2ecross.client.outcome import Outcome
from e2ecross.client.outgoing import Told, refused_for_another, send_waiting
from e2ecross.client.parting import Item, Parts, split
from e2ecross.client.planning import fetch_lists, prepare
from e2ecross.client.sent import Sent
from e2ecross.client.sweeping import freeing, sweep_beside
from e2ecross.device.bundles import BundleNews, repair_sessions
from e2ecross.device.composing import Draft
from e2ecross.device.copy_ids import Outgoing
from e2ecross.device.device_lists import find_behind, find_devices, find_replaced
from e2ecross.device.posted import KeysAsked, KeysNeeded, Posted
from e2ecross.device.posting import post_messages, post_missing
from e2ecross.device.settling import Result, repair, settle
from e2ecross.device.sweeping import forget_taken, free_at_once
from e2ecross.device.waiting import find_posted
from e2ecross.errors import (
    BackendError,
    E2ECrossError,
    MailboxFull,
    NotRegistered,
    RecordCorrupted,
    RemoteError,
    UnknownRecipient,
    UntrustedIdentity,
)
from e2ecross.state.outbox import Backlog, BacklogName, Waiting

__all__ = ["FanOut"]

_MAX_PLANS: Final = 3
"""How often is asked or mended what a message needs: devices may come and go meanwhile."""
_MAX_CATCH_UPS: Final = 3
"""How often newer lists are followed in one call."""

_Posts = tuple[Mapping[int, int], Sequence[Posted | KeysNeeded | E2ECrossError | None]]
_Post = Callable[[Sequence[Outgoing]], _Posts]


class _Unsettled(NamedTuple):
    """A copy that was not taken: of which message, why, and whether it is given up for that."""

    message: Outgoing
    error: E2ECrossError
    is_refused: bool


class FanOut:
    """One content on its way to recipients, and what became of it with each."""

    def __init__(self, link: Link, failure: Failure | None = None) -> None:
        """Nothing is sent yet.

        Args:
            link: to the back end.
            failure: why the back end cannot be reached, if it cannot.
        """
        self._link = link
        self._failure = failure
        self._begin(())

    def _begin(self, messages: Iterable[Outgoing]) -> None:
        self._asked = KeysAsked()
        self._begun: set[Address] = set()
        self._news: dict[Address, BundleNews] = {}
        self._outcomes = {message: Outcome(message.address) for message in messages}
        self._unsettled: dict[Waiting, _Unsettled] = {}
        self._fresh: set[Waiting] = set()  # promised to nobody before
        self._blocked: list[tuple[Backlog, str]] = []
        self._to_sweep: list[int] = []
        self._in_vain: dict[Backlog, None] = {}
        self._seqs: dict[UserId, int] = {}  # lists by which was sent
        self._told = Told()
        self._purpose = 0

    def send(self, messages: Sequence[Outgoing], draft: Draft) -> list[Sent | E2ECrossError]:
        """Send content to recipients, in their order; what is there twice, under one id, goes once.

        Returns:
            For each what has been sent, now or before; or why nothing was, see `Client.send`.

        Raises:
            NotRegistered: the back end does not know this device.
            StoreError: the store cannot be read or written.
        """

        def post(part: Sequence[Outgoing]) -> _Posts:
            context, leftovers = self._link.context, self._link.leftovers
            return post_messages(context, leftovers, part, draft, self._begun, self._asked)

        each_once = list(dict.fromkeys(messages))
        self._begin(each_once)
        self._purpose = draft.purpose
        for message, error in self._round(each_once, post).items():
            self._outcomes[message].error = error
        sweep_beside(self._link, dict.fromkeys(self._to_sweep), self._told)
        self._follow_lists()
        self._settle()
        unreachable, news = self._asked.unreachable, self._news
        sender = self._link.context.address
        return [
            self._outcomes[message].result(sender, message.message_id, unreachable, news)
            for message in messages
        ]

    def catch_up(self, told: Told) -> None:
        """Send kept messages also to devices of newer lists that the back end has told of.

        Raises:
            NotRegistered: the back end does not know this device.
            StoreError: the store cannot be read or written.
        """
        self._told = told
        self._follow_lists()
        self._settle()

    def _round(self, messages: Sequence[Outgoing], post: _Post) -> dict[Outgoing, E2ECrossError]:
        """Put messages into the outbox, and deposit them; returns why some were not put there."""
        epochs, results = self._post(messages, post)
        errors: dict[Outgoing, E2ECrossError] = {}
        groups: list[list[Item]] = []
        apart: list[Parts] = []
        left: list[tuple[Parts, Outgoing, Posted, Waiting]] = []
        for message, posted in results.items():
            if isinstance(posted, E2ECrossError):
                errors[message] = posted
            elif posted is not None:
                self._outcomes[message].note(posted)
                self._seqs.update(posted.seqs)
                if posted.is_new:
                    self._fresh.update(copy.waiting for copy in posted.copies)
                parts = split(message, posted)
                groups += [parts.group] if parts.group else []
                apart += [parts] if parts.apart else []
                left += [(parts, message, posted, waiting) for waiting in parts.behind]
        all_posted = (each for each in results.values() if isinstance(each, Posted))
        backlogs = (copy.waiting.backlog for posted in all_posted for copy in posted.copies)
        with freeing(self._link, backlogs):
            self._deposit(groups, epochs)
            due = [p.apart for p in apart if self._is_due(p, [item.waiting for item in p.apart])]
            self._deposit(due, epochs)
            behind = [
                (message, posted, waiting)
                for parts, message, posted, waiting in left
                if waiting.backlog.recipient.user_id == posted.conversation.user_id
                or self._is_due(parts, [waiting])
            ]
            if behind:
                self._give_up({w: each for w, each in self._unsettled.items() if each.is_refused})
                self._follow(behind)
        return errors

    def _post(
        self, messages: Sequence[Outgoing], post: _Post
    ) -> tuple[dict[int, int], dict[Outgoing, Posted | E2ECrossError | None]]:
        """Put messages into the outbox, fetching lists and starting sessions as they need it."""
        results: dict[Outgoing, Posted | E2ECrossError | None] = {}
        left, epochs = list(messages), dict[int, int]()
        for plan in range(_MAX_PLANS + 1):
            told, posted = post(left)
            epochs.update(told)
            needed: dict[Outgoing, KeysNeeded] = {}
            damaged: list[Outgoing] = []
            for message, result in zip(left, posted, strict=True):
                if isinstance(result, KeysNeeded):
                    needed[message] = result
                    results[message] = BackendError(
                        f"the devices of {message.address.user_id} keep changing: try again"
                    )
                    continue
                results[message] = result
                if isinstance(result, RecordCorrupted):
                    damaged.append(message)
            if plan == _MAX_PLANS:
                break
            self._prepare(needed.values())
            left = [*needed, *[each for each in damaged if self._repair(each.address)]]
            if not left:
                break
        return epochs, results

    def _repair(self, recipient: Address) -> bool:
        """Mend what is damaged of the devices that a message goes to; tells whether there was any.

        What is not mended stays, and what it belongs to cannot be sent to.
        """
        context, is_repaired, devices = self._link.context, False, list[Address]()
        with suppress(RecordCorrupted):  # of the stripe: that is the trouble of all who are in it
            devices += find_devices(context, recipient)
        for address in devices:
            with suppress(RecordCorrupted):
                is_repaired |= repair_sessions(context, address)
                is_repaired |= repair(context, Backlog(BacklogName.MESSAGES, address))
        return is_repaired

    def _prepare(self, needed: Iterable[KeysNeeded]) -> None:
        listed = list(needed)
        if self._failure is not None:
            for each in listed:
                self._asked.note_failure(each, self._failure)
        elif listed:
            news, self._failure = prepare(self._link, listed, self._asked)
            self._news |= news

    def _is_due(self, parts: Parts, copies: Iterable[Waiting]) -> bool:
        """Whether copies for the own account go in a later call: not if nobody else has got one."""
        waiting = [item.waiting for item in parts.group]
        reasons = [self._unsettled[each] for each in waiting if each in self._unsettled]
        if not reasons or len(reasons) < len(waiting):
            return True
        is_refused = all(reason.is_refused for reason in reasons)
        error = refused_for_another() if is_refused else reasons[0].error
        for copy in copies:
            self._unsettled[copy] = _Unsettled(parts.message, error, is_refused)
        return False

    def _deposit(self, groups: Sequence[Sequence[Item]], epochs: Mapping[int, int]) -> None:
        """Deposit what stands alone in its backlog, the copies of a message in one call."""
        batch, failed = Batch(), dict[Waiting, Failure]()
        wanted = {item.waiting.message_id for group in groups for item in group}

        def call(part: Sequence[Sequence[Item]]) -> Failure | None:
            batch.items = [(item.waiting, item.data) for group in part for item in group]
            return deposit(self._link, batch, epochs, wanted=wanted)

        def fail(group: Sequence[Item], error: Failure) -> None:
            failed.update((item.waiting, error) for item in group)
            self._note_in_vain(item.waiting.backlog for item in group)

        if self._failure is not None:
            for group in groups:
                fail(group, self._failure)
        elif groups:
            size = max(sum(len(item.data) for item in group) for group in groups)
            count = max(map(len, groups))
            most = max(min(MAX_BYTES // size, MAX_ENVELOPES // count), 1)
            self._failure = try_parts(groups, most, call, fail)
        taken = set(batch.taken)
        self._forget(batch.taken)
        for item in (item for group in groups for item in group):
            waiting = item.waiting
            if waiting not in taken:
                error = failed.get(waiting) or batch.refused.get(waiting)
                if waiting.backlog in batch.blocked:
                    self._note_in_vain([waiting.backlog])
                error = error or batch.blocked[waiting.backlog]
                is_refused = waiting in batch.refused
                self._unsettled[waiting] = _Unsettled(item.message, error, is_refused)
            self._told.messages[item.message] = None
        self._blocked += batch.codes
        self._told.note(batch)

    def _forget(self, taken: Sequence[Waiting]) -> None:
        """Forget what the back end has: with the next commit, or, of many stripes, now."""
        context, leftovers = self._link.context, self._link.leftovers
        if context.store.stripes:
            self._to_sweep += forget_taken(context, leftovers, taken)
            return
        for waiting in taken:
            leftovers.note_sent(waiting)

    def _note_in_vain(self, backlogs: Iterable[Backlog]) -> None:
        """Note that nothing could be sent from backlogs: nobody need wait until we have."""
        if self._link.context.store.stripes:
            self._in_vain.update(dict.fromkeys(backlogs))

    def _follow(self, behind: Sequence[tuple[Outgoing, Posted, Waiting]]) -> None:
        """Deposit what stands behind something else, with what stands there."""

        def call(part: Sequence[tuple[Outgoing, Posted, Waiting]]) -> Failure | None:
            ((message, posted, waiting),) = part
            failed = self._outcomes[message].failed
            try:
                is_sent = send_waiting(
                    self._link,
                    posted.conversation,
                    message.message_id,
                    waiting,
                    self._told,
                    is_new=posted.is_new,
                )
            except NotRegistered:
                raise
            except (BackendError, RemoteError) as error:
                if not isinstance(error, (*FINAL, MailboxFull)):
                    return error
                failed[waiting.backlog.recipient] = error
            except (UntrustedIdentity, RecordCorrupted) as error:
                failed[waiting.backlog.recipient] = error
            else:
                if not is_sent:
                    failed[waiting.backlog.recipient] = _waits_for_others()
                elif self._link.context.store.stripes:
                    stripe = self._link.context.stripe_of(waiting.backlog.recipient.user_id)
                    self._to_sweep.append(stripe)
            return None

        def fail(item: tuple[Outgoing, Posted, Waiting], error: Failure) -> None:
            message, _, waiting = item
            self._outcomes[message].failed[waiting.backlog.recipient] = error
            self._note_in_vain([waiting.backlog])

        if self._failure is not None:
            for item in behind:
                fail(item, self._failure)
        else:
            self._failure = try_parts(behind, 1, call, fail)

    def _follow_lists(self) -> None:
        """Fetch newer lists that the back end tells of, and send to devices that are in them."""
        link, own = self._link, self._link.context.address.user_id

        def post(part: Sequence[Outgoing]) -> _Posts:
            known = (self._begun, self._asked, self._purpose)
            return post_missing(link.context, link.leftovers, part, *known)

        for _ in range(_MAX_CATCH_UPS):
            gone, self._told.gone = self._told.gone, set()
            if not self._may_be_behind(gone):
                return
            behind = find_behind(link.context, self._told.seqs, gone)
            newer = fetch_lists(link, behind)[0] if behind else set[UserId]()
            # A newer one may have come with a message since: with one that was taken in before a
            # list is accepted that removes its sender, or in another process.
            newer |= find_replaced(link.context, self._seqs)
            # What is told names a copy by its device: it is of a message that is known, or one.
            known = {message.name: message for message in self._outcomes}
            touched = dict.fromkeys(
                known.setdefault(message.name, message)
                for message in self._told.messages
                if message.address.user_id in newer or own in newer
            )
            if not touched:
                return
            self._asked.users.update((own, *(message.address.user_id for message in touched)))
            for message in touched:
                self._outcomes.setdefault(message, Outcome(message.address))
            self._round([*touched], post)

    def _may_be_behind(self, gone: Set[UserId]) -> bool:
        """Whether the back end tells of newer lists than was sent by, or that devices are gone."""
        is_newer = any(seq > self._seqs.get(user, 0) for user, seq in self._told.seqs.items())
        return self._failure is None and (bool(gone) or is_newer)

    def _settle(self) -> None:
        """Note what was not taken."""
        if self._unsettled:
            self._give_up(dict(self._unsettled), blocked=self._blocked)
        if self._in_vain:
            free_at_once(self._link.context, self._in_vain)

    def _give_up(
        self, listed: Mapping[Waiting, _Unsettled], *, blocked: Sequence[tuple[Backlog, str]] = ()
    ) -> None:
        """Note what was not taken, and leave out what another call has sent meanwhile."""
        context, given_up = self._link.context, list[Result]()
        copies = [
            (self._outcomes[message].conversation, message.message_id, waiting)
            for waiting, (message, _, _) in listed.items()
        ]
        found = find_posted(context, self._link.leftovers, copies) if copies else []
        for (waiting, unsettled), now in zip(listed.items(), found, strict=True):
            del self._unsettled[waiting]
            message, error, is_refused = unsettled
            # With a device that is not listed any more its backlog has gone: nobody has sent that.
            if now is True and not isinstance(error, UnknownRecipient):
                continue
            if now is False and not is_refused:
                error = refused_for_another()
            elif isinstance(now, Waiting) and is_refused:
                given_up.append(Result(now, error.code, is_told=waiting in self._fresh))
            self._outcomes[message].failed[waiting.backlog.recipient] = error
        if given_up or blocked:
            settle(context, given_up, blocked=blocked)


def _waits_for_others() -> BackendError:
    return BackendError("a copy for an own device goes after a message to others that waits")
