# SPDX-License-Identifier: Apache-2.0
"""Who has a phone on the page of the demo, and by which names the page knows them."""

from collections.abc import Mapping
from typing import Final

from e2ecross.address import Address
from e2ecross.demo.people import ANA, BUDI, LAPTOP, PEOPLE, TOKO, Person

__all__ = ["CITRA", "NAMES", "PHONES", "USERS", "phone_of"]

CITRA: Final = Person("Citra", "instagram:citra", "Instagram", "citra.db")
"""A new customer, who comes when the back end swaps keys."""

PHONES: Final[Mapping[str, Person]] = {
    "ana": ANA,
    "laptop": LAPTOP,
    "budi": BUDI,
    "toko": TOKO,
    "citra": CITRA,
}
"""By what the page calls them; the order is that on the page."""

USERS: Final = tuple(person.user for person in PEOPLE)
"""Those who know each other from the beginning."""

NAMES: Final[Mapping[str, str]] = {person.user: person.name for person in (*PEOPLE, CITRA)}
"""Of accounts, as people say them."""


def phone_of(address: str) -> str:
    """Return what the page calls the phone at an address, or at device 1 of a user.

    Raises:
        KeyError: nobody has it.
    """
    wanted = str(Address.parse(address))
    return {person.address: name for name, person in PHONES.items()}[wanted]
