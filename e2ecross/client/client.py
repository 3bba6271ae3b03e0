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

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NoReturn, SupportsIndex

from e2ecross.address import Address, UserId
from e2ecross.arguments import forgets_secrets, require_list, require_type, require_whole_number
from e2ecross.client.answers import CheckedBackend
from e2ecross.client.backend import Backend
from e2ecross.client.incoming import fetch_into_inbox, forget_what_is_gone
from e2ecross.client.link import Link
from e2ecross.client.outgoing import flush_outbox, prepare_message, send_waiting
from e2ecross.client.publishing import maintain_prekeys, publish
from e2ecross.device.collecting import HandedOver, confirm, hand_over
from e2ecross.device.device import Device, context_of
from e2ecross.device.posting import Pending, list_pending
from e2ecross.device.registering import (
    may_send_offline,
    note_registered,
    prepare_token,
    read_token,
)
from e2ecross.device.sending import checked_message_id, require_content, require_other_device
from e2ecross.errors import BackendError, E2ECrossError, InvalidArgument, RestoredStore
from e2ecross.state.epoch import check_backend_epoch
from e2ecross.state.inbox import InboxItem, receipt_of
from e2ecross.wire.content import Content

__all__ = ["Client", "Delivery", "Sent"]

_MAX_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Delivery:
    """One copy of a sent message.

    Attributes:
        address: the device it is for.
        identity_changed: that device has another identity key than before, and
            `Policy.accept_changed_identity` has accepted it.
        version_downgraded: the session that was started for it has no post-quantum keys although
            that device has offered them before, and `Policy.accept_version_downgrade` has
            accepted that.
    """

    address: Address
    identity_changed: bool = False
    version_downgraded: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that the back end has accepted.

    Attributes:
        message_id: 16 bytes.
        deliveries: the copies, one for each device.
    """

    message_id: bytes
    deliveries: tuple[Delivery, ...]


class Client:
    """A `Device` and the `Backend` that it is registered at."""

    __slots__ = (
        "_backend",
        "_context",
        "_device",
        "_handed_over",
        "_is_epoch_checked",
        "_is_tidy",
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
        link = Link(context, self._backend, token)
        self._check_epoch(link)
        if not registration.is_complete:
            publish(link, context.policy.one_time_prekeys_target)
            note_registered(context)
        self.maintain()

    def maintain(self) -> None:
        """Refill one-time prekeys, replace an old signed prekey, send what waits in the outbox.

        Each is done whatever becomes of the others; then the first error is raised.

        Raises:
            NotRegistered: call `register` first.
            BackendRefused: the back end has refused a publication, or something else.
            BackendError: the back end cannot be reached.
            RestoredStore: the store is older than what the back end has seen of the device.
            StoreError: the store cannot be read or written.
        """
        link = self._link()
        self._check_epoch(link)
        errors: list[E2ECrossError] = []
        _attempt(errors, lambda: maintain_prekeys(link))
        _attempt(errors, lambda: flush_outbox(link))
        if errors:
            raise errors[0]

    def send(
        self,
        recipient: Address | UserId | str,
        content: Content,
        *,
        message_id: bytes | None = None,
    ) -> Sent:
        """Encrypt content for a user and deposit it; starts a session where there is none.

        Args:
            recipient: a user, or its text, such as "instagram:budi"; or an address.
            content: `Text` or `Bytes`.
            message_id: 16 bytes; by default random. With the id of a message whose sending has
                failed, the same message is tried again and not encrypted anew; with the id of
                one that was sent, nothing is sent. An id belongs to its recipient and content. It
                cannot be used again after a `Notice` has said of a message that had left that it
                was not delivered: the back end would drop what comes under it.

        Raises:
            UnknownRecipient: the recipient has not registered.
            UntrustedIdentity: the recipient's identity key has changed and was not accepted.
            InvalidKey: the back end handed out a bad bundle; likewise InvalidSignature and
                EnvelopeMismatch (a bundle of somebody else). Nothing was encrypted to it.
            MailboxFull: too many messages wait for the recipient; this one was not sent.
            BackendError: the back end cannot be reached. The message stays in the outbox and is
                sent with the next `maintain`, `receive` or `send` to them, or a `Notice` says that
                it was not; `pending` lists it. It is not there, and was not taken, when the keys of
                a new contact could not be fetched, or after a restore before the back end was
                reached once.
            NotRegistered: call `register` first.
            RestoredStore: the store is older than what the back end has seen of the device.
            InvalidArgument: an argument has the wrong type or length; or the message id was used
                for other content, or for what had left and was not delivered.
            StoreError: the store cannot be read or written.
        """
        context = self._context
        address = _recipient_address(recipient)
        require_other_device(context, address, "recipient")
        require_content(content)
        message_id = checked_message_id(context, message_id)
        link = self._link()
        try:
            self._check_epoch(link)
        except BackendError:  # out of reach: encrypted now, and asked before it leaves
            if not may_send_offline(context):
                raise
        waits, news = prepare_message(link, address, content, message_id)
        if waits is not None:
            self._check_epoch(link)
            send_waiting(link, address, message_id, is_new=waits)
        delivery = Delivery(address, news.identity_changed, news.version_downgraded)
        return Sent(message_id, (delivery,))

    def pending(self) -> list[Pending]:
        """Return the messages that still wait to be sent, each with what it waits for.

        Raises:
            StoreError: the store cannot be read.
        """
        return list_pending(self._context)

    def receive(self, limit: int = 100) -> list[InboxItem]:
        """Return what has arrived, in order: messages, failures in their places, notices.

        An item that is not confirmed comes again from the next `Client` of this store, flagged
        as `redelivered`. Who sent a message that could not be read is asked to send it again
        (`FailedMessage.retrying`), and who asks us gets what they ask for.

        Args:
            limit: how many items at most, 1 to 1000.

        Raises:
            NotRegistered: call `register` first; or the identity was moved to another
                installation. Nothing is there to return.
            BackendError: the back end cannot be reached, and nothing is there to return.
            RestoredStore: the store is older than what was seen of the device; nothing is returned
                or acknowledged.
            StoreError: the store cannot be read or written, and nothing is there to return.
            PrekeysExhausted: the device has used its prekey ids, and nothing is there to return.
            InvalidArgument: `limit` is out of range.
        """
        require_whole_number("limit", limit, 1, _MAX_BATCH)
        link, handed, errors = self._link(), self._handed_over, list[E2ECrossError]()
        before = handed.last
        try:
            items = self._hand_over(limit)
            if len(items) < limit:
                _attempt(errors, lambda: self._collect(link, limit - len(items), errors))
                _attempt(errors, lambda: items.extend(self._hand_over(limit - len(items))))
            for error in errors:
                if isinstance(error, RestoredStore):
                    raise error
        except BaseException:
            handed.last = before  # nobody has got them: they come again
            raise
        if not items and handed.damaged is not None:  # told once, and in the place of no item
            errors.append(handed.damaged)
            handed.damaged = None
        if not items and errors:
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
        confirm(self._context, [receipt_of(item) for item in require_list("items", items)])

    # --- The way to the back end ------------------------------------------------------------

    def _link(self) -> Link:
        return Link(self._context, self._backend, read_token(self._context))

    def _hand_over(self, limit: int) -> list[InboxItem]:
        return hand_over(self._context, self._handed_over, limit)

    def _check_epoch(self, link: Link) -> None:
        """Ask the back end, once, what it has seen of this device, before anything leaves."""
        if not self._is_epoch_checked:
            told = link.backend.epoch(link.context.address, link.token)
            check_backend_epoch(link.context, told)
            self._is_epoch_checked = True

    def _collect(self, link: Link, limit: int, errors: list[E2ECrossError]) -> None:
        """Fetch, and do what is due beside it."""
        self._check_epoch(link)
        if not self._is_tidy:
            forget_what_is_gone(link)
            self._is_tidy = True
        fetch_into_inbox(link, limit, errors)
        self.maintain()


def _attempt(errors: list[E2ECrossError], part: Callable[[], None]) -> None:
    try:
        part()
    except E2ECrossError as error:
        errors.append(error)


def _recipient_address(recipient: Address | UserId | str) -> Address:
    require_type("recipient", recipient, Address, UserId, str)
    if isinstance(recipient, Address):
        return recipient
    if isinstance(recipient, str):
        try:
            recipient = UserId.parse(recipient)
        except InvalidArgument as error:
            raise InvalidArgument(f"recipient is not acceptable: {error}") from error
    return Address(recipient.app, recipient.user)
