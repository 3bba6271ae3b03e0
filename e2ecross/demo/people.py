# SPDX-License-Identifier: Apache-2.0
"""Who plays in the demo, at which devices; and how it ends when something goes wrong."""

from dataclasses import dataclass
from typing import Final

__all__ = [
    "ANA",
    "BUDI",
    "COMPANIONS",
    "LAPTOP",
    "PEOPLE",
    "TABLET",
    "TOKO",
    "DemoFailed",
    "Person",
]


class DemoFailed(Exception):
    """Something did not happen as it must; the demo ends here with exit code 1."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the conversation at the device that they use.

    Attributes:
        name: as spoken.
        user: the account, such as `whatsapp:ana`.
        app: the app's name, as people write it.
        file: the name of the store's file.
        device: its number.
    """

    name: str
    user: str
    app: str
    file: str
    device: int = 1

    @property
    def address(self) -> str:
        """The device's address."""
        return f"{self.user}.{self.device}"

    @property
    def photo(self) -> str:
        """The name of the file that a photo is in."""
        return f"{self.file.removesuffix('.db')}-photo.png"


ANA: Final = Person("Ana", "whatsapp:ana", "WhatsApp", "ana.db")
BUDI: Final = Person("Budi", "instagram:budi", "Instagram", "budi.db")
TOKO: Final = Person("Toko Kopi", "messenger:toko-kopi", "Messenger", "toko-kopi.db")
PEOPLE: Final = (ANA, BUDI, TOKO)
LAPTOP: Final = Person("Ana's laptop", ANA.user, ANA.app, "ana-laptop.db", 2)
TABLET: Final = Person("Budi's tablet", BUDI.user, BUDI.app, "budi-tablet.db", 2)
COMPANIONS: Final = (LAPTOP, TABLET)
