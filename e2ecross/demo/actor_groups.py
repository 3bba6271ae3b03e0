# SPDX-License-Identifier: Apache-2.0
"""What an app of the demo does with groups."""

from collections.abc import Callable, Mapping
from typing import Final

from e2ecross.client.groups import Group
from e2ecross.demo.app import App, Direction
from e2ecross.wire.content import Text
from e2ecross.wire.group import GroupId

__all__ = ["GROUP_DIRECTIONS"]


def _create_group(app: App, direction: Direction) -> Direction:
    group = app.client.create_group(direction["name"], direction["users"].split())
    return {"group": str(group.id)}


def _accept_group(app: App, direction: Direction) -> Direction:
    _group(app, direction).accept()
    return {}


def _send_into_group(app: App, direction: Direction) -> Direction:
    sent = _group(app, direction).send(Text(direction["text"]))
    devices = [str(each.address) for each in sent.deliveries if not each.problem]
    return {"message_id": sent.message_id.hex(), "devices": devices}


def _remove_member(app: App, direction: Direction) -> Direction:
    _group(app, direction).remove(direction["user"])
    return {}


def _show_group(app: App, direction: Direction) -> Direction:
    group = _group(app, direction)
    members = [[str(each.user), each.role.name.lower()] for each in group.members]
    return {"name": group.name, "members": members, "state": str(group.state)}


def _group(app: App, direction: Direction) -> Group:
    return app.client.group(GroupId.parse(direction["group"]))


GROUP_DIRECTIONS: Final[Mapping[str, Callable[[App, Direction], Direction]]] = {
    "create_group": _create_group,
    "accept_group": _accept_group,
    "send_into_group": _send_into_group,
    "remove_member": _remove_member,
    "show_group": _show_group,
}
