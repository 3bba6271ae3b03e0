# SPDX-License-Identifier: Apache-2.0
"""What the demo finds out in its scenes with several devices; see `facts`."""

from dataclasses import dataclass

from e2ecross.demo.facts import Attack, Copy, Letter
from e2ecross.demo.people import Person

__all__ = ["FourDevices", "Ghost", "LinkedDevice", "Linking"]


@dataclass(frozen=True, slots=True)
class LinkedDevice:
    """A device that was linked, as its user and the relay saw it.

    Attributes:
        device: it.
        phone: what it was linked with.
        process_id: of its app's process.
        code: what it showed, which the phone has scanned; used up.
        asked_about: the account that it asked its user about.
        digits: what the phone showed, and the user typed.
        identity_key: its own, 33 bytes.
        list_number: of the list that has it, in the relay's file.
        devices: how many are in that list.
    """

    device: Person
    phone: Person
    process_id: int
    code: str
    asked_about: str
    digits: str
    identity_key: str
    list_number: int
    devices: int


@dataclass(frozen=True, slots=True)
class Linking:
    """Scene 9: two accounts get a second device each."""

    linked: tuple[LinkedDevice, ...]


@dataclass(frozen=True, slots=True)
class FourDevices:
    """Scene 10: a letter and its answer, each read on all other devices of both accounts.

    Attributes:
        letter: written on a phone.
        copies: of it.
        answer: written on another device.
        answer_copies: of that.
    """

    letter: Letter
    copies: tuple[Copy, ...]
    answer: Letter
    answer_copies: tuple[Copy, ...]


@dataclass(frozen=True, slots=True)
class Ghost:
    """Scene 12: the relay adds a device of its own to an account.

    Attributes:
        address: of that device.
        list_number: of the list that the relay has forged.
        letter: written while the relay showed that list.
        copies: of it.
        copies_for_ghost: how many were made for the relay's device.
        believed: addresses of the devices that the sender's app believes in afterwards.
        attack: what the relay's device wrote, and how that was refused.
    """

    address: str
    list_number: int
    letter: Letter
    copies: tuple[Copy, ...]
    copies_for_ghost: int
    believed: tuple[str, ...]
    attack: Attack
