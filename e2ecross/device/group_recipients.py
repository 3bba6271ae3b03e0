# SPDX-License-Identifier: Apache-2.0
"""Who gets what is sent into a group: accounts of its roster, and which of their devices.

Rules:
- A member is a user with one account key. Of whose account another key is accepted, or another one
  waits, nothing is encrypted to any device.
- Who is unknown is asked for, and taken in under the key that the roster says, under no other.
- Who cannot be reached stops nobody else: it is told why, by device.
- Nothing is sent to who came in only because a removal became void (`GroupRecord.back`).

Source: docs/wire-format.md, groups.
"""

from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import Final, NamedTuple

from e2ecross.address import Address, UserId
from e2ecross.conversation.negotiation import Plan, framed_needs
from e2ecross.crypto.keys import PublicKey
from e2ecross.device.composing import (
    Draft,
    capabilities_of,
    forms_for,
    plan_of,
    require_allowed,
)
from e2ecross.device.device_lists import targets_by
from e2ecross.device.group_members import member_of
from e2ecross.device.posted import KeysAsked, KeysNeeded
from e2ecross.errors import UnknownRecipient, UntrustedIdentity
from e2ecross.state.accounts import find_account, was_checked
from e2ecross.state.context import Context, address_key
from e2ecross.state.trust import find_identity_record
from e2ecross.stores.base import Transaction
from e2ecross.wire.account_records import AccountRecord
from e2ecross.wire.capabilities import Capability
from e2ecross.wire.content import AnyContent, Framed
from e2ecross.wire.device_list import PRIMARY
from e2ecross.wire.group import MemberId
from e2ecross.wire.limits import MAX_GROUP_MEMBERS

__all__ = [
    "KEY_DIFFERS",
    "Recipients",
    "find_recipients",
    "list_devices",
    "plan_content",
    "who_obeys",
]

KEY_DIFFERS: Final = "group_key_differs"
"""The account has another key than the member."""


class Recipients(NamedTuple):
    """Who gets what is sent.

    Attributes:
        devices: their identity keys, 33 bytes each, as they are listed.
        problems: why nothing is sent to a device, by the code of an error; of an account as a whole
            to its device 1.
        needed: what has to be asked of the back end before; None: nothing.
    """

    devices: Mapping[Address, PublicKey]
    problems: Mapping[Address, str]
    needed: KeysNeeded | None


def find_recipients(
    context: Context,
    tx: Transaction,
    members: Iterable[MemberId],
    asked: KeysAsked,
    now_ms: int,
) -> Recipients:
    """Return which devices of members are sent to, never this one.

    Args:
        context: of the device.
        tx: the operation's transaction.
        members: who; of more than 1,024 the first.
        asked: what was asked of the back end before.
        now_ms: milliseconds since 1970.
    """
    devices: dict[Address, PublicKey] = {}
    problems: dict[Address, str] = {}
    wanted: dict[UserId, frozenset[int] | None] = {}
    keys: dict[UserId, PublicKey] = {}
    for member in islice(members, MAX_GROUP_MEMBERS):
        user = member.user
        account = find_account(tx, user)
        code = _problem(context, tx, member, account, asked)
        if _needs_list(context, user, account, asked, now_ms) and code in ("", _NO_LIST):
            # At first contact the devices are not known: all keys come with the list.
            is_first = account is None or account.held is None
            wanted[user], keys[user] = None if is_first else frozenset(), member.account_key
        elif code:
            problems[user.device(PRIMARY)] = code
        else:
            targets = targets_by(context, user, account, now_ms)
            devices |= {
                address: key
                for address, key in ({} if targets is None else targets.devices).items()
                if Capability.GROUPS in capabilities_of(account, address)
            }
    return Recipients(devices, problems, KeysNeeded(wanted, keys) if wanted else None)


def list_devices(
    context: Context, tx: Transaction, members: Collection[MemberId], addresses: Iterable[Address]
) -> dict[Address, PublicKey]:
    """Return which of some devices are listed by accounts of members, under which identity key.

    Args:
        context: of the device.
        tx: the operation's transaction.
        members: who.
        addresses: the devices that are asked about.
    """
    found: dict[Address, PublicKey] = {}
    for address in addresses:
        account = find_account(tx, address.user_id)
        held = None if account is None else account.held
        listed = None if held is None else held.list.find(address.device)
        if listed is not None and member_of(context, tx, address.user_id) in members:
            found[address] = listed.identity_key
    return found


def plan_content(
    context: Context, tx: Transaction, draft: Draft, recipients: Iterable[Address]
) -> Plan:
    """Return what devices of others show: all of them read frames, and mostly that is enough.

    Args:
        context: of the device.
        tx: the operation's transaction.
        draft: what the user sends.
        recipients: devices that get a copy.

    Raises:
        LossyContent: something is lost, and the user has not agreed to that.
        ContentRefused: a device does not obey what protects somebody.
    """
    framed, ends = draft.blank, dict[Address, frozenset[int]]()
    if isinstance(framed, Framed):
        needs = framed_needs(framed.content, framed.expiry, view_once=framed.view_once)
        if needs > {Capability.POST}:
            own = context.address.user_id
            others = [each for each in recipients if each.user_id != own]
            ends = {each: capabilities_of(find_account(tx, each.user_id), each) for each in others}
    plan = plan_of(draft, ends)
    require_allowed(draft, plan)
    return plan


def who_obeys(
    context: Context, tx: Transaction, content: AnyContent, devices: Iterable[Address]
) -> list[Address]:
    """Return which devices may have a message: own ones, and who obeys what protects somebody.

    Args:
        context: of the device.
        tx: the operation's transaction.
        content: the message as it is kept.
        devices: of members, that were not known when it was first encrypted.
    """
    own = context.address.user_id
    return [
        each
        for each in devices
        if each.user_id == own or forms_for(content, find_account(tx, each.user_id), (each,))
    ]


_NO_LIST: Final = UnknownRecipient.code


def _problem(
    context: Context,
    tx: Transaction,
    member: MemberId,
    account: AccountRecord | None,
    asked: KeysAsked,
) -> str:
    """Return why nothing is sent to an account, or nothing."""
    user = member.user
    if user == context.address.user_id:
        return "" if member.account_key == context.account_key else KEY_DIFFERS
    known = find_identity_record(tx, address_key(user.device(PRIMARY)))
    if known is not None and known.identity_key != member.account_key:
        return KEY_DIFFERS
    if known is not None and known.pending_key is not None:
        return UntrustedIdentity.code
    if known is None or account is None or account.held is None:
        refused = asked.refused.get(user)
        return KEY_DIFFERS if user in asked.differing else refused.code if refused else _NO_LIST
    return ""


def _needs_list(
    context: Context, user: UserId, account: AccountRecord | None, asked: KeysAsked, now_ms: int
) -> bool:
    if user in asked.users or was_checked(account, now_ms):
        return False
    if user == context.address.user_id:  # made when it registers, or coming
        return account is not None and account.check_wanted
    return account is None or account.held is None or account.check_wanted
