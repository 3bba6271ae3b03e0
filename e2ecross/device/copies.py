# SPDX-License-Identifier: Apache-2.0
"""The copies of a message: encrypted, and put into the outbox, in one transaction.

Rules:
- A copy for every device that its recipient's account lists, and for the other devices of the own
  account, under one message id. The lists are read in the transaction that encrypts: nothing is
  encrypted to a device whose removal this store has accepted.
- A device that cannot be reached stops no other. Nothing is encrypted before it is known of each
  whether it can be: else the caller asks the back end, and tries again.
- What is not plain text goes by what each device of the recipient announces (`composing.py`), in
  the list that is read here.
- Copies look alike: they are padded to one length. Those that start a session are longer.
- In a store with stripes there are none for own devices: a session with one of them would be a row
  that every message needs. What is known of the own account is read where it stands.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from e2ecross.address import Address, UserId
from e2ecross.conversation.negotiation import Plan
from e2ecross.device.composing import (
    ALL_SHOWN,
    Composed,
    Draft,
    capabilities_of,
    compose,
    forms_for,
    plan_of,
    require_allowed,
)
from e2ecross.device.copy_accounts import CopyAccount, read_account
from e2ecross.device.copy_ids import CopyIds, Outgoing, choose_ids
from e2ecross.device.hints import hints_by
from e2ecross.device.posted import Copy, KeysAsked, KeysNeeded, Posted, Unready
from e2ecross.device.sending import (
    Saying,
    copy_length,
    encrypt_content,
    require_other_device,
)
from e2ecross.errors import HostingChanged, NoSession, UntrustedIdentity
from e2ecross.state.accounts import (
    NOTHING_KNOWN,
    primary_of,
    put_account,
    was_checked,
)
from e2ecross.state.backlog_times import put_leaving
from e2ecross.state.consent import count_message
from e2ecross.state.context import Context
from e2ecross.state.in_flight import put_in_flight
from e2ecross.state.outbox import (
    Backlog,
    BacklogName,
    Waiting,
    find_message,
    find_waiting,
    put_envelope,
    read_backlog,
)
from e2ecross.state.sent import find_content, is_kept_for, keep_copies
from e2ecross.state.sent_ids import (
    find_own_copies_id,
    is_known_id,
    keep_id,
    note_copies,
    was_sent,
)
from e2ecross.state.session_store import has_session
from e2ecross.state.trust import require_accepted_account
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import (
    AnyContent,
    EncodedContent,
    PayloadContent,
    Resent,
)
from e2ecross.wire.device_list import PRIMARY
from e2ecross.wire.envelope import Envelope

__all__ = ["Copying"]


class _Part(NamedTuple):
    """What is in the copies for devices of one account: the content, the id, and what is said."""

    content: PayloadContent
    message_id: bytes
    said: Saying


class Copying:
    """One transaction that puts copies of messages into the outbox.

    What is known of an account is read once: nothing here changes a list.
    """

    __slots__ = ("_accounts", "_asked", "_begun", "_context", "_now_ms", "_others", "_own", "_tx")

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
        self._accounts: dict[UserId, CopyAccount] = {}
        self._own = self._account(context.address.user_id)
        targets = None if context.store.stripes else self._own.targets
        self._others = () if targets is None else tuple(targets.devices)

    def post(self, message: Outgoing, draft: Draft, encoded: EncodedContent) -> Posted:
        """Encrypt content for a recipient, unless it was sent before; raises as `post_messages`.

        Args:
            message: whom it is for.
            draft: what the user sends.
            encoded: its blank.

        Raises:
            Unready: keys are needed.
        """
        tx, message_id, now_ms = self._tx, message.message_id, self._now_ms
        conversation = primary_of(tx, message.address)
        if not message.is_new and was_sent(tx, conversation, message_id, encoded, now_ms):
            return self._find(conversation, message_id, draft)
        if draft.purpose:
            count_message(tx, conversation.user_id, draft.purpose, now_ms)
        peer = self._account(conversation.user_id)
        self._require_accepted(conversation, peer)
        if peer.user in self._asked.refused:
            raise self._asked.refused[peer.user]
        plan = self._plan(conversation, peer, draft)
        require_allowed(draft, plan)
        composed = compose(draft, plan, self._context.entropy, now_ms)
        kept = encoded if draft.goes_alone else composed.content
        has_others = bool(self._others)
        ids = choose_ids(self._context, tx, message, conversation, now_ms, has_others=has_others)
        posted = self._encrypt(conversation, peer, ids, composed, kept=kept)
        made = [copy.waiting.backlog.recipient for copy in posted.copies]
        keep_id(tx, conversation, message_id, encoded, made, ids.own_copies, now_ms)
        if peer.record is None or not peer.record.written:
            put_account(tx, peer.user, replace(peer.record or NOTHING_KNOWN, written=True))
            del self._accounts[peer.user]
        return posted

    def post_missing(self, message: Outgoing, purpose: int) -> Posted | None:
        """Encrypt a kept message for devices that have no copy of it; raises as `post`.

        None: it is not kept any more. The purpose is the one that it was sent with; it was counted.
        """
        tx, message_id, now_ms = self._tx, message.message_id, self._now_ms
        conversation = primary_of(tx, message.address)
        kept = find_content(tx, self._context.policy, conversation.user_id, message_id, now_ms)
        if kept is None or not is_known_id(tx, conversation, message_id, now_ms):
            return None
        peer, (sent_at_ms, content) = self._account(conversation.user_id), kept
        self._require_accepted(conversation, peer)
        composed = Composed(ALL_SHOWN, content, sent_at_ms, purpose)
        ids = CopyIds(message_id, find_own_copies_id(tx, conversation, message_id, now_ms))
        posted = self._encrypt(conversation, peer, ids, composed, kept=None)
        made = [copy.waiting.backlog.recipient for copy in posted.copies]
        note_copies(tx, conversation, message_id, now_ms, added=made)
        return posted

    def plan(self, address: Address, draft: Draft) -> Plan:
        """Return what the devices of a recipient would show, by the list that is held."""
        conversation = primary_of(self._tx, address)
        return plan_of(draft, self._ends(conversation, self._account(conversation.user_id)))

    def _plan(self, conversation: Address, peer: CopyAccount, draft: Draft) -> Plan:
        """Return what the devices of the recipient will show, once its list is there."""
        if draft.goes_alone:
            return ALL_SHOWN
        recipients, _, _ = self._devices(conversation, peer)
        wanted = self._lists_needed(peer)
        if wanted:
            lacking = (each.device for each in recipients if not has_session(self._tx, each))
            wanted.setdefault(peer.user, set()).update(lacking)
            raise Unready(self._needed(conversation, peer, wanted))
        self._require_reachable(recipients)
        return plan_of(draft, self._ends(conversation, peer))

    def _ends(self, conversation: Address, peer: CopyAccount) -> dict[Address, frozenset[int]]:
        """Return what each device of the recipient announces. Own ones have no say."""
        if peer.user == self._own.user:
            return {}
        recipients, _, _ = self._devices(conversation, peer)
        return {each: capabilities_of(peer.record, each) for each in recipients}

    def _account(self, user: UserId) -> CopyAccount:
        known = self._accounts.get(user)
        if known is None:
            known = read_account(self._context, self._tx, user, self._now_ms)
            self._accounts[user] = known
        return known

    def _require_accepted(self, conversation: Address, peer: CopyAccount) -> None:
        """Refuse to send where the user has to hear of something, or to decide, first."""
        if peer.record is not None and peer.record.hosting_unseen:
            raise HostingChanged(peer.user)
        require_accepted_account(self._tx, conversation)

    def _devices(
        self, conversation: Address, peer: CopyAccount
    ) -> tuple[tuple[Address, ...], tuple[Address, ...], bool]:
        """Return devices of the recipient, others of the own account, and if the list is old."""
        found = peer.targets
        if found is None:
            require_other_device(self._context, conversation, "recipient")
            return (conversation,), self._others, False
        own = () if peer.user == self._own.user else self._others
        return tuple(found.devices), own, found.is_expired

    def _find(self, conversation: Address, message_id: bytes, draft: Draft) -> Posted:
        """Return what the back end may not have of a message that was put there before."""
        tx, peer, policy = self._tx, self._account(conversation.user_id), self._context.policy
        recipients, own, expired = self._devices(conversation, peer)
        copies: list[Copy] = []
        own_id = find_own_copies_id(tx, conversation, message_id, self._now_ms)
        ids = [*((each, message_id) for each in recipients), *((each, own_id) for each in own)]
        for address, copy_id in ids:
            backlog = Backlog(BacklogName.MESSAGES, address)
            record, number = read_backlog(tx, backlog), find_message(tx, address, copy_id)
            if number is not None and record is not None:
                waiting = Waiting(backlog, number, copy_id, None)
                is_alone = (record.first, record.next) == (number, number + 1) and not record.code
                waiting = self._shown(find_waiting(tx, waiting) or waiting)
                envelope = waiting.envelope
                data = b"" if envelope is None else envelope.encode()
                copies.append(Copy(waiting, is_alone, data))
        composed = None
        kept = find_content(tx, policy, conversation.user_id, message_id, self._now_ms)
        if kept is not None:
            sent_at_ms, content = kept
            composed = Composed(self.plan(conversation, draft), content, sent_at_ms)
        devices = (*self._forms(peer, recipients, draft.blank), *own)
        return Posted(
            conversation, devices, tuple(copies), False, expired, self._seqs(peer), composed
        )

    def _encrypt(
        self,
        conversation: Address,
        peer: CopyAccount,
        ids: CopyIds,
        message: Composed,
        *,
        kept: AnyContent | EncodedContent | None,
    ) -> Posted:
        """Encrypt the copies of a message; those that were not made, if some were before.

        Then nothing is to be kept of it: it is kept.
        """
        context, tx, now_ms, sent_at_ms = self._context, self._tx, self._now_ms, message.sent_at_ms
        recipients, own, expired = self._devices(conversation, peer)
        forms = self._forms(peer, recipients, message.content)
        recipients = tuple(forms)
        devices = (*recipients, *own)
        wanted = self._lists_needed(peer)
        policy, unreachable, reachable = context.policy, self._asked.unreachable, devices
        if unreachable:
            reachable = tuple(each for each in devices if each not in unreachable)
        if kept is None:
            reachable = tuple(
                each
                for each in reachable
                if not is_kept_for(tx, policy, each, ids.of(each, peer.user), now_ms)
            )
        to_peer, to_own = self._parts(peer, ids, message.content, sent_at_ms)
        least = 0
        if len(devices) > 1:  # all of them, whenever they get their copy
            kinds = {id(form): (each, form) for each, form in forms.items()}.values()
            parts = [(each, to_peer._replace(content=form)) for each, form in kinds]
            parts += [(each, to_own) for each in own[:1]]
            # Of one account and content each is equally long: a device's number has one byte.
            least = max(
                copy_length(context, one, part.content, ids.message, sent_at_ms, part.said)
                for one, part in parts
            )
        copies: list[Copy] = []
        for address in reachable:
            holds, copy_id, said = to_own if address in own else to_peer
            try:
                envelope = encrypt_content(
                    *(context, tx, address, forms.get(address, holds)),
                    *(copy_id, sent_at_ms, said, least),
                )
            except NoSession:
                wanted.setdefault(address.user_id, set()).add(address.device)
                continue
            copies.append(self._put(envelope, message.purpose))
        if wanted:
            raise Unready(self._needed(conversation, peer, wanted))
        if kept is not None:
            self._require_reachable(recipients)
        made = [copy.waiting.backlog.recipient for copy in copies]
        if made:
            keep_copies(tx, policy, peer.user, *ids, kept, made, sent_at_ms, now_ms)
        is_new, seqs = kept is not None, self._seqs(peer)
        return Posted(conversation, devices, tuple(copies), is_new, expired, seqs, message)

    def _forms(
        self, peer: CopyAccount, recipients: Sequence[Address], content: AnyContent
    ) -> dict[Address, AnyContent]:
        """Return what each device of the recipient gets; one that gets nothing is not there."""
        if peer.user == self._own.user:
            return dict.fromkeys(recipients, content)
        return forms_for(content, peer.record, recipients)

    def _require_reachable(self, recipients: Sequence[Address]) -> None:
        """Refuse where no device of the recipient can be reached: why the first cannot."""
        unreachable = self._asked.unreachable
        if recipients and unreachable.keys() >= {*recipients}:
            raise unreachable[recipients[0]]

    def _put(self, envelope: Envelope, purpose: int) -> Copy:
        address = envelope.recipient
        backlog = Backlog(BacklogName.MESSAGES, address)
        record = read_backlog(self._tx, backlog)
        if record is not None and record.untrusted_key:
            raise UntrustedIdentity(address, record.untrusted_key)
        if self._context.store.stripes:
            data = envelope.encode()
            waiting = put_leaving(self._tx, envelope, data, self._now_ms, purpose)
            return Copy(self._shown(waiting), record is None, data)
        is_own = address.user_id == self._own.user
        if record is None and (is_own or address not in self._begun):
            data = envelope.encode()
            waiting = put_in_flight(self._tx, envelope, data, purpose)
            return Copy(self._shown(waiting), is_alone=True, data=data)
        number = put_envelope(self._tx, envelope, purpose)
        waiting = Waiting(backlog, number, envelope.message_id, envelope)
        return Copy(waiting, is_alone=False, data=b"")

    def _shown(self, waiting: Waiting) -> Waiting:
        """Return what leaves with the token that its recipient's account has granted."""
        consent = self._account(waiting.backlog.recipient.user_id).consent
        return replace(waiting, consent=consent) if consent else waiting

    def _parts(
        self, peer: CopyAccount, ids: CopyIds, content: AnyContent, sent_at_ms: int
    ) -> tuple[_Part, _Part]:
        """Return what is in copies for devices of the recipient and for others of the own account.

        Where these are one account, all are of the former.
        """
        own = self._own.record
        hints, carried = hints_by(own, peer.record), None if own is None else own.held
        holds: PayloadContent = content
        if ids.own_copies != ids.message:
            holds = Resent(ids.message, sent_at_ms, content)
        to_own = _Part(holds, ids.own_copies, Saying(hints, peer.user, carried))
        if peer.user == self._own.user:
            return to_own._replace(message_id=ids.message), to_own
        return _Part(content, ids.message, Saying(hints, None, carried)), to_own

    def _seqs(self, peer: CopyAccount) -> dict[UserId, int]:
        return {peer.user: peer.seq, self._own.user: self._own.seq}

    def _lists_needed(self, peer: CopyAccount) -> dict[UserId, set[int]]:
        """Return the accounts, of both, whose lists are to be asked for; no devices of them yet."""
        return {each.user: set() for each in (peer, self._own) if self._needs_list(each)}

    def _needs_list(self, account: CopyAccount) -> bool:
        if account.user in self._asked.users:
            return False
        record = account.record
        is_wanted = record is None or record.held is None or record.check_wanted
        if account.user == self._own.user:  # made when it registers, or coming
            is_wanted = record is not None and record.check_wanted
        return is_wanted and not was_checked(record, self._now_ms)

    def _needed(
        self, conversation: Address, peer: CopyAccount, wanted: Mapping[UserId, Collection[int]]
    ) -> KeysNeeded:
        """At first contact the devices are not known: all keys come with the list."""
        is_first = conversation.device == PRIMARY and not peer.seq
        needed: dict[UserId, frozenset[int] | None] = {}
        for user, devices in wanted.items():
            is_open = is_first and user == peer.user and bool(devices)
            needed[user] = None if is_open else frozenset(devices)
        return KeysNeeded(needed)
