# SPDX-License-Identifier: Apache-2.0
"""`AsyncGroup`: a `Group` in a program of asyncio.

Rules:
- Properties are awaited, too: each reads the store.
"""

from collections.abc import Awaitable, Callable, Coroutine
from functools import update_wrapper
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from e2ecross.client.groups import Group
from e2ecross.wire.group import GroupId

__all__ = ["AsyncGroup", "Awaited", "RunsOnGroups"]

P = ParamSpec("P")
T = TypeVar("T")

RunsOnGroups = Callable[[GroupId, Callable[[Group], Any]], Awaitable[Any]]
"""Calls something with a group, in a thread of its own."""


def _in_thread(
    method: Callable[Concatenate[Group, P], T],
) -> Callable[Concatenate["AsyncGroup", P], Coroutine[Any, Any, T]]:
    async def call(self: "AsyncGroup", /, *args: P.args, **kwargs: P.kwargs) -> T:
        found: T = await self._run(self.id, lambda group: method(group, *args, **kwargs))
        return found

    update_wrapper(call, method)
    return call


class Awaited(Generic[T]):
    """A property of a group, to be awaited."""

    def __init__(self, read: Callable[[Group], T]) -> None:
        self._read = read

    def __get__(self, group: "AsyncGroup", _: type["AsyncGroup"]) -> Awaitable[T]:
        return group._run(group.id, self._read)


class AsyncGroup:
    """The calls and properties of a `Group`, to be awaited; from `AsyncClient`.

    Attributes:
        id: what names it.
    """

    __slots__ = ("_run", "id")

    def __init__(self, run: RunsOnGroups, group: GroupId) -> None:
        """Of a client, which runs the calls."""
        self._run = run
        self.id = group

    def __repr__(self) -> str:
        return f"<AsyncGroup {self.id}>"

    name = Awaited(lambda group: group.name)
    app_data = Awaited(lambda group: group.app_data)
    only_admins_send = Awaited(lambda group: group.only_admins_send)
    members = Awaited(lambda group: group.members)
    role = Awaited(lambda group: group.role)
    accepted = Awaited(lambda group: group.accepted)
    state = Awaited(lambda group: group.state)

    send = _in_thread(Group.send)
    add = _in_thread(Group.add)
    remove = _in_thread(Group.remove)
    set_role = _in_thread(Group.set_role)
    step_down = _in_thread(Group.step_down)
    rename = _in_thread(Group.rename)
    set_app_data = _in_thread(Group.set_app_data)
    set_only_admins_send = _in_thread(Group.set_only_admins_send)
    accept = _in_thread(Group.accept)
    accept_back = _in_thread(Group.accept_back)
    leave = _in_thread(Group.leave)
    forget = _in_thread(Group.forget)
