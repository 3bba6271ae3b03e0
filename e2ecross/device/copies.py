# SPDX-License-Identifier: Apache-2.0
"""The copies of a message: encrypted, and put into the outbox, in one transaction.

Rules:
- A copy for every device that its recipient's account lists, and for the other devices of the own
  account, under one message id. The lists are read in the transaction that encrypts: nothing is
  encrypted to a device whose removal this store has accepted.
- A device that cannot be reached stops no other. Nothing is encrypted before it is known of each
  whether it can be: else the caller asks the back end, and tries again.
- Copies look alike: they are padded to one length. Those that start a session are longer.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

from e2ecross.address import Address, UserId
from e2ecross.device.device_lists import Targets, targets_by
from e2ecross.device.hints import hints_by
from e2ecross.device.sending import Saying, copy_length, encrypt_content, require_other_device
from e2ecross.errors import E2ECrossError, HostingChanged, NoSession, UntrustedIdentity
from e2ecross.state.accounts import (
    NOTHING_KNOWN,
    find_account,
    primary_of,
    put_account,
    was_checked,
)
from e2ecross.state.context import Context
from e2ecross.state.in_flight import put_in_flight
from e2ecross.state.outbox import (
    Lane,
    LaneName,
    Waiting,
    find_message,
    find_waiting,
    put_envelope,
    read_lane,
)
from e2ecross.state.sent import (
    find_content,
    is_kept_for,
    is_known_id,
    keep_copies,
    keep_id,
    was_sent,
)
from e2ecross.state.trust import require_accepted_account
from e2ecross.stores.base import Transaction
from e2ecross.wire.account_records import AccountRecord
from e2ecross.wire.content import Content
from e2ecross.wire.device_list import PRIMARY
from e2ecross.wire.envelope import Envelope

__all__ = ["Copy", "Copying", "KeysAsked", "KeysNeeded", "Outgoing", "Posted", "Unready"]


class Outgoing(NamedTuple):
    """A message for a user, to be put into the outbox.

    Attributes:
        address: the recipient: any device, which stands for its account.
        message_id: 16 bytes.
        is_new: whether the id was just drawn, so that nobody has heard of it.
    """

    address: Address
    message_id: bytes
    is_new: bool


class Copy(NamedTuple):
    """A copy of a message that is in the outbox.

    Attributes:
        waiting: where, and its envelope.
        is_alone: nothing else stands in its lane.
    """

    waiting: Waiting
    is_alone: bool


class Posted(NamedTuple):
    """A message that is in the outbox, or has been there.

    Attributes:
        conversation: with whom: device 1, which stands for its account; or the device that was
            named.
        devices: all that it is for, those of the own account last.
        copies: which of them the back end may not have.
        is_new: they were put there now, and not promised before.
        seqs: of the lists that it was sent by, 0 without one; empty if it was not sent now.
        list_expired: the list of the recipient's devices is too old: only device 1 is sent to.
    """

    conversation: Address
    devices: tuple[Address, ...]
    copies: tuple[Copy, ...]
    is_new: bool
    seqs: Mapping[UserId, int] = MappingProxyType({})
    list_expired: bool = False


class KeysNeeded(NamedTuple):
    """What has to be asked of the back end before a message can be encrypted.

    Attributes:
        wanted: by account, the devices without a session; None: whichever it has. With each comes
            the list of the account's devices.
    """

    wanted: Mapping[UserId, frozenset[int] | None]


@dataclass(slots=True)
class KeysAsked:
    """What the back end was asked in one call of an app, so that it is not asked again.

    Attributes:
        users: accounts whose lists it was asked for.
        refused: accounts that nothing is sent to, and why.
        unreachable: devices with whom no session could be started, and why.
    """

    users: set[UserId] = field(default_factory=set)
    refused: dict[UserId, E2ECrossError] = field(default_factory=dict)
    unreachable: dict[Address, E2ECrossError] = field(default_factory=dict)

    def note_failure(self, needed: KeysNeeded, error: E2ECrossError) -> None:
        """Note that the back end cannot be asked."""
        self.users.update(needed.wanted)
        for user, devices in needed.wanted.items():
            for number in (PRIMARY,) if devices is None else devices:
                self.unreachable[Address(user.app, user.user, number)] = error


class Unready(Exception):
    """Undoes what was encrypted of a message for which keys are needed."""

    def __init__(self, needed: KeysNeeded) -> None:
        """Carry what is needed."""
        super().__init__()
        self.needed = needed


class _OwnAccount(NamedTuple):
    """What a transaction needs of the own account, whose list does not change in it.

    Attributes:
        record: what is known of it.
        targets: its other devices; None: it has no list.
        carried: the encoded list, which first messages carry; empty without one.
    """

    record: AccountRecord | None
    targets: Targets | None
    carried: bytes


class Copying:
    """One transaction that puts copies of messages into the outbox."""

    __slots__ = ("_account", "_asked", "_begun", "_context", "_now_ms", "_own", "_tx")

    def __init__(
        self,
        context: Context,
        tx: Transaction,
        begun: Collection[Address],
        asked: KeysAsked,
        now_ms: int,
    ) -> None:
        """Of a device; nothing is put there yet."""
        self._context = context
        self._tx = tx
        self._begun = begun
        self._asked = asked
        self._now_ms = now_ms
        self._own = context.address.user_id
        self._account: _OwnAccount | None = None

    def post(self, message: Outgoing, content: Content) -> Posted:
        """Encrypt content for a recipient, unless it was sent before; raises as `post_messages`.

        Raises:
            Unready: keys are needed.
        """
        tx, message_id, now_ms = self._tx, message.message_id, self._now_ms
        conversation = primary_of(tx, message.address)
        if not message.is_new and was_sent(tx, conversation, message_id, content, now_ms):
            return self._find(conversation, message_id)
        user = conversation.user_id
        record = find_account(tx, user) or NOTHING_KNOWN
        if record.hosting_unseen:
            raise HostingChanged(user)
        require_accepted_account(tx, conversation)
        if user in self._asked.refused:
            raise self._asked.refused[user]
        posted = self._encrypt(conversation, record, message_id, content, now_ms, is_missing=False)
        keep_id(tx, conversation, message_id, content, now_ms)
        if not record.written:
            put_account(tx, user, replace(record, written=True))
        return posted

    def post_missing(self, message: Outgoing) -> Posted:
        """Encrypt a kept message for devices that have no copy of it; raises as `post`."""
        tx, policy, now_ms = self._tx, self._context.policy, self._now_ms
        conversation = primary_of(tx, message.address)
        kept = find_content(tx, policy, conversation.user_id, message.message_id, now_ms)
        if kept is None or not is_known_id(tx, conversation, message.message_id, now_ms):
            return Posted(conversation, (), (), is_new=False)
        require_accepted_account(tx, conversation)
        sent_at_ms, content = kept
        record = find_account(tx, conversation.user_id) or NOTHING_KNOWN
        return self._encrypt(
            conversation, record, message.message_id, content, sent_at_ms, is_missing=True
        )

    def _own_account(self) -> _OwnAccount:
        if self._account is None:
            record = find_account(self._tx, self._own)
            targets = targets_by(self._context, self._own, record, self._now_ms)
            carried = b"" if record is None or record.held is None else record.held.encode()
            self._account = _OwnAccount(record, targets, carried)
        return self._account

    def _devices(
        self, conversation: Address, user: UserId, record: AccountRecord | None
    ) -> tuple[list[Address], list[Address], bool]:
        """Return devices of the recipient, others of the own account, and if the list is old."""
        own = self._own_account().targets
        others = [] if own is None else list(own.devices)
        if user == self._own and own is not None:
            return others, [], own.is_expired
        found = targets_by(self._context, user, record, self._now_ms)
        if found is None:
            require_other_device(self._context, conversation, "recipient")
            return [conversation], others, False
        return list(found.devices), others, found.is_expired

    def _find(self, conversation: Address, message_id: bytes) -> Posted:
        """Return what the back end may not have of a message that was put there before."""
        tx, user = self._tx, conversation.user_id
        recipients, own, expired = self._devices(conversation, user, find_account(tx, user))
        copies: list[Copy] = []
        for address in (*recipients, *own):
            lane = Lane(LaneName.MESSAGES, address)
            record, number = read_lane(tx, lane), find_message(tx, address, message_id)
            if number is not None and record is not None:
                waiting = Waiting(lane, number, message_id, None)
                is_alone = (record.first, record.next) == (number, number + 1) and not record.code
                copies.append(Copy(find_waiting(tx, waiting) or waiting, is_alone))
        devices = (*recipients, *own)
        return Posted(conversation, devices, tuple(copies), is_new=False, list_expired=expired)

    def _encrypt(
        self,
        conversation: Address,
        record: AccountRecord,
        message_id: bytes,
        content: Content,
        sent_at_ms: int,
        *,
        is_missing: bool,
    ) -> Posted:
        """Encrypt the copies of a message; those that were not made, if some were before."""
        context, tx, now_ms, user = self._context, self._tx, self._now_ms, conversation.user_id
        account = self._own_account()
        recipients, own, expired = self._devices(conversation, user, record)
        devices = [*recipients, *own]
        if is_missing:
            devices = [
                each
                for each in devices
                if not is_kept_for(tx, context.policy, [each], message_id, now_ms)
            ]
        wanted: dict[UserId, set[int]] = {}
        for each, known in ((user, record), (self._own, account.record)):
            if self._needs_list(each, known):
                wanted[each] = set()
        reachable = [each for each in devices if each not in self._asked.unreachable]
        said = Saying(hints_by(account.record, record), None, account.carried)
        saying = {user: said, self._own: said._replace(peer=user)}
        least = 0
        if len(reachable) > 1:
            # Those for one account are equally long: the number of a device has one byte.
            least = max(
                copy_length(context, one, content, message_id, sent_at_ms, saying[of])
                for of, one in {each.user_id: each for each in reachable}.items()
            )
        copies: list[Copy] = []
        for address in reachable:
            said = saying[address.user_id]
            try:
                envelope = encrypt_content(
                    context, tx, address, content, message_id, sent_at_ms, said, least
                )
            except NoSession:
                wanted.setdefault(address.user_id, set()).add(address.device)
                continue
            copies.append(self._put(envelope))
        if wanted:
            raise Unready(self._needed(conversation, record, wanted))
        if not is_missing and recipients and not any(each in reachable for each in recipients):
            raise self._asked.unreachable[recipients[0]]
        made = [copy.waiting.lane.recipient for copy in copies]
        if made:
            kept = None if is_missing else content
            keep_copies(tx, context.policy, user, message_id, kept, made, sent_at_ms, now_ms)
        return Posted(
            conversation,
            tuple(devices),
            tuple(copies),
            is_new=not is_missing,
            seqs={user: _seq(record), self._own: _seq(account.record)},
            list_expired=expired,
        )

    def _put(self, envelope: Envelope) -> Copy:
        address = envelope.recipient
        lane = Lane(LaneName.MESSAGES, address)
        record = read_lane(self._tx, lane)
        if record is not None and record.untrusted_key:
            raise UntrustedIdentity(address, record.untrusted_key)
        if record is None and address not in self._begun:
            return Copy(put_in_flight(self._tx, envelope), is_alone=True)
        number = put_envelope(self._tx, envelope)
        return Copy(Waiting(lane, number, envelope.message_id, envelope), is_alone=False)

    def _needs_list(self, user: UserId, record: AccountRecord | None) -> bool:
        if user in self._asked.users:
            return False
        is_wanted = record is None or record.held is None or record.check_wanted
        if user == self._own:  # made with the registration; or it comes with the next call
            is_wanted = record is not None and record.check_wanted
        return is_wanted and not was_checked(record, self._now_ms)

    def _needed(
        self,
        conversation: Address,
        record: AccountRecord | None,
        wanted: Mapping[UserId, Collection[int]],
    ) -> KeysNeeded:
        """At first contact the devices are not known: all keys come with the list."""
        needed: dict[UserId, frozenset[int] | None] = {}
        for user, devices in wanted.items():
            is_open = (
                user == conversation.user_id
                and conversation.device == PRIMARY
                and not _seq(record)
                and bool(devices)
            )
            needed[user] = None if is_open else frozenset(devices)
        return KeysNeeded(needed)


def _seq(record: AccountRecord | None) -> int:
    """The number of the list that is held of an account, 0 without one."""
    return 0 if record is None or record.held is None else record.held.list.seq
