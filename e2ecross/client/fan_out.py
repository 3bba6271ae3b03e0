# SPDX-License-Identifier: Apache-2.0
"""Sending content to recipients, one or many: encrypted in one commit, deposited in one call.

Rules:
- Each recipient has a result of their own. What fails with one stops no other.
- A ciphertext leaves after its commit. What the back end has taken is forgotten with the next one.
- What stands behind something else in its lane goes in its order (`outgoing.py`).
- When it was given up to reach the back end, what can be encrypted still is: it is sent later.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from e2ecross.address import Address
from e2ecross.client.attempts import Failure, try_parts
from e2ecross.client.depositing import FINAL, MAX_BYTES, MAX_ENVELOPES, Batch, deposit
from e2ecross.client.link import Link, start_sessions
from e2ecross.client.outgoing import refused_for_another, send_waiting
from e2ecross.device.bundles import NO_NEWS, BundleNews, repair_sessions
from e2ecross.device.posting import Outgoing, Posted, find_posted, post_messages
from e2ecross.device.settling import Result, repair, settle
from e2ecross.errors import (
    BackendError,
    E2ECrossError,
    MailboxFull,
    NoSession,
    NotRegistered,
    RecordCorrupted,
    RemoteError,
    UntrustedIdentity,
)
from e2ecross.state.outbox import Lane, LaneName, Waiting
from e2ecross.wire.content import Content

__all__ = ["FanOut"]

_ROUNDS: Final = 3
"""A damaged session goes, a new one takes its place, and is used."""


_Item = tuple[int, Waiting, bytes]
"""Place of the recipient in the call; what is to be deposited; its envelope, encoded."""


class FanOut:
    """One content on its way to recipients, and what became of it with each."""

    def __init__(self, link: Link, content: Content, failure: Failure | None) -> None:
        """Nothing is sent yet.

        Args:
            link: to the back end.
            content: what the user sends.
            failure: why the back end cannot be reached, if it cannot.
        """
        self._link = link
        self._content = content
        self._failure = failure

    def send(self, messages: Sequence[Outgoing]) -> list[BundleNews | E2ECrossError]:
        """Send to recipients, in their order; what is there twice, under one id, goes once.

        Returns:
            For each what its bundle has brought, if one was taken; then the back end has the
            message, now or before. Or why it has not; see `Client.send`.

        Raises:
            NotRegistered: the back end does not know this device.
            StoreError: the store cannot be read or written.
        """
        each_once = list(dict.fromkeys(messages))
        results = dict(zip(each_once, self._send_each(each_once), strict=True))
        return [results[message] for message in messages]

    def _send_each(self, messages: Sequence[Outgoing]) -> list[BundleNews | E2ECrossError]:
        epoch, posted, news = self._post(messages)
        results: list[BundleNews | E2ECrossError] = []
        items: list[_Item] = []
        behind: dict[int, Posted] = {}
        for place, outcome in enumerate(posted):
            if isinstance(outcome, E2ECrossError):
                results.append(outcome)
                continue
            results.append(news.get(messages[place].address, NO_NEWS))
            if outcome.waiting is not None:
                if outcome.is_alone and outcome.waiting.envelope is not None:
                    data = outcome.waiting.envelope.encode()
                    items.append((place, outcome.waiting, data))
                else:
                    behind[place] = outcome
        for place, error in self._deposit(items, epoch):
            results[place] = error
        for place, error in self._follow(messages, behind):
            results[place] = error
        return results

    def _post(
        self, messages: Sequence[Outgoing]
    ) -> tuple[int, Sequence[Posted | E2ECrossError], dict[Address, BundleNews]]:
        """Put it into the outbox, starting sessions where there are none."""
        outcomes: dict[int, Posted | E2ECrossError] = {}
        news: dict[Address, BundleNews] = {}
        left, epoch, begun = list(range(len(messages))), 0, set[Address]()
        for _ in range(_ROUNDS):
            part = [messages[place] for place in left]
            epoch, found = post_messages(
                self._link.context, self._link.leftovers, part, self._content, begun
            )
            outcomes.update(zip(left, found, strict=True))
            damaged = self._repaired(
                messages[place].address
                for place in left
                if isinstance(outcomes[place], RecordCorrupted)
            )
            without = [place for place in left if isinstance(outcomes[place], NoSession)]
            started = self._start(dict.fromkeys(messages[place].address for place in without))
            for place in without:
                outcome = started[messages[place].address]
                if isinstance(outcome, E2ECrossError):
                    outcomes[place] = outcome
                else:
                    news[messages[place].address] = outcome
            left = [
                place
                for place in left
                if messages[place].address in damaged or isinstance(outcomes[place], NoSession)
            ]
            if not left:
                break
        return epoch, [outcomes[place] for place in range(len(messages))], news

    def _repaired(self, addresses: Iterable[Address]) -> set[Address]:
        repaired, context = set[Address](), self._link.context
        for address in addresses:
            with suppress(RecordCorrupted):  # of what is not repaired
                lane = Lane(LaneName.MESSAGES, address)
                if repair_sessions(context, address) or repair(context, lane):
                    repaired.add(address)
        return repaired

    def _start(self, addresses: Iterable[Address]) -> dict[Address, BundleNews | E2ECrossError]:
        listed = list(addresses)
        if self._failure is not None:
            return dict.fromkeys(listed, self._failure)
        started, self._failure = start_sessions(self._link, listed)
        return dict(zip(listed, started, strict=True))

    def _deposit(self, items: Sequence[_Item], epoch: int) -> list[tuple[int, E2ECrossError]]:
        """Deposit what stands alone in its lane; returns places of what was not taken, and why."""
        failed: dict[Waiting, E2ECrossError] = {}
        batch = Batch()
        wanted = {waiting.message_id for _, waiting, _ in items}

        def call(part: Sequence[_Item]) -> Failure | None:
            batch.items = [(waiting, data) for _, waiting, data in part]
            return deposit(self._link, batch, epoch, wanted=wanted)

        def fail(item: _Item, error: Failure) -> None:
            failed[item[1]] = error

        if self._failure is not None:
            for item in items:
                fail(item, self._failure)
        elif items:
            largest = max(len(data) for _, _, data in items)
            most = min(max(MAX_BYTES // largest, 1), MAX_ENVELOPES)
            self._failure = try_parts(items, most, call, fail)
        for waiting in batch.taken:
            self._link.leftovers.note_sent(waiting)
        for _, waiting, _ in items:
            if waiting.lane in batch.blocked:
                failed[waiting] = batch.blocked[waiting.lane]
        failed |= batch.refused
        if failed:
            self._settle(batch, failed)
        return [(place, failed[waiting]) for place, waiting, _ in items if waiting in failed]

    def _settle(self, batch: Batch, failed: dict[Waiting, E2ECrossError]) -> None:
        """Note what was not taken, and leave out what another call has sent meanwhile."""
        context, given_up = self._link.context, list[Result]()
        found = find_posted(context, self._link.leftovers, list(failed))
        for waiting, now in zip(list(failed), found, strict=True):
            if isinstance(now, Waiting):
                if waiting in batch.refused:
                    is_told = waiting.is_in_flight  # else it was promised before
                    given_up.append(Result(now, failed[waiting].code, is_told=is_told))
            elif now:
                del failed[waiting]
            elif waiting not in batch.refused:
                failed[waiting] = refused_for_another()
        if given_up or batch.blocked:
            settle(context, given_up, blocked=batch.codes)

    def _follow(
        self, messages: Sequence[Outgoing], behind: Mapping[int, Posted]
    ) -> Iterable[tuple[int, E2ECrossError]]:
        """Deposit what stands behind something else, with what stands there."""
        failed: dict[int, E2ECrossError] = {}

        def call(part: Sequence[int]) -> Failure | None:
            (place,) = part
            address, message_id, _ = messages[place]
            try:
                send_waiting(self._link, address, message_id, is_new=behind[place].is_new)
            except NotRegistered:
                raise
            except (BackendError, RemoteError) as error:
                if not isinstance(error, (*FINAL, MailboxFull)):
                    return error
                failed[place] = error
            except (UntrustedIdentity, RecordCorrupted) as error:
                failed[place] = error
            return None

        if self._failure is not None:
            return [(place, self._failure) for place in behind]
        self._failure = try_parts(list(behind), 1, call, failed.__setitem__)
        return failed.items()
