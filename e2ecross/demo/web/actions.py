# SPDX-License-Identifier: Apache-2.0
"""What the page may ask for: each action is checked, done, and answered in one JSON object.

Rules:
- What is not as it must be is `Malformed`, before anything is done.
- Whatever goes wrong then is one sentence for people.
"""

import base64
import binascii
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

import segno

from e2ecross.demo.people import DemoFailed
from e2ecross.demo.photo import draw_photo
from e2ecross.demo.web.attacks import Attacks
from e2ecross.demo.web.cast import NAMES, phone_of
from e2ecross.demo.web.notices import fault, sentence
from e2ecross.demo.web.phones import PhoneRefused
from e2ecross.demo.web.pictures import MAX_PICTURE_BYTES, picture_type
from e2ecross.demo.web.play import Play

__all__ = ["Actions", "Malformed"]

Asked = Mapping[str, Any]
Answer = dict[str, Any]
_MAX_TEXT: Final = 2_000
_MAX_NAME: Final = 128
_MAX_TITLE: Final = 60
_MAX_EMOJI: Final = 16
_MAX_MEMBERS: Final = 8
_ID_DIGITS: Final = 32
_HEX: Final = frozenset("0123456789abcdef")


class Malformed(Exception):
    """It is no action, in one sentence."""


class Actions:
    """What can be done with a play; for several threads."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._attacks = Attacks(play)

    def close(self) -> None:
        """Attack no more."""
        self._attacks.close()

    def do(self, asked: object) -> Answer:
        """Do what is asked for.

        Returns:
            With `ok`; where that is False, with `error`.

        Raises:
            Malformed: it is no action.
        """
        if not isinstance(asked, dict):
            raise Malformed("an action is a JSON object")
        action = _ACTIONS.get(_text(asked, "action", _MAX_NAME))
        if action is None:
            raise Malformed("there is no such action")
        try:
            return {"ok": True, **action(self, asked)}
        except Malformed:
            raise
        except (PhoneRefused, DemoFailed) as error:
            return {"ok": False, "error": sentence(str(error))}
        except Exception as error:  # of whichever kind: it is a fault of the demo
            return {"ok": False, "error": fault(error)}

    def _require_ready(self) -> None:
        if not self._play.is_ready:
            raise DemoFailed("the phones are still starting: wait a moment")

    def _ask(self, asked: Asked, do: str, **direction: object) -> Answer:
        self._require_ready()
        return self._play.phone(asked["phone"]).ask(do, **direction)

    def _send(self, asked: Asked) -> Answer:
        name, chat = _where(asked)
        text = _text(asked, "text", _MAX_TEXT)
        self._require_ready()
        self._play.send(name, chat, text)
        return {}

    def _react(self, asked: Asked) -> Answer:
        _, chat = _where(asked)
        target = _text(asked, "target", _ID_DIGITS)
        if len(target) != _ID_DIGITS or not _HEX.issuperset(target):
            raise Malformed("target is the id of a message, 32 hexadecimal digits")
        emoji = _text(asked, "emoji", _MAX_EMOJI, least=0)
        self._ask(asked, "react", chat=chat, target=target, emoji=emoji)
        return {}

    def _picture(self, asked: Asked) -> Answer:
        name, chat = _where(asked)
        data = _picture_of(asked)
        media_type = picture_type(data)
        if media_type is None:
            raise DemoFailed("this is no picture that the page shows: PNG, JPEG, WebP and GIF are")
        self._require_ready()
        folder = self._play.phone(name).store.parent
        path = folder / f"photo-{os.urandom(8).hex()}"
        path.write_bytes(data)
        try:
            self._ask(asked, "send_picture", chat=chat, file=str(path), media_type=media_type)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return {}

    def _group(self, asked: Asked) -> Answer:
        name, title = _phone(asked), _text(asked, "title", _MAX_TITLE)
        members = asked.get("members")
        if not isinstance(members, list) or not 1 <= len(members) <= _MAX_MEMBERS:
            raise Malformed(f"members are 1 to {_MAX_MEMBERS} users")
        if not all(isinstance(each, str) and len(each) <= _MAX_NAME for each in members):
            raise Malformed("members are texts of users")
        self._require_ready()
        return {"chat": self._play.create_group(name, title, members).chat}

    def _read(self, asked: Asked) -> Answer:
        _, chat = _where(asked)
        self._ask(asked, "read", chat=chat)
        return {}

    def _safety_number(self, asked: Asked) -> Answer:
        _phone(asked)
        user = _text(asked, "of", _MAX_NAME)
        number = self._ask(asked, "safety_number", of=user)
        code = segno.make_qr(bytes.fromhex(number["code"]))
        rows = ["".join("1" if module else "0" for module in row) for row in code.matrix]
        return {"digits": number["digits"], "qr": rows}

    def _compare(self, asked: Asked) -> Answer:
        name, user = _phone(asked), _text(asked, "of", _MAX_NAME)
        self._require_ready()
        here = self._play.phone(name)
        there = self._play.phone(_owner(user))
        code = here.ask("safety_number", of=user)["code"]
        other = there.ask("safety_number", of=here.person.user)["code"]
        matches = (
            here.ask("scan", of=user, code=other)["matches"]
            and there.ask("scan", of=here.person.user, code=code)["matches"]
        )
        one, two = here.person.name, there.person.name
        if matches:
            sentence = f"{one} and {two} have scanned each other's code: nobody is between them."
        else:
            sentence = (
                f"{one} and {two} have scanned each other's code, and the codes do not belong "
                "together: somebody is between them. Nothing here is private."
            )
        self._play.tell(here.name, user, sentence, alarm=not matches)
        self._play.tell(there.name, here.person.user, sentence, alarm=not matches)
        return {"matches": matches, "sentence": sentence}

    def _attack(self, asked: Asked) -> Answer:
        name = _text(asked, "name", _MAX_NAME)
        if not self._attacks.knows(name):
            raise Malformed("there is no such attack")
        self._require_ready()
        return {"number": self._attacks.begin(name)}


_ACTIONS: Final[Mapping[str, Callable[[Actions, Asked], Answer]]] = {
    "send": Actions._send,
    "react": Actions._react,
    "picture": Actions._picture,
    "group": Actions._group,
    "read": Actions._read,
    "safety_number": Actions._safety_number,
    "compare": Actions._compare,
    "attack": Actions._attack,
}


def _text(asked: Asked, name: str, most: int, *, least: int = 1) -> str:
    """Return a text.

    Raises:
        Malformed: it is missing, or none of `least` to `most` characters.
    """
    value = asked.get(name)
    if not isinstance(value, str) or not least <= len(value) <= most:
        raise Malformed(f"{name} is a text of {least} to {most} characters")
    return value


def _phone(asked: Asked) -> str:
    return _text(asked, "phone", _MAX_NAME)


def _where(asked: Asked) -> tuple[str, str]:
    """The phone and the chat."""
    return _phone(asked), _text(asked, "chat", _MAX_NAME)


def _picture_of(asked: Asked) -> bytes:
    """The picture that is sent along, or the demo's own.

    Raises:
        Malformed: it is no base64, or too large.
    """
    if "data" not in asked:
        return draw_photo()
    encoded = _text(asked, "data", 2 * MAX_PICTURE_BYTES)
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("data is a picture in base64") from None
    if len(data) > MAX_PICTURE_BYTES:
        raise Malformed(f"a picture has at most {MAX_PICTURE_BYTES} bytes")
    return data


def _owner(user: str) -> str:
    """Return who has the phone of a user.

    Raises:
        DemoFailed: nobody here.
    """
    if user not in NAMES:
        raise DemoFailed("nobody here has that phone")
    return phone_of(f"{user}.1")
