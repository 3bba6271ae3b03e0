# SPDX-License-Identifier: Apache-2.0
"""Whether a message into a group counts: judged by the commits alone, at the heads that it names.

Each function is one check; who receives asks them in this order. What is refused changes nothing.

Source: docs/wire-format.md, groups.
"""

from collections.abc import Iterable
from typing import Final

from e2ecross.errors import NotAllowedInGroup, StaleSenderKey
from e2ecross.protocol.group_graph import GroupGraph
from e2ecross.protocol.group_state import GroupView, ended_between
from e2ecross.wire.group import MemberId, Role

__all__ = ["require_current_key", "require_may_send", "require_member"]

_POWER: Final = (Role.OWNER, Role.ADMIN)


def require_member(graph: GroupGraph, heads: Iterable[bytes], sender: MemberId) -> None:
    """Check that a sender was in the group where the message stands, and still is.

    Args:
        graph: what is held of the group.
        heads: of the message: hashes of commits, 32 bytes each.
        sender: who has sent it.

    Raises:
        UnknownGroupState: a head is not held.
        NotAllowedInGroup: the sender was not in it, or is not.
    """
    for places in (graph.behind(heads), graph.all):
        if GroupView(graph, places).role(sender) is None:
            raise NotAllowedInGroup("the sender of a message is not in the group")


def require_current_key(
    graph: GroupGraph, key_heads: Iterable[bytes], heads: Iterable[bytes]
) -> None:
    """Check that a sender knows of nobody who has lost membership or power since its key was made.

    Args:
        graph: what is held of the group.
        key_heads: where the key was made: hashes of commits, 32 bytes each.
        heads: of the message, likewise.

    Raises:
        UnknownGroupState: a head is not held.
        StaleSenderKey: somebody has, or the key was made later than the message stands.
    """
    made, named = graph.behind(key_heads), graph.behind(heads)
    if made & ~named or ended_between(graph, made, named):
        raise StaleSenderKey("a message under a key that its sender ought to have changed")


def require_may_send(graph: GroupGraph, heads: Iterable[bytes], sender: MemberId) -> None:
    """Check that a sender has a role where only owners and admins send, there or now.

    Args:
        graph: what is held of the group.
        heads: of the message: hashes of commits, 32 bytes each.
        sender: who has sent it.

    Raises:
        UnknownGroupState: a head is not held.
        NotAllowedInGroup: the sender has none now.
    """
    then, now = GroupView(graph, graph.behind(heads)), GroupView(graph, graph.all)
    is_bound = then.settings().only_admins_send or now.settings().only_admins_send
    if is_bound and now.role(sender) not in _POWER:
        raise NotAllowedInGroup("only owners and admins send in this group")
