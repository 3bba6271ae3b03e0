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

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NoReturn, SupportsIndex

from e2ecross.arguments import (
    forgets_secrets,
    require_callable,
    require_list,
    require_type,
    require_whole_number,
)
from e2ecross.client.account import maintain_account, renew_list
from e2ecross.client.account_calls import AccountCalls
from e2ecross.client.answers import CheckedBackend
from e2ecross.client.attempts import attempt_all
from e2ecross.client.backend import Backend
from e2ecross.client.conversation_calls import ConversationCalls
from e2ecross.client.fan_out import FanOut, flush
from e2ecross.client.hints import check_lists
from e2ecross.client.incoming import Arrival, forget_what_is_gone
from e2ecross.client.link import Link
from e2ecross.client.publishing import maintain_prekeys, publish
from e2ecross.client.receipts import tend_conversations
from e2ecross.client.sent import Recipient, Sent, outgoing
from e2ecross.crypto.secret import without_frames
from e2ecross.device.batch import Progress
from e2ecross.device.collecting import HandedOver, confirm_items, hand_over
from e2ecross.device.copies import Outgoing
from e2ecross.device.device import Device, context_of
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.own_upkeep import note_list_unpublished
from e2ecross.device.prekey_upkeep import LastUpkeep
from e2ecross.device.receipts import put_receipts
from e2ecross.device.registering import (
    may_send_offline,
    note_registered,
    prepare_token,
    read_token,
)
from e2ecross.device.sending import checked_message_id, require_content
from e2ecross.device.waiting import Pending, list_pending
from e2ecross.errors import (
    BackendError,
    E2ECrossError,
    InvalidArgument,
    NotRegistered,
    RestoredStore,
)
from e2ecross.state.epoch import check_backend_epoch
from e2ecross.state.inbox import InboxItem
from e2ecross.wire.content import Content

__all__ = ["Client"]

_MAX_BATCH: Final = 1000
_AT_ONCE: Final = 256
"""Recipients of one transaction: a hundredth of its commit falls to each, and others who use the
store wait for some 20 ms."""


class Client(AccountCalls, ConversationCalls):
    """A `Device` and the `Backend` that it is registered at."""

    __slots__ = (
        "_backend",
        "_context",
        "_device",
        "_handed_over",
        "_is_epoch_checked",
        "_is_tidy",
        "_leftovers",
        "_link",
        "_upkeep",
    )

    def __init__(self, device: Device, backend: Backend) -> None:
        """Put a device and a back end together.

        Args:
            device: the device.
            backend: any implementation of the `Backend` protocol, such as `Relay`; synchronous.

        Raises:
            InvalidArgument: `device` is no `Device`, or `backend` lacks a method.
        """
        require_type("device", device, Device)
        self._device = device
        self._context = context_of(device)
        self._backend = CheckedBackend(backend)
        self._is_epoch_checked = False
        self._is_tidy = False  # numbers that a killed process has left are forgotten
        self._handed_over = HandedOver()
        self._leftovers = Leftovers()
        self._link: Link | None = None
        self._upkeep = LastUpkeep()

    def __repr__(self) -> str:
        return f"<Client of {self._device.address}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a Client holds secrets and cannot be pickled or copied: make another one")

    @property
    def device(self) -> Device:
        """The device."""
        return self._device

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
        token = registration.token
        self._backend.register(context.address, token, registration.replaces)
        link = Link(context, self._backend, token, self._leftovers)
        self._check_epoch(link)
        if not registration.is_complete:
            publish(link, context.policy.one_time_prekeys_target)
            note_registered(context)
        note_list_unpublished(context)  # the back end may have lost it with the address
        self.maintain()

    def maintain(self) -> None:
        """Refill prekeys, replace old ones, publish the list of devices, send what waits.

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
        _attempt(errors, lambda: self._maintain_prekeys(link))
        _attempt(errors, lambda: maintain_account(link))
        _attempt(errors, lambda: tend_conversations(self._context))
        _attempt(errors, lambda: flush(link))
        if errors:
            raise errors[0]

    def send(
        self,
        recipient: Recipient,
        content: Content,
        *,
        message_id: bytes | None = None,
    ) -> Sent:
        """Encrypt content for all devices of a user and the other own ones, and deposit it.

        A device that cannot be reached stops no other: `Sent.deliveries` says why it has no copy.
        An error is raised where no device of the recipient gets one.

        Args:
            recipient: a user, or its text, such as "instagram:budi"; or an address, which stands
                for its account. The own user: a note for the other own devices.
            content: `Text` or `Bytes`.
            message_id: 16 bytes; by default random. With the id of a message whose sending has
                failed, that one is tried again and not encrypted anew; of one that was sent,
                nothing is sent. An id belongs to its recipient and content, and is used up when a
                `Notice` says of a message that had left that it was not delivered.

        Raises:
            UnknownRecipient: the recipient has not registered.
            UntrustedIdentity: the recipient's identity key has changed and was not accepted.
            HostingChanged: others hold keys of the account since; confirm the `Notice` first.
            RemoteError: the back end handed out a list of devices or a bundle that is not good:
                InvalidDeviceList, InvalidKey, InvalidSignature, VersionDowngrade, UnlistedDevice,
                EnvelopeMismatch (of somebody else). Nothing was encrypted to it.
            MailboxFull: too many messages wait for the recipient; this one was not sent.
            BackendError: the back end cannot be reached. The message waits in the outbox
                (`pending`) and is sent with the next `maintain`, `receive` or `send` to them, or a
                `Notice` says that it was not; but not when keys of a new contact could not be
                fetched, nor after a restore before the back end was reached, nor if it refused.
            NotRegistered: call `register` first.
            RestoredStore: the store is older than what the back end has seen of the device.
            InvalidArgument: an argument is not acceptable; or the message id was used for other
                content, or for what had left and was not delivered.
            StoreError: the store cannot be read or written.
        """
        require_content(content)
        message = outgoing(self._context, recipient, message_id)
        (result,) = self._fan_out().send([message], content)
        if isinstance(result, E2ECrossError):
            raise result
        return result

    def send_many(
        self,
        recipients: Iterable[Recipient],
        content: Content,
        *,
        message_id: bytes | None = None,
        progress: Progress | None = None,
    ) -> list[Sent | E2ECrossError]:
        """Send the same content to many users, each of whom gets a message of their own.

        Args:
            recipients: as `send` takes them; who is named twice gets two, unless `message_id` is
                given.
            content: `Text` or `Bytes`.
            message_id: 16 bytes, the id of every message. The call, repeated with it after a crash
                or an error, reaches nobody twice. By default each has a random one.
            progress: called with how many recipients are done and how many there are, every few
                hundred, between transactions. What it raises ends the call; what was sent is sent.

        Returns:
            For each recipient, in order, `Sent`, or the error that `send` would have raised. No
            recipient's error touches another. Where an error befell the whole call after some were
            done, such as `StoreError`, it stands in the place of all others.

        Raises:
            NotRegistered: call `register` first.
            RestoredStore: the store is older than what the back end has seen of the device.
            BackendError: after a restore, before the back end was reached once.
            InvalidArgument: another argument than a recipient is not acceptable.
            StoreError: the store cannot be read or written; nothing has been sent.
        """
        require_content(content)
        listed = require_list("recipients", recipients)
        checked_message_id(self._context, message_id)
        if progress is not None:
            require_callable("progress", progress)
        fan_out = self._fan_out()
        results: list[Sent | E2ECrossError] = []
        for start in range(0, len(listed), _AT_ONCE):
            part = listed[start : start + _AT_ONCE]
            try:
                results += self._send_part(fan_out, part, message_id, content)
            except E2ECrossError as error:
                if not start:
                    raise
                return results + [error] * (len(listed) - start)
            if progress is not None:
                progress(len(results), len(listed))
        return results

    def pending(self) -> list[Pending]:
        """Return the messages that still wait to be sent, each with what it waits for.

        Raises:
            StoreError: the store cannot be read.
        """
        return list_pending(self._context, self._leftovers)

    def receive(self, limit: int = 100, *, progress: Progress | None = None) -> list[InboxItem]:
        """Return what has arrived, in order: messages, failures in their places, notices.

        An item that is not confirmed comes again from the next `Client` of this store, flagged
        as `redelivered`. Who sent a message that could not be read is asked to send it again
        (`FailedMessage.retrying`), and who asks us gets what they ask for.

        Args:
            limit: how many items at most, 1 to 1000.
            progress: called with how many envelopes were taken in and how many were handed out so
                far, between transactions. What it raises ends the call; the next goes on.

        Raises:
            NotRegistered: call `register` first; or the identity was moved to another
                installation. Nothing is there to return.
            BackendError: the back end cannot be reached, and nothing is there to return.
            RestoredStore: the store is older than what was seen of the device; nothing is returned
                or acknowledged.
            StoreError: the store cannot be read or written, and nothing is there to return.
            PrekeysExhausted: the device has used its prekey ids, and nothing is there to return.
            InvalidArgument: an argument has the wrong type, or `limit` is out of range.
        """
        require_whole_number("limit", limit, 1, _MAX_BATCH)
        if progress is not None:
            require_callable("progress", progress)
        link, handed, errors = self._way(), self._handed_over, list[E2ECrossError]()
        items, before = list[InboxItem](), handed.last

        def take() -> None:
            items.extend(hand_over(self._context, handed, limit - len(items)))

        try:
            take()
            if len(items) < limit:
                arrival = Arrival(link, limit - len(items), errors, progress)
                _attempt(errors, lambda: self._collect(arrival))
                _attempt(errors, take)
            for error in errors:
                if isinstance(error, RestoredStore):
                    raise error
        except BaseException:
            handed.last = before  # nobody has got them: they come again
            raise
        items += self._context.live.take_typing(limit - len(items))
        if not items:
            errors += handed.take_damaged()
            if errors:
                raise errors[0]
        return items

    def confirm(self, items: Iterable[InboxItem]) -> None:
        """Close items that `receive` returned: the app has stored or shown them.

        Items of any `Client` of this store may be given, also of one before a restart.

        Raises:
            InvalidArgument: an item that `receive` did not return, or of another device; then none
                is closed.
            StoreError: the store cannot be written.
        """
        confirm_items(self._context, self._leftovers, items)

    # --- The way to the back end ------------------------------------------------------------

    def _way(self) -> Link:
        """Return the way to the back end; the token of a store never becomes another one."""
        if self._link is None:
            token = read_token(self._context)
            self._link = Link(self._context, self._backend, token, self._leftovers)
        return self._link

    def _fan_out(self) -> FanOut:
        link, failure = self._way(), None
        try:
            self._check_epoch(link)
        except NotRegistered:
            raise
        except BackendError as error:  # out of reach: encrypted now, and asked before it leaves
            if not may_send_offline(self._context):
                raise
            failure = error
        return FanOut(link, failure)

    def _send_part(
        self,
        fan_out: FanOut,
        recipients: Sequence[Recipient],
        message_id: bytes | None,
        content: Content,
    ) -> list[Sent | E2ECrossError]:
        messages: list[Outgoing | InvalidArgument] = []
        for recipient in recipients:
            try:
                messages.append(outgoing(self._context, recipient, message_id))
            except InvalidArgument as error:
                messages.append(without_frames(error))
        results = iter(fan_out.send([e for e in messages if isinstance(e, Outgoing)], content))
        return [next(results) if isinstance(e, Outgoing) else e for e in messages]

    def _check_epoch(self, link: Link) -> None:
        """Ask the back end, once, what it has seen of this device, before anything leaves."""
        if not self._is_epoch_checked:
            told = link.backend.epoch(link.context.address, link.token)
            check_backend_epoch(link.context, told)
            self._is_epoch_checked = True

    def _collect(self, arrival: Arrival) -> None:
        """Fetch, and do what is due beside it."""
        link, context = arrival.link, self._context
        self._check_epoch(link)
        if not self._is_tidy:
            forget_what_is_gone(link)
            self._is_tidy = True
        arrival.fetch()
        parts = [lambda: check_lists(link), lambda: put_receipts(context), lambda: flush(link)]
        if arrival.has_used_prekeys or self._upkeep.is_due(context):
            parts[:0] = [lambda: self._maintain_prekeys(link), lambda: renew_list(link)]
        attempt_all(*parts)

    def _maintain_prekeys(self, link: Link) -> None:
        self._upkeep.forget()  # in case it fails
        maintain_prekeys(link)
        self._upkeep.note(self._context)


def _attempt(errors: list[E2ECrossError], part: Callable[[], None]) -> None:
    try:
        part()
    except E2ECrossError as error:
        errors.append(error)
