# SPDX-License-Identifier: Apache-2.0
"""Who is who: an app, a user of an app, a device of a user.

Rules:
- An address has one spelling, and that is used as lock and key. Nothing is normalised: what does
  not match the grammar is refused.
- The user part is the app's opaque account id. Handles and phone numbers are display data.
- An app that this release does not know is carried as its name.
"""

import enum
import re
from dataclasses import dataclass

from e2ecross.errors import InvalidArgument

__all__ = ["DEFAULT_DEVICE", "MAX_DEVICE", "Address", "App", "Recipient", "UserId", "require_app"]

DEFAULT_DEVICE = 1
MAX_DEVICE = 127  # libsignal's device ids end here too

_APP = re.compile(r"[a-z0-9-]{1,32}", re.ASCII)
_USER = re.compile(r"[a-z0-9_+-]{1,64}", re.ASCII)
_DEVICE = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)


class App(enum.StrEnum):
    """The apps that this release knows by name."""

    WHATSAPP = "whatsapp"
    INSTAGRAM = "instagram"
    MESSENGER = "messenger"


_KNOWN_APPS: dict[str, App] = {app.value: app for app in App}


def require_app(app: object) -> App | str:
    """Return the app of that name, an `App` when known.

    Raises:
        InvalidArgument: the name does not match its grammar.
    """
    if not isinstance(app, str) or not _APP.fullmatch(app):
        raise InvalidArgument("app must be 1 to 32 characters of a-z 0-9 -")
    return _KNOWN_APPS.get(app, app)


def _check_user(user: object) -> None:
    if not isinstance(user, str) or not _USER.fullmatch(user):
        raise InvalidArgument("user must be 1 to 64 characters of a-z 0-9 _ + -")


@dataclass(frozen=True, slots=True, order=True)
class UserId:
    """An account on an app, with all its devices.

    Attributes:
        app: an `App` when known, else the app's name.
        user: the app's account id, 1 to 64 of a-z 0-9 _ + -.

    Raises:
        InvalidArgument: a part does not match its grammar.
    """

    app: App | str
    user: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "app", require_app(self.app))
        _check_user(self.user)

    def __str__(self) -> str:
        return f"{self.app}:{self.user}"

    def device(self, number: int) -> "Address":
        """The device of this account with a number that was checked: 1 to 127."""
        # As `Address.user_id`, which is the way back.
        address = object.__new__(Address)
        object.__setattr__(address, "app", self.app)
        object.__setattr__(address, "user", self.user)
        object.__setattr__(address, "device", number)
        return address

    @classmethod
    def parse(cls, text: str) -> "UserId":
        """Read `app:user`.

        Raises:
            InvalidArgument: not of that form; `app:user.2` names a device, not a user.
        """
        app, colon, user = text.partition(":") if isinstance(text, str) else ("", "", "")
        if not colon:
            raise InvalidArgument("a user must have the form app:user")
        return cls(app, user)


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """One device of an account on an app; written `whatsapp:ana.1`.

    Attributes:
        app: an `App` when known, else the app's name, 1 to 32 of a-z 0-9 -.
        user: the app's account id, 1 to 64 of a-z 0-9 _ + -.
        device: 1 to 127.

    Raises:
        InvalidArgument: a part does not match its grammar.
    """

    app: App | str
    user: str
    device: int = DEFAULT_DEVICE

    def __post_init__(self) -> None:
        object.__setattr__(self, "app", require_app(self.app))
        _check_user(self.user)
        # type(), not isinstance: True is an int, and would be a second spelling of 1.
        if type(self.device) is not int or not 1 <= self.device <= MAX_DEVICE:
            raise InvalidArgument(f"device must be a whole number from 1 to {MAX_DEVICE}")

    @property
    def user_id(self) -> UserId:
        """The account that this device belongs to."""
        # Every message needs it, and the parts were checked: that saves three quarters of the time.
        user_id = object.__new__(UserId)
        object.__setattr__(user_id, "app", self.app)
        object.__setattr__(user_id, "user", self.user)
        return user_id

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read `app:user` (device 1) or `app:user.device`.

        Raises:
            InvalidArgument: the text is not an address in its one spelling.
        """
        if not isinstance(text, str):
            raise InvalidArgument(
                "text must be a string such as 'whatsapp:ana' or 'whatsapp:ana.2'"
            )
        app, colon, rest = text.partition(":")
        user, dot, device = rest.partition(".")
        if not colon or (dot and not _DEVICE.fullmatch(device)):
            raise InvalidArgument("an address is written app:user or app:user.device")
        return cls(app, user, int(device) if dot else DEFAULT_DEVICE)

    def __str__(self) -> str:
        return f"{self.app}:{self.user}.{self.device}"


Recipient = Address | UserId | str
"""A user, or its text, such as "instagram:budi"; or an address, which stands for its account."""
