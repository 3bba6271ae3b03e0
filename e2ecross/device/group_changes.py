# SPDX-License-Identifier: Apache-2.0
"""Making and changing groups: what the user does, signed as commits of the own account.

Rules:
- Only device 1 signs: it has the account's key. What is decided for this device alone (accepting,
  confirming, forgetting) is no commit, and each device does it.
- All is checked before anything is written, in the transaction that writes; too many accounts
  before any is asked for.

Source: docs/wire-format.md, groups.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NoReturn

from e2ecross.address import UserId
from e2ecross.arguments import require_type
from e2ecross.device.group_held import HeldGroup, find_held
from e2ecross.device.group_members import member_of, own_member, require_group, require_role
from e2ecross.device.group_signing import begin_group, change_group, open_group, require_account_key
from e2ecross.device.posted import KeysAsked, KeysNeeded
from e2ecross.errors import (
    GroupRefused,
    GroupsUnsupported,
    InvalidArgument,
    NotInGroup,
    RecordCorrupted,
    UnknownRecipient,
)
from e2ecross.state.accounts import find_list
from e2ecross.state.context import Context
from e2ecross.state.epoch import WitnessedTransaction
from e2ecross.state.group_keys import drop_group_key, forget_checked
from e2ecross.state.groups import drop_group, put_group
from e2ecross.state.sender_keys import drop_sender_keys_of
from e2ecross.state.trust import require_accepted_account
from e2ecross.stores.base import Transaction
from e2ecross.wire.capabilities import Capability, decode_capabilities
from e2ecross.wire.device_list import PRIMARY
from e2ecross.wire.group import GroupId, GroupSettings, MemberId, Role
from e2ecross.wire.group_commit import (
    AddMember,
    GroupOp,
    RemoveMember,
    SetRole,
    is_later_version,
)
from e2ecross.wire.limits import MAX_GROUP_MEMBERS, MAX_GROUP_OPS

__all__ = [
    "accept_back",
    "accept_group",
    "add_members",
    "change_settings",
    "create_group",
    "forget_group",
    "leave_group",
    "remove_members",
    "set_role",
    "step_down",
]

_FIRST_ADDS: Final = MAX_GROUP_OPS - 2
"""Beside its owner and the settings."""


def create_group(
    context: Context,
    users: Sequence[UserId],
    settings: GroupSettings,
    asked: KeysAsked,
) -> GroupId | KeysNeeded:
    """Make a group of the own account, its owner, and others.

    Args:
        context: of the device.
        users: the others, at most 1,023 accounts.
        settings: its name and the like.
        asked: what the back end was asked for it before.

    Returns:
        The group; or whose lists and keys are to be asked for first: nothing was written.

    Raises:
        NotPrimary: this is not device 1.
        InvalidArgument: the own account is among the others, or they are too many.
        UntrustedIdentity: another key of an account waits for the user's decision.
        UnknownRecipient: an account is not known.
        GroupsUnsupported: accounts have no device that takes part in groups.
        E2ECrossError: an account cannot be reached; why.
    """
    require_account_key(context)
    _require_size(1 + len({*users}))
    with WitnessedTransaction(context) as tx:
        members = _find_members(context, tx, users, asked)
        if isinstance(members, KeysNeeded):
            return members
        adds = [AddMember(member) for member in members]
        first, others = adds[:_FIRST_ADDS], adds[_FIRST_ADDS:]
        return begin_group(context, tx, (settings, *first), ([op] for op in others))


def add_members(
    context: Context, group: GroupId, users: Sequence[UserId], asked: KeysAsked
) -> KeysNeeded | None:
    """Add accounts; who is in already stays as he is. Where one has another key, the old one goes.

    Args:
        context: of the device.
        group: to which group.
        users: whom.
        asked: what the back end was asked for it before.

    Returns:
        None; or whose lists and keys are to be asked for first: nothing was written.

    Raises:
        NotPrimary: this is not device 1.
        NotInGroup: the own account is not in the group.
        GroupRefused: it has no role, or nothing can be changed in the group.
        InvalidArgument: the own account is among them, an account is *back*, or they are too many.
        UntrustedIdentity, UnknownRecipient, GroupsUnsupported, E2ECrossError: as `create_group`.
    """
    require_account_key(context)
    with WitnessedTransaction(context) as tx:
        held, role = open_group(context, tx, group)
        _require_power(role)
        members = held.state.members
        _require_size(
            len({*users} | {member.user for member in members})
        )  # before any is asked for
        found = _find_members(context, tx, users, asked)
        if isinstance(found, KeysNeeded):
            return found
        if any(member in held.record.back for member in found):
            raise InvalidArgument("an account is in already, and to be confirmed: use accept_back")
        changes: list[list[GroupOp]] = [
            [AddMember(new), *_replaced(members, role, new)] for new in found if new not in members
        ]
        ops = [op for each in changes for op in each]
        removed = sum(isinstance(op, RemoveMember) for op in ops)
        _require_size(len(members) + len(ops) - 2 * removed)
        change_group(context, tx, held, changes)
    return None


def remove_members(context: Context, group: GroupId, users: Sequence[UserId]) -> None:
    """Take accounts out of a group, with all account keys that they are in with.

    Raises:
        NotPrimary: this is not device 1.
        NotInGroup: the own account is not in the group.
        GroupRefused: the own role is not above that of each, or nothing can be changed.
        InvalidArgument: one is not in the group, or is the own account.
    """
    require_account_key(context)
    with WitnessedTransaction(context) as tx:
        held, role = open_group(context, tx, group)
        removes: list[list[GroupOp]] = []
        for user in dict.fromkeys(users):
            for member, other in _entries(context, held, user).items():
                if role is Role.MEMBER or other <= role:
                    _refuse_role()
                removes.append([RemoveMember(member)])
        change_group(context, tx, held, removes)


def set_role(context: Context, group: GroupId, user: UserId, role: Role) -> None:
    """Give another account a role.

    Where it is in with several account keys, more power is given to the accepted one alone, and
    less to all.

    Raises:
        NotPrimary: this is not device 1.
        NotInGroup: the own account is not in the group.
        GroupRefused: the own account is no owner, or the other one is; or nothing can be changed.
        InvalidArgument: it is not in the group with its accepted key, or is the own account.
    """
    require_account_key(context)
    require_type("role", role, Role)
    with WitnessedTransaction(context) as tx:
        held, own_role = open_group(context, tx, group)
        entries, accepted = _entries(context, held, user), member_of(context, tx, user)
        if own_role is not Role.OWNER:
            _refuse_role()
        chosen = {each: had for each, had in entries.items() if had < role or each == accepted}
        if not chosen:
            raise InvalidArgument(f"{user} has another account key now: add it to the group first")
        ops = [SetRole(each, role) for each, had in chosen.items() if had is not role]
        if ops and Role.OWNER in chosen.values():
            _refuse_role()
        change_group(context, tx, held, ([op] for op in ops))


def step_down(context: Context, group: GroupId, role: Role) -> None:
    """Give the own account less power.

    Raises:
        NotPrimary: this is not device 1.
        NotInGroup: the own account is not in the group.
        GroupRefused: nothing can be changed in the group.
        InvalidArgument: that is no less, or the group would be left without an owner.
    """
    require_account_key(context)
    require_type("role", role, Role)
    with WitnessedTransaction(context) as tx:
        held, own_role = open_group(context, tx, group)
        if role <= own_role:
            raise InvalidArgument("role must be one with less power than now")
        _require_owner_left(context, held)
        change_group(context, tx, held, [(SetRole(own_member(context), role),)])


def leave_group(context: Context, group: GroupId) -> None:
    """Leave a group.

    Raises:
        NotPrimary: this is not device 1.
        NotInGroup: the own account is not in the group.
        GroupRefused: nothing can be changed in the group.
        InvalidArgument: the group would be left without an owner.
    """
    require_account_key(context)
    with WitnessedTransaction(context) as tx:
        held, _ = open_group(context, tx, group)
        _require_owner_left(context, held)
        change_group(context, tx, held, [(RemoveMember(own_member(context)),)])


def change_settings(context: Context, group: GroupId, **changed: str | bytes | bool) -> None:
    """Change some settings of a group.

    Args:
        context: of the device.
        group: of which.
        changed: fields of `GroupSettings`.

    Raises:
        NotPrimary: this is not device 1.
        NotInGroup: the own account is not in the group.
        GroupRefused: it has no role, or nothing can be changed in the group.
        InvalidArgument: a setting has the wrong type or length.
    """
    require_account_key(context)
    with WitnessedTransaction(context) as tx:
        held, role = open_group(context, tx, group)
        _require_power(role)
        settings = replace(held.state.settings, **changed)  # type: ignore[arg-type]
        if settings != held.state.settings:
            change_group(context, tx, held, [(settings,)])


def accept_group(context: Context, group: GroupId) -> None:
    """Let this device speak about a group by itself: the user wants to be in it.

    Nothing happens where the own account is out by now.

    Raises:
        NotInGroup: the group is not known here.
    """
    with context.store.transaction() as tx:
        record, state = require_group(tx, group)
        if own_member(context) in state.members:  # perhaps no more, since the app has heard of it
            put_group(tx, group, replace(record, accepted=True))


def accept_back(context: Context, group: GroupId, user: UserId) -> None:
    """Confirm an account that is in a group only because a removal became void.

    Raises:
        NotInGroup: the own account is not in the group.
        InvalidArgument: the other one is not in it.
    """
    with context.store.transaction() as tx:
        record, state = require_group(tx, group)
        require_role(context, state)
        if all(member.user != user for member in state.members):
            raise InvalidArgument(f"{user} is not in the group")
        back = tuple(member for member in record.back if member.user != user)
        put_group(tx, group, replace(record, back=back))
        forget_checked(tx, group)


def forget_group(context: Context, group: GroupId) -> None:
    """Delete all that is kept of a group which the own account is not in, or cannot leave.

    Nobody leaves one that is full, or that only a later release can change; nor one that is damaged
    here.

    Raises:
        NotInGroup: it is not known here.
        GroupRefused: the own account is in it, or nobody has been told yet that it left.
    """
    with context.store.transaction() as tx:
        try:
            held = find_held(context, tx, group)
        except RecordCorrupted:
            pass
        else:
            if held is None:
                raise NotInGroup(f"{group} is not known here")
            is_outdated = is_later_version(held.record.outdated)
            is_stuck = is_outdated or held.record.full
            if own_member(context) in held.state.members and not is_stuck:
                raise GroupRefused("the own account is in the group: leave it first")
            if held.record.unannounced and not is_outdated:
                raise GroupRefused("the group was not told yet of the last change: call maintain")
        drop_group(tx, group)
        drop_group_key(tx, group)
        drop_sender_keys_of(tx, group)


def _find_members(
    context: Context, tx: Transaction, users: Iterable[UserId], asked: KeysAsked
) -> list[MemberId] | KeysNeeded:
    """Return what accounts are in groups, once it is known of all that they take part."""
    members: list[MemberId] = []
    needed: dict[UserId, frozenset[int] | None] = {}
    unable: list[UserId] = []
    for user in dict.fromkeys(users):
        if user == context.address.user_id:
            raise InvalidArgument("users must be others than the own account")
        if user in asked.refused:
            raise asked.refused[user]
        require_accepted_account(tx, user.device(PRIMARY))
        member = member_of(context, tx, user)
        is_able = _takes_part(tx, user)
        if member is not None and is_able:
            members.append(member)
        elif user not in asked.users:
            needed[user] = None
        elif member is None:
            reason = asked.unreachable.get(user.device(PRIMARY))
            raise reason or UnknownRecipient(f"{user} is not registered")
        else:
            unable.append(user)
    if needed:
        return KeysNeeded(needed)
    if unable:
        raise GroupsUnsupported(unable)
    return members


def _takes_part(tx: Transaction, user: UserId) -> bool:
    """Whether a device of an account announces that it takes part in groups."""
    held = find_list(tx, user)
    return held is not None and any(
        Capability.GROUPS in decode_capabilities(each.capabilities) for each in held.devices
    )


def _entries(context: Context, held: HeldGroup, user: UserId) -> dict[MemberId, Role]:
    """Return an account's roles, by the keys that it is in with: mostly one."""
    if user == context.address.user_id:
        raise InvalidArgument("it is the own account: use leave or step_down")
    found = {member: role for member, role in held.state.members.items() if member.user == user}
    if not found:
        raise InvalidArgument(f"{user} is not in the group")
    return found


def _replaced(members: Mapping[MemberId, Role], own: Role, new: MemberId) -> list[RemoveMember]:
    """The removals of an account's other keys, where the own role is above theirs."""
    old = (each for each, role in members.items() if each.user == new.user and own < role)
    return [RemoveMember(each) for each in old][: MAX_GROUP_OPS - 1]


def _require_size(members: int) -> None:
    if members > MAX_GROUP_MEMBERS:
        raise InvalidArgument(f"a group has at most {MAX_GROUP_MEMBERS} members, not {members}")


def _require_power(role: Role) -> None:
    if role is Role.MEMBER:
        _refuse_role()


def _require_owner_left(context: Context, held: HeldGroup) -> None:
    """Check that the group keeps an owner, if the own account ceases to be one."""
    own, members = own_member(context), held.state.members
    owners = [member for member, role in members.items() if role is Role.OWNER]
    if owners == [own] and len(members) > 1:
        raise InvalidArgument("the last owner stays while others are in: make another one first")


def _refuse_role() -> NoReturn:
    raise GroupRefused("the own role in the group does not allow that")
