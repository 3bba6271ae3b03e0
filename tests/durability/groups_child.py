# SPDX-License-Identifier: Apache-2.0
"""A nursery of devices in a group: `python -m tests.durability.groups_child`.

As `receipts_child.py`: they send into a group, change it, and read. `Order.first_to` is a text that
is sent before all else.
"""

from pathlib import Path
from typing import Final

from e2ecross import GroupId, Message, Notice, NoticeKind, Role, Text
from e2ecross.errors import GroupRefused, NotInGroup
from tests.durability.child import Order, main
from tests.durability.receipts_child import ANA, BUDI, TOKO, ReceiptsChild

FOUNDERS: Final = (ANA, BUDI)
"""Who is in the group all the time, and changes it."""
EVERYBODY: Final = (*FOUNDERS, TOKO)


def group_file(directory: str | Path) -> Path:
    return Path(directory) / "group"


class GroupsChild(ReceiptsChild):
    """One life of one device."""

    def __init__(self, order: Order) -> None:
        super().__init__(order)
        self._group = GroupId.parse(group_file(order.directory).read_text())

    def live(self) -> None:
        order = self._order
        self._client.register()
        if order.first_to:
            self._say(order.first_to)
        for _ in range(order.steps):
            kind = self._random.random()
            if kind < 0.35:
                self._say("")
            elif kind < 0.7:
                self._take(self._random.choice((1, 3, 100)))
            elif kind < 0.9 and order.device in [f"{user}.1" for user in FOUNDERS]:
                self._change()
            else:
                self._client.maintain()
                self._killer.reach("after it is maintained")
        if not order.steps:
            self._client.maintain()
            while self._take(100):
                pass
        self._store.close()
        self._relay.close()

    def _say(self, peer: str) -> None:
        message_id = self._random.randbytes(16)
        text = peer or f"{message_id.hex()} {'x' * self._random.randrange(400)}"
        facts = {"sender": self._order.device, "id": message_id.hex()}
        self._journal.note("intent", text=text, **facts)
        try:
            self._client.group(self._group).send(Text(text), message_id=message_id)
        except NotInGroup:
            self._journal.note("refused", **facts)
            return
        self._killer.reach("after send")
        self._journal.note("sent", **facts)

    def _change(self) -> None:
        group = self._client.group(self._group)
        inside = {str(member.user): member.role for member in group.members}
        kind = self._random.random()
        if kind < 0.1:
            self._client.create_group("one more", {*EVERYBODY} - {str(self._address.user_id)})
        elif kind < 0.3:
            group.rename(self._random.randbytes(8).hex())
        elif TOKO not in inside:
            group.add(TOKO)
        elif inside[TOKO] is Role.MEMBER and kind < 0.8:
            group.remove(TOKO)
        else:
            try:
                group.set_role(TOKO, Role.ADMIN)
            except GroupRefused:  # Budi is no owner
                group.rename("refused")
        self._killer.reach("after the group is changed")
        self._journal.note("changed", at=self._order.device)

    def _take(self, limit: int) -> bool:
        items = self._client.receive(limit)
        self._killer.reach("after receive, before the caller's note")
        for item in items:
            facts = {"at": self._order.device, "round": self._order.number}
            if isinstance(item, Message) and isinstance(item.content, Text):
                self._journal.note(
                    "handed",
                    id=item.message_id.hex(),
                    sender=str(item.sender),
                    text=item.content.text,
                    again=item.redelivered,
                    **facts,
                )
                assert item.group == self._group
            elif isinstance(item, Notice):
                if item.kind is NoticeKind.GROUP_JOINED:
                    assert item.group is not None
                    self._client.group(item.group).accept()
            elif not isinstance(item, Message):
                code, sender = item.error.code, str(item.sender)
                self._journal.note("failed", code=code, sender=sender, **facts)
        self._killer.reach("after the caller's note, before confirm")
        if not self._order.steps or self._random.random() < 0.8:
            self._client.confirm(items)
            self._killer.reach("after confirm")
        return bool(items)


if __name__ == "__main__":
    main(GroupsChild)
