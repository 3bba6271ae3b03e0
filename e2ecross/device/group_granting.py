# SPDX-License-Identifier: Apache-2.0
"""Giving the own key of a group to devices that lack it, each in its pairwise session.

Rules:
- A grant is put into the outbox in the transaction that notes it, before anything that goes under
  the key. It gives the present iteration: what was sent earlier stays closed to who gets it.
- Nothing is given by a plan that does not hold any more: somebody may be out meanwhile.
- Grants are not kept to be sent again. Who could not read one asks.

Source: docs/wire-format.md, groups.
"""

from collections.abc import Sequence
from typing import Final

from e2ecross.address import Address, UserId
from e2ecross.device.group_planning import GroupPlan, is_still_so
from e2ecross.device.group_standing import find_standing
from e2ecross.device.hints import hints_by
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.posted import KeysAsked
from e2ecross.device.sending import Saying, encrypt_content
from e2ecross.errors import LocalError, RecordCorrupted, StoreTooNew
from e2ecross.protocol.sender_key import OwnSenderKey, distribute
from e2ecross.state.accounts import find_account
from e2ecross.state.context import Context
from e2ecross.state.epoch import WitnessedTransaction
from e2ecross.state.group_keys import GroupKey, find_group_key, put_grant
from e2ecross.state.group_outbox import put_grant_envelope
from e2ecross.state.trust import require_accepted_identity
from e2ecross.stores.base import Transaction
from e2ecross.wire.account_records import AccountRecord
from e2ecross.wire.content import SenderKeyGrant
from e2ecross.wire.group import GroupDestination, GroupId
from e2ecross.wire.limits import MESSAGE_ID_BYTES
from e2ecross.wire.sender_key_message import encode_distribution

__all__ = ["MAX_GRANTS", "Granter", "grant_keys", "make_grant"]

MAX_GRANTS: Final = 64
"""Devices that are given a key in one transaction, and in one deposit."""


def grant_keys(
    context: Context,
    leftovers: Leftovers,
    plan: GroupPlan,
    devices: Sequence[Address],
    asked: KeysAsked,
) -> bool:
    """Give the key that a plan goes under to devices that lack it; one transaction.

    A device that cannot be encrypted to is noted in `asked.unreachable`, and stops no other.

    Args:
        context: of the device.
        leftovers: are forgotten in the same commit.
        plan: what is to be sent.
        devices: at most 64 of `plan.lacking`.
        asked: what was asked of the back end for it; updated.

    Returns:
        Whether the plan still holds. If not, nothing was written: plan again.

    Raises:
        NotInGroup: the own account is not in the group any more.
        GroupRefused: nothing can be sent into the group any more.
    """
    with leftovers.going() as forget, WitnessedTransaction(context) as tx:
        forget(tx)
        key = find_group_key(tx, plan.group)
        standing = find_standing(context, tx, plan.group, plan.audience)
        if key is None or not is_still_so(standing, key, plan):
            return False
        granter = Granter(context, tx, plan.group, key, context.clock())
        for device in devices:
            try:
                with tx.savepoint():  # so, what each of them changes again is written once
                    granter.grant(device)
            except (LocalError, RecordCorrupted, StoreTooNew) as error:
                asked.unreachable[device] = error.with_traceback(None)
        return True


def make_grant(group: GroupId, key: GroupKey, at: OwnSenderKey) -> SenderKeyGrant:
    """Return what gives a key; who sends it notes that (`state/group_keys.put_grant`).

    Args:
        group: of which.
        key: the key.
        at: the same as it is; or as it was before the first message that is to be read with it.
    """
    encoded = encode_distribution(distribute(at, key.distribution_id))
    return SenderKeyGrant(GroupDestination(group, key.heads), encoded)


class Granter:
    """Gives a key in one transaction, under one message id.

    What is known of accounts is read once: nothing here changes a list. What gives the key is made
    once, too.
    """

    __slots__ = (
        "_accounts",
        "_content",
        "_context",
        "_group",
        "_is_noted",
        "_message_id",
        "_now_ms",
        "_tx",
    )

    def __init__(
        self,
        context: Context,
        tx: Transaction,
        group: GroupId,
        key: GroupKey,
        now_ms: int,
        *,
        is_noted: bool = True,
    ) -> None:
        """Nothing is given yet; whether it is noted who gets it: not of a key that is over."""
        self._context = context
        self._tx = tx
        self._group = group
        self._content = make_grant(group, key, key.key)
        self._now_ms = now_ms
        self._is_noted = is_noted
        self._message_id = context.entropy.bytes(MESSAGE_ID_BYTES)
        self._accounts: dict[UserId, AccountRecord | None] = {}

    def grant(self, device: Address) -> None:
        """Give a device the key as it is, and note that it has it.

        Raises:
            NoSession: there is no session with it.
            UntrustedIdentity: its identity key has changed and was not accepted.
            SessionExhausted: the session has no message numbers left.
            RecordCorrupted: a record of it is damaged.
        """
        context, tx = self._context, self._tx
        own = self._account(context.address.user_id)
        hints = hints_by(own, self._account(device.user_id))
        saying = Saying(hints, None, None if own is None else own.held)
        identity_key = require_accepted_identity(tx, device)
        envelope = encrypt_content(
            context, tx, device, self._content, self._message_id, self._now_ms, saying
        )
        put_grant_envelope(tx, self._group, envelope)
        if self._is_noted:
            put_grant(tx, self._group, device, identity_key)

    def _account(self, user: UserId) -> AccountRecord | None:
        if user not in self._accounts:
            self._accounts[user] = find_account(self._tx, user)
        return self._accounts[user]
