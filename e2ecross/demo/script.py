# SPDX-License-Identifier: Apache-2.0
"""The script of the demo: a conversation between three apps over a back end that attacks it.

Three processes (`actor`), and later five, each with a store of its own, share one file: the
relay's. Each scene (`scenes`) lets the people act, checks what comes of it, and returns facts.
"""

from collections.abc import Callable
from typing import Final

from e2ecross.demo.blocks import Scene
from e2ecross.demo.director import Director
from e2ecross.demo.people import ANA, BUDI, COMPANIONS, PEOPLE, TOKO
from e2ecross.demo.scenes.attacks import flipped_bit, readdressed, replay, sender_rewritten
from e2ecross.demo.scenes.content import apps_differ
from e2ecross.demo.scenes.devices import four_devices, ghost, link_devices
from e2ecross.demo.scenes.end import relay_notes, summarise
from e2ecross.demo.scenes.groups import group, group_attacks
from e2ecross.demo.scenes.messages import first_contact, offline, register, safety_numbers
from e2ecross.demo.scenes.network import network
from e2ecross.demo.scenes.photo import photo

__all__ = ["ABOUT", "SCENES", "TITLE"]

TITLE: Final = "Three apps, one back end that cannot read them"
ABOUT: Final = (
    f"{ANA.name} on {ANA.app}, {BUDI.name} on {BUDI.app} and the shop {TOKO.name} on {TOKO.app} "
    f"write to each other, encrypted from end to end, over one back end: a server that none of "
    f"them has to trust. You will see them talk, link devices, send a photo, make a group and go "
    f"on over a network, on {len(PEOPLE) + len(COMPANIONS)} devices in all, while the back end "
    f"looks at everything that passes, and attacks again and again."
)
"""What will be shown, in two sentences."""

SCENES: Final[dict[str, Callable[[Director], Scene]]] = {
    "registration": register,
    "first_contact": first_contact,
    "offline": offline,
    "flipped_bit": flipped_bit,
    "readdressed": readdressed,
    "sender_rewritten": sender_rewritten,
    "replay": replay,
    "safety_numbers": safety_numbers,
    "apps_differ": apps_differ,
    "linking": link_devices,
    "four_devices": four_devices,
    "photo": photo,
    "ghost": ghost,
    "group": group,
    "group_attacks": group_attacks,
    "network": network,
    "relay": relay_notes,
    "summary": summarise,
}
"""The scenes in order, by their names in the JSON document."""
