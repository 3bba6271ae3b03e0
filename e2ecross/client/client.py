# SPDX-License-Identifier: Apache-2.0
"""`Client`: a device with a back end. Fetches bundles, sends, receives, acknowledges.

Rules:
- Nothing is asked of the back end inside a store transaction, and no row is read or written here:
  each step is one operation of the device.
- Sending: encrypt and keep in the outbox in one commit, deposit, forget.
- Receiving: decrypt and keep in the inbox in one commit, acknowledge, hand over, and forget when
  the caller confirms.
- A message that cannot be read is final, and stops nothing else. What the store or the way to the
  back end did wrong is not: the message stays at the back end.
- What an app must hear comes as a `Notice`, also when nobody was waiting for an answer.
"""

import os
from collections.abc import Iterable
from typing import Final, NoReturn, SupportsIndex

from e2ecross.arguments import (
    forgets_secrets,
    require_callable,
    require_file_name,
    require_type,
    require_whole_number,
)
from e2ecross.client.account_calls import AccountCalls
from e2ecross.client.answers import CheckedBackend
from e2ecross.client.attachment_calls import AttachmentCalls
from e2ecross.client.backend import Backend
from e2ecross.client.blob_answers import find_blobs
from e2ecross.client.blob_store import BlobStore
from e2ecross.client.conversation_calls import ConversationCalls
from e2ecross.client.group_calls import GroupCalls
from e2ecross.client.held_incoming import HeldArrival
from e2ecross.client.held_mail import HeldMail
from e2ecross.client.incoming import Arrival, forget_what_is_gone
from e2ecross.client.link import Link
from e2ecross.client.publishing import publish
from e2ecross.client.receiving import fetch_some
from e2ecross.client.sending_calls import SendingCalls
from e2ecross.client.spool import Spool
from e2ecross.client.tending import Tending, attempt
from e2ecross.client.watching import watching
from e2ecross.device.batch import Progress
from e2ecross.device.collecting import HandedOver, confirm_items, hand_over, require_of_inbox
from e2ecross.device.device import Device, context_of
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.moving import at_moved_server, that_resumes
from e2ecross.device.own_upkeep import note_list_unpublished
from e2ecross.device.registering import Token, note_registered, prepare_token, read_token
from e2ecross.device.uploading import spool_prefix
from e2ecross.device.waiting import Pending, list_pending
from e2ecross.errors import BackendError, E2ECrossError, NotRegistered, RestoredStore, StoreMoved
from e2ecross.metrics import Metrics
from e2ecross.state.epoch import check_backend_epoch
from e2ecross.state.inbox import InboxItem
from e2ecross.wire.exchange import MAX_WAIT_MS

__all__ = ["Client"]

_MAX_BATCH: Final = 1000


class Client(AccountCalls, AttachmentCalls, ConversationCalls, GroupCalls, SendingCalls):
    """A `Device` and the `Backend` that it is registered at."""

    __slots__ = (
        "_backend",
        "_blobs",
        "_context",
        "_device",
        "_handed_over",
        "_held",
        "_is_epoch_checked",
        "_is_tidy",
        "_leftovers",
        "_link",
        "_refusals",
        "_spool",
        "_tending",
        "_wait_ms",
        "_watching",
    )

    def __init__(
        self,
        device: Device,
        backend: Backend,
        *,
        blobs: BlobStore | None = None,
        spool_dir: str | os.PathLike[str] | None = None,
        wait_ms: int = 0,
        metrics: Metrics | None = None,
    ) -> None:
        """Put a device and a back end together.

        Args:
            device: the device.
            backend: any implementation of the `Backend` protocol, such as `Relay`; synchronous.
            blobs: where files are kept; by default the back end, if it has what `BlobStore` asks.
            spool_dir: the folder where files wait, encrypted, to be uploaded; each time the same,
                so that what was interrupted is found. By default the system's for temporary files.
            wait_ms: how long `receive` lets the back end wait for mail when there is nothing to
                return, milliseconds, 0 to 30,000. A `Relay` answers at once, a service waits.
            metrics: is told what is sent and received, what fails, and what waits. None: nobody is.

        Raises:
            InvalidArgument: `device` is no `Device`, `backend`, `blobs` or `metrics` lacks a
                method, or `wait_ms` is out of range.
        """
        require_type("device", device, Device)
        require_whole_number("wait_ms", wait_ms, 0, MAX_WAIT_MS)
        self._wait_ms = wait_ms
        self._device = device
        self._context = that_resumes(context_of(device), self._look_into_move)
        self._backend = CheckedBackend(backend)
        self._blobs = find_blobs(blobs, backend)
        self._is_epoch_checked = False
        self._refusals = 0  # of the store, at the last look
        self._is_tidy = False  # numbers that a killed process has left are forgotten
        self._handed_over = HandedOver()
        self._held = HeldMail(self._context) if self._context.store.stripes else None
        self._leftovers = Leftovers()
        self._link: Link | None = None
        folder = None if spool_dir is None else require_file_name("spool_dir", spool_dir)
        self._spool = Spool(folder, spool_prefix(self._context))
        self._tending = Tending()
        self._watching = watching(self._context, metrics)

    def __repr__(self) -> str:
        return f"<Client of {self._device.address}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a Client holds secrets and cannot be pickled or copied: make another one")

    @property
    def device(self) -> Device:
        """The device."""
        return self._device

    def for_thread(self) -> "Client":
        """Return another client of the same device and back end, for another thread.

        Both work at once, as in two processes. What was received is confirmed by either.
        """
        other = Client(self._device, self._backend.backend, wait_ms=self._wait_ms)
        other._blobs, other._spool = self._blobs, self._spool
        other._watching = self._watching
        other._leftovers = self._leftovers  # else each would show as pending what the other sent
        if self._held is not None:
            other._held = self._held.for_thread()
        return other

    @forgets_secrets
    def register(self) -> None:
        """Claim the device's address at the back end and publish its keys; may be repeated.

        After `Device.import_identity` this ends the installation that the identity was moved from:
        it gets `NotRegistered` from then on.

        Raises:
            BackendRefused: the address is taken, or may not be claimed.
            BackendError: the back end cannot be reached.
            RestoredStore: the store is older than what the back end has seen of the device.
            StoreError: the store cannot be read or written.
        """
        context = self._context
        registration = prepare_token(context)
        self._backend.register(context.address, registration.token, registration.replaces)
        link = self._link_by(registration.token)
        self._check_epoch(link)
        if not registration.is_complete:
            publish(link, context.policy.one_time_prekeys_target)
            note_registered(context)
        note_list_unpublished(context)  # the back end may have lost it with the address
        self.maintain()

    def maintain(self) -> None:
        """Refill prekeys, replace old ones, publish the list of devices, send what waits.

        Groups hear of what was changed in them and could not be told at once. Those that the own
        account never was in are forgotten a day after they were heard of.

        What was kept of sent messages whose time is over goes, too, and their files; and what was
        not uploaded in a week.

        Each is done whatever becomes of the others; then the first error is raised.

        Raises:
            NotRegistered: call `register` first.
            BackendRefused: the back end has refused a publication, or something else.
            BackendError: the back end cannot be reached.
            RestoredStore: the store is older than what the back end has seen of the device.
            StoreError: the store cannot be read or written.
        """
        link = self._way()
        self._check_epoch(link)
        errors: list[E2ECrossError] = []
        self._tending.maintain(link, self._blobs, self._spool, errors)
        if self._watching is not None:
            self._watching.tell_ages()
        if errors:
            raise errors[0]

    def pending(self) -> list[Pending]:
        """Return the messages that still wait to be sent, each with what it waits for.

        Raises:
            StoreError: the store cannot be read.
        """
        return list_pending(self._context, self._leftovers)

    def receive(self, limit: int = 100, *, progress: Progress | None = None) -> list[InboxItem]:
        """Return what has arrived, in order: messages, failures in their places, notices.

        It is empty when nothing waits for the app (in a store with stripes: for this worker).
        An item that is not confirmed comes again from the next `Client` of this store, flagged
        as `redelivered`. In a store with stripes it comes again from any `Client` a minute after
        it was handed over, unless it is held for longer (`hold`); until then no other gets it,
        nor what its sender sends after it.

        Who sent a message that could not be read is asked to send it again
        (`FailedMessage.retrying`), and who asks us gets what they ask for.

        Args:
            limit: how many items at most, 1 to 1000.
            progress: called with how many envelopes were taken in and how many were handed out so
                far, between transactions. What it raises ends the call; the next goes on.

        Raises:
            NotRegistered: call `register` first; or the identity was moved to another
                installation. Nothing is there to return.
            BackendError: the back end cannot be reached, and nothing is there to return.
            RestoredStore: the store is older than what was seen of it; nothing is acknowledged.
            StoreError: the store cannot be read or written, and nothing is there to return.
            PrekeysExhausted: the device has used its prekey ids, and nothing is there to return.
            InvalidArgument: an argument has the wrong type, or `limit` is out of range.
        """
        require_whole_number("limit", limit, 1, _MAX_BATCH)
        if progress is not None:
            require_callable("progress", progress)
        if self._held is not None:
            return self._receive_held(self._held, limit, progress)
        link, handed, errors = self._way(), self._handed_over, list[E2ECrossError]()
        before = handed.last
        try:
            items = self._hand_over(limit)
            if len(items) < limit:
                arrival = Arrival(link, limit - len(items), errors, progress)

                def has_found() -> bool:
                    attempt(errors, lambda: items.extend(self._hand_over(limit - len(items))))
                    return bool(items or self._context.live.typing)

                fetch_some(
                    arrival, self._wait_ms, errors, lambda: self._collect(arrival), has_found
                )
            for error in errors:
                if isinstance(error, RestoredStore):
                    raise error
        except BaseException:
            handed.last = before  # nobody has got them: they come again
            raise
        items += self._context.live.take_typing(limit - len(items))
        if not items:
            errors += handed.take_damaged()  # in the place of no item
            if errors:
                raise errors[0]
        return self._told(items)

    def confirm(self, items: Iterable[InboxItem]) -> None:
        """Close items that `receive` returned: the app has stored or shown them.

        Items of any `Client` of this store may be given, also of one before a restart.

        In a store with stripes the back end is told first; if it cannot be reached, the next
        `receive` tells it.

        Raises:
            InvalidArgument: an item that `receive` did not return, or of another device; then none
                is closed, or in a store with stripes none of that stripe.
            StoreError: the store cannot be written.
        """
        if self._held is None:
            confirm_items(self._context, self._leftovers, items)
        else:
            self._held.confirm(self._way(), items)

    def hold(self, items: Iterable[InboxItem]) -> None:
        """Keep items that `receive` returned for another minute: handling them takes longer.

        For stores with stripes, where another worker gets them a minute after they were handed
        over. To be called before that, by the `Client` that has received them, and again for each
        further minute. In other stores nobody else gets them, and nothing is done.

        Raises:
            InvalidArgument: an item that `receive` did not return, or of another device.
            BackendError: the back end cannot be reached: another worker may get what these senders
                send next. The items themselves are held.
            StoreError: the store cannot be written.
        """
        if self._held is None:
            require_of_inbox(self._context, items)
        else:
            self._held.hold(self._way(), items)

    # --- The way to the back end ------------------------------------------------------------

    def _way(self) -> Link:
        """Return the way to the back end; the token of a store never becomes another one."""
        if self._link is None:
            self._link = self._link_by(read_token(self._context))
        return self._link

    def _link_by(self, token: Token) -> Link:
        watch = None if self._watching is None else self._watching.watch
        return Link(self._context, self._backend, token, self._leftovers, watch)

    def _told(self, items: list[InboxItem]) -> list[InboxItem]:
        """Return what is handed over, when whoever watches has heard of it."""
        if self._watching is not None:
            self._watching.tell_received(items)
        return items

    def _hand_over(self, limit: int) -> list[InboxItem]:
        return hand_over(self._context, self._handed_over, limit)

    def _receive_held(
        self, held: HeldMail, limit: int, progress: Progress | None
    ) -> list[InboxItem]:
        """Do the same as one of many workers."""
        errors, typing = list[E2ECrossError](), self._context.live.typing
        arrival = held.arrival(self._way(), limit, errors, progress)
        attempt(errors, lambda: held.look(arrival, errors))
        fetch_some(
            *(arrival, self._wait_ms, errors, lambda: self._collect(arrival)),
            lambda: bool(arrival.items or typing),
        )
        for error in errors:
            if isinstance(error, RestoredStore):
                raise error
        items = arrival.in_order()
        items += self._context.live.take_typing(limit - len(items))
        if not items:
            errors += held.take_damaged()
            if errors:
                raise errors[0]
        return self._told(items)

    def _check_epoch(self, link: Link) -> None:
        """Ask the back end what it has seen of this device, before anything leaves.

        That is once, and once more after the store was refused.
        """
        refusals = link.context.watch.refusals
        if refusals != self._refusals:
            self._is_epoch_checked, self._refusals = False, refusals
        if not self._is_epoch_checked:
            check_backend_epoch(link.context, link.backend.epochs(link.context.address, link.token))
            self._is_epoch_checked = True

    def _look_into_move(self, found: StoreMoved) -> None:
        """Find out whether the database, which has moved, has lost what the back end has seen.

        Raises:
            StoreMoved: nobody can be asked.
            RestoredStore: it has.
            NotRegistered: the back end does not know the device any more.
        """
        context, since = at_moved_server(context_of(self._device)), found.found_ms_ago
        self._is_epoch_checked = False
        try:
            token = read_token(context)
        except NotRegistered:
            raise StoreMoved(since, "the device is not registered, so nobody knows more") from None
        try:
            self._check_epoch(Link(context, self._backend, token, self._leftovers))
        except NotRegistered:
            raise
        except BackendError:
            raise StoreMoved(since, "the back end, which may know more, cannot be asked") from None

    def _collect(self, arrival: Arrival | HeldArrival) -> None:
        """Fetch, and do what is due beside it."""
        link = arrival.link
        self._check_epoch(link)
        if not self._is_tidy and self._held is None:
            forget_what_is_gone(link)
            self._is_tidy = True
        arrival.fetch()
        errors: list[E2ECrossError] = []
        if isinstance(arrival, HeldArrival):
            self._tending.after_held(link, self._blobs, self._spool, errors, arrival)
        else:
            has_used = arrival.has_used_prekeys
            self._tending.after_fetch(link, errors, has_used_prekeys=has_used)
        if self._watching is not None:
            self._watching.tell_ages()
        if errors:
            raise errors[0]
