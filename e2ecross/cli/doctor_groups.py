# SPDX-License-Identifier: Apache-2.0
"""What `e2ecross doctor` says about groups and sender keys: facts, problems, what is worth knowing.

Rules:
- Groups are numbered as they come: neither an id nor a name is printed.
- Problems and notes as in `doctor_advice.py`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from e2ecross.cli.doctor_finding import DAY_MS, Finding, count
from e2ecross.device.group_reading import GroupStatus
from e2ecross.device.group_recipients import KEY_DIFFERS
from e2ecross.device.health_groups import GroupHealth, GroupKeyHealth, GroupReachHealth
from e2ecross.device.health_sender_keys import SenderKeysHealth
from e2ecross.stores.base import Table
from e2ecross.wire.limits import (
    MAX_GROUP_COMMITS,
    MAX_SENDER_KEY_MESSAGES,
    MAX_SENDER_KEY_PLACES,
    MAX_SENDER_KEY_SEEDS,
)

__all__ = ["REMEDIES", "find_group_notes", "find_group_problems", "group_facts"]

_DAMAGED: Final = "damaged"
_COMES_AGAIN: Final = (
    "nothing can be sent into such a group or read of it; call Group.forget, which deletes what is "
    "held of it: its commits come again with the next message of a member"
)
_NEW_KEY: Final = (
    "the next message into such a group makes a new key; in groups of the raw layer call "
    "new_sender_key_raw"
)
_ASKED_FOR: Final = (
    "what cannot be read because of that is asked for by itself; in groups of the raw layer ask "
    "the sender for another distribution message"
)
REMEDIES: Final = {
    Table.GROUPS: _COMES_AGAIN,
    Table.GROUP_COMMITS: _COMES_AGAIN,
    Table.GROUP_GRANTS: _NEW_KEY,
    Table.OWN_SENDER_KEYS: _NEW_KEY,
    Table.SENDER_KEYS: _ASKED_FOR,
    Table.SENDER_KEY_SEEDS: _ASKED_FOR,
}
"""What is to be done about damaged records of these tables: other than for the rest, not to give
the store up."""


def group_facts(
    groups: Sequence[GroupHealth], sender_keys: SenderKeysHealth
) -> Iterator[tuple[str, str]]:
    """Tell how groups are doing: labels and what stands beside them."""
    if groups:
        found = Counter(group.status or _DAMAGED for group in groups)
        yield "groups", ", ".join(f"{number} {status}" for status, number in found.items())
        for number, group in enumerate(groups, start=1):
            yield from _group_facts(f"group {number}", group)
    held = sender_keys
    if held.devices:
        keys = f"{count(held.keys, 'key')} in {count(held.places, 'place')}"
        raw = f", {held.raw_keys} in {held.raw_places} of the raw layer" if held.raw_keys else ""
        yield "sender keys held", f"of {count(held.devices, 'device')}: {keys}{raw}"
        yield "", f"{held.seeds} of messages that have not arrived"


def find_group_problems(groups: Sequence[GroupHealth]) -> Iterator[Finding]:
    """Say what needs something to be done."""
    damaged = _with_status(groups, None)
    if damaged:
        yield Finding(
            "groups_damaged", f"{count(damaged, 'group')} cannot be read whole: {_COMES_AGAIN}."
        )
    outdated = _with_status(groups, GroupStatus.OUTDATED)
    if outdated:
        yield Finding(
            "groups_outdated",
            f"{count(outdated, 'group')} changed by a later release in a way that this one cannot "
            f"read, and nothing is sent there: upgrade e2ecross.",
        )
    full = _with_status(groups, GroupStatus.FULL)
    if full:
        yield Finding(
            "groups_full",
            f"{count(full, 'group')} with all the changes that a group can have "
            f"({MAX_GROUP_COMMITS}), and nothing is sent there: make a new group.",
        )
    back = sum(group.back for group in groups if group.role is not None)
    if back:
        yield Finding(
            "members_back",
            f"{count(back, 'member')} of groups came in only because a removal became void, and "
            f"get nothing: show the user Group.members, and call Group.accept_back for those that "
            f"are to stay, Group.remove for others.",
        )
    differing = sum(reach.problems.get(KEY_DIFFERS, 0) for reach in _reaches(groups))
    if differing:
        yield Finding(
            "members_key_differs",
            f"{count(differing, 'member')} of groups with another key than their account has now, "
            f"and get nothing: an owner or admin calls Group.add for them, once more.",
        )


def find_group_notes(
    groups: Sequence[GroupHealth], sender_keys: SenderKeysHealth
) -> Iterator[Finding]:
    """Say what may explain what an app sees, and passes by itself."""
    pending = sum(not group.accepted and group.role is not None for group in groups)
    if pending:
        yield Finding(
            "groups_pending",
            f"{count(pending, 'group')} that the user has not accepted: nothing is told or asked "
            f"there; call Group.accept, or Group.leave.",
        )
    left = _with_status(groups, GroupStatus.LEFT)
    if left:
        yield Finding(
            "groups_left",
            f"{count(left, 'group')} that the account is not in: call Group.forget to delete what "
            f"is held of it.",
        )
    unannounced = sum(group.unannounced for group in groups)
    if unannounced:
        yield Finding(
            "commits_unannounced",
            f"{count(unannounced, 'change')} of groups that nobody was told of yet: call "
            f"Client.maintain.",
        )
    yield from _queue_notes(groups)
    yield from _reach_notes(groups)
    if sender_keys.near_bound:
        yield Finding(
            "sender_keys_near_bound",
            f"{count(sender_keys.near_bound, 'sender')} in groups of whose messages many have not "
            f"arrived: of more than {MAX_SENDER_KEY_SEEDS} the oldest cannot be read any more.",
        )
    if sender_keys.crowded:
        yield Finding(
            "sender_keys_crowded",
            f"{count(sender_keys.crowded, 'device')} with keys for as many groups as are held "
            f"({MAX_SENDER_KEY_PLACES}): those of the group least lately given go with the next "
            f"one, and are asked for again.",
        )


def _group_facts(label: str, group: GroupHealth) -> Iterator[tuple[str, str]]:
    if group.status is None:
        yield label, f"{_DAMAGED}; {count(group.commits, 'commit')}"
        return
    role = "out" if group.role is None else f"own role {group.role.name.lower()}"
    accepted = "" if group.accepted or group.role is None else "; not accepted"
    who = f"{count(group.members, 'member')}, {role}, {count(group.commits, 'commit')}"
    yield label, f"{group.status}{accepted}: {who}"
    yield from (("", text) for text in _key_texts(group.key))
    if group.reach is not None:
        yield from (("", text) for text in _reach_texts(group.reach))
    queue = group.queue
    if queue.grants or queue.messages or queue.anew:
        anew = f", {queue.anew} to be encrypted anew" if queue.anew else ""
        messages = count(queue.messages, "message")
        yield "", f"waiting: {count(queue.grants, 'grant')}, {messages}{anew}"


def _key_texts(key: GroupKeyHealth | None) -> Iterator[str]:
    if key is None:
        yield "no own key"
        return
    age = "of the future" if key.age_ms < 0 else f"{count(key.age_ms // DAY_MS, 'day')} old"
    given = "devices unknown" if key.given is None else f"given to {key.given}"
    yield f"own key {age}, {key.messages} of {MAX_SENDER_KEY_MESSAGES} used, {given}"
    if key.is_due:
        yield "a new one is due"


def _reach_texts(reach: GroupReachHealth) -> Iterator[str]:
    yield f"reaches {count(reach.devices, 'device')}, {reach.lacking} without the key"
    if reach.unasked:
        yield f"{count(reach.unasked, 'list')} to be asked for before"
    for code, number in reach.problems.items():
        yield f"{number} not reached: {code}"


def _queue_notes(groups: Sequence[GroupHealth]) -> Iterator[Finding]:
    queues = [group.queue for group in groups]
    waiting = sum(queue.grants + queue.messages + queue.anew for queue in queues)
    if waiting:
        yield Finding(
            "group_outbox",
            f"{count(waiting, 'envelope')} of groups waiting for the back end, keys before what is "
            f"sent under them: call Client.maintain when it can be reached.",
        )
    anew = sum(queue.anew for queue in queues)
    if anew:
        yield Finding(
            "group_messages_anew",
            f"{count(anew, 'message')} into groups to be encrypted again, because the store was "
            f"restored: call Client.maintain.",
        )


def _reach_notes(groups: Sequence[GroupHealth]) -> Iterator[Finding]:
    due = sum(group.key is not None and group.key.is_due for group in groups)
    if due:
        yield Finding(
            "group_keys_due",
            f"{count(due, 'group')} whose next message makes a new key: the one there is old, used "
            f"up, or known to somebody who is out.",
        )
    lacking = sum(reach.lacking for reach in _reaches(groups))
    if lacking:
        yield Finding(
            "group_grants_missing",
            f"{count(lacking, 'device')} of members without the own key: the next message gives "
            f"it to them.",
        )
    unreached = sum(
        number
        for reach in _reaches(groups)
        for code, number in reach.problems.items()
        if code != KEY_DIFFERS
    )
    if unreached:
        yield Finding(
            "members_unreached",
            f"{count(unreached, 'member')} of groups that the next message does not reach: "
            f"Delivery.problem says why.",
        )


def _reaches(groups: Sequence[GroupHealth]) -> Iterator[GroupReachHealth]:
    return (group.reach for group in groups if group.reach is not None)


def _with_status(groups: Sequence[GroupHealth], status: GroupStatus | None) -> int:
    return sum(group.status is status for group in groups)
