# SPDX-License-Identifier: Apache-2.0
"""`Scene`: the facts of any scene of the demo."""

from e2ecross.demo.facts import (
    Attacks,
    FirstContact,
    Offline,
    Registration,
    RelayNotes,
    Replay,
    SafetyNumbers,
    Summary,
)
from e2ecross.demo.facts_content import AppsDiffer, Photo
from e2ecross.demo.facts_devices import FourDevices, Ghost, Linking
from e2ecross.demo.facts_groups import GroupAttacks, GroupScene

__all__ = ["Scene"]

Scene = (
    Registration
    | FirstContact
    | Offline
    | Attacks
    | Replay
    | SafetyNumbers
    | AppsDiffer
    | Linking
    | FourDevices
    | Photo
    | Ghost
    | GroupScene
    | GroupAttacks
    | RelayNotes
    | Summary
)
