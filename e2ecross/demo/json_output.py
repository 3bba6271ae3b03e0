# SPDX-License-Identifier: Apache-2.0
"""The demo's facts for machines: `e2ecross demo --json`.

stdout is one document, printed at the end:

    ok               true, or false with `error` and the scenes until then
    version          1, of this shape
    about            what is shown, in two sentences; null if it failed before
    seconds          how long it took, without waiting for keys
    folder           where the files are, or null if they are gone
    messages         [{number, from, to, devices, text, read, envelope, view}]: `devices` got a
                     copy, `read` tells whether it arrived as it was written; `view` is what
                     `inspect --json` prints of it
    registration     {accounts: [{person, process_id, registration_id, identity_key,
                     signed_prekey_id, one_time_prekeys}]}
    first_contact    {letters, first, reply, turned}
    offline          {person, ended_process_id, new_process_id, letters, delivered, answer}
    flipped_bit      {attacks, genuine, then}
    readdressed      likewise
    sender_rewritten likewise
    replay           {letter, attacks, then}
    safety_numbers   {pairs: [{one, other, one_digits, other_digits, equal, scanned}]}
    apps_differ      {announced: [{person, capabilities}], told, letter, refused}
    linking          {linked: [{device, phone, process_id, code, asked_about, digits,
                     identity_key, list_number, devices}]}
    four_devices     {letter, copies, answer, answer_copies}
    photo            {sender, size, relay_name, relay_size, uploaded_by, chunks, interrupted_at,
                     ended_process_id, new_process_id, went_on, pieces_searched, letter, copies,
                     attack, received: [{device, kept, went_on, size, is_right}]}
    ghost            {address, list_number, letter, copies, copies_for_ghost, believed, attack}
    group            {name, group, members: [{user, role}], letters, names_found}
    group_attacks    {ghost: {address, signed_by, members, letter, copies_for_ghost, error, code},
                     badged, attack, hidden: {removed, hidden_from, withheld, letter, code, notices,
                     answer, copies_for_removed, told_removed}}
    network          {url, throughout, service_process_id, letters, copies}; url is null if it was
                     left out, as what it needs is not installed
    relay            {directions: [{sender, recipient, sent, read}], sizes, text_sizes, searches,
                     bytes_searched, texts_found, addresses_found}
    summary          {directions, directions_working, letters_sent, letters_read, copies_made,
                     copies_read, group_letters, group_copies_made, group_copies_read, post_quantum,
                     files_wanted, files_right, attacks_tried, attacks_refused, pairs,
                     pairs_equal, texts_found, attacks: [{name, target, code}], linked,
                     photo_bytes, group_members, sent_over_network}

A person is their address, a letter its number in `messages`, bytes are hexadecimal. An attack is
{name, letter, target, view, done, error, code, explanation}; `then` lists the letters that were
read after it; a copy is {letter, device, view, envelope}. A letter of the group is {number,
sender, text, view, envelope, devices, kept}. `told` and `refused` are
{sender, recipient, text, lacking, error, code, explanation}; the attack on the photo is {name,
target, chunks, error, code, explanation}. What each field means is said in `facts` and `scenes`.
"""

import json
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, Final

from e2ecross.demo.blocks import Scene
from e2ecross.demo.facts import Letter
from e2ecross.demo.output import Progress
from e2ecross.demo.people import Person

__all__ = ["JsonOutput", "to_json"]

_VERSION: Final = 1


class JsonOutput:
    """One JSON document, printed at the end; its shape is told in `demo`."""

    def __init__(self) -> None:
        self._document: dict[str, Any] = {}
        self._progress: Progress | None = None
        self._about: str | None = None
        self._folder: Path | None = None

    def begin(self, title: str, about: str, folder: Path | None, progress: Progress) -> None:
        """Note what it is about, and where things are."""
        self._about = about
        self._folder = folder
        self._progress = progress

    def show(self, name: str, scene: Scene) -> None:
        """Note the facts of a scene."""
        self._document[name] = to_json(scene)

    def finish(self, seconds: float) -> None:
        """Print the document."""
        self._print({"ok": True}, seconds)

    def fail(self, why: str, seconds: float) -> None:
        """Print the document as far as it goes."""
        self._print({"ok": False, "error": why}, seconds)

    def _print(self, result: dict[str, Any], seconds: float) -> None:
        letters = self._progress.letters if self._progress else []
        read = self._progress.read if self._progress else []
        document = {
            **result,
            "version": _VERSION,
            "about": self._about,
            "seconds": round(seconds, 3),
            "folder": None if self._folder is None else str(self._folder),
            "messages": [_message(letter, letter in read) for letter in letters],
            **self._document,
        }
        print(json.dumps(document, indent=1))


def to_json(value: object) -> object:
    """Turn facts into what JSON knows: people are addresses, letters are numbers."""
    match value:
        case Person():
            return value.address
        case Letter():
            return value.number
        case bytes():
            return value.hex()
        case tuple():
            return [to_json(item) for item in value]
        case _ if is_dataclass(value):
            return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    return value


def _message(letter: Letter, read: bool) -> dict[str, object]:
    return {
        "number": letter.number,
        "from": letter.sender.address,
        "to": letter.recipient.address,
        "devices": list(letter.devices),
        "text": letter.text,
        "read": read,
        "envelope": letter.envelope.hex(),
        "view": asdict(letter.view),
    }
