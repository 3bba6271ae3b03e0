# SPDX-License-Identifier: Apache-2.0
"""What cannot be read is named by the error: which format it is, and not a neighbour of it."""

from collections.abc import Callable, Iterator

import pytest

from e2ecross.errors import DecodeError, E2ECrossError, UnsupportedVersion
from e2ecross.wire.fingerprint import decode_fingerprints
from e2ecross.wire.limits import MAX_ENVELOPE_BYTES
from e2ecross.wire.signal_message import decode_prekey_signal_message, decode_signal_message
from tests.support.formats import FORMATS, RECORDS, Format
from tests.support.protobuf import Field, fields, message

NAMES = {
    "envelope": "an envelope",
    "bundle": "a prekey bundle",
    "publication": "a publication of keys",
    "bundle with Kyber": "a prekey bundle",
    "publication with Kyber": "a publication of keys",
    "payload": "a payload",
    "payload of an account with a list": "a payload",
    "text": "a text",
    "bytes": "a content",
    "framed text": "a frame",
    "media": "a frame",
    "options": "a frame",
    "reaction": "a frame",
    "edit": "a frame",
    "delete": "a frame",
    "answer": "a frame",
    "content of an unknown kind": "a frame",
    "receipt": "a receipt",
    "grant of consent": "a grant of consent",
    "revoke of consent": "a revoke of consent",
    "typing": "a typing signal",
    "timeline": "a timeline",
    "attachment": "an attachment",
    "retry request": "a retry request",
    "resent": "a message that is sent again",
    "push of device lists": "a push of device lists",
    "pins": "a message of pins",
    "history": "a history",
    "read marks": "a message of read marks",
    "device request": "a device request",
    "conversation states": "a message of conversation states",
    "link code": "a link code",
    "link message": "a link message",
    "link offer": "an offer to link",
    "link answer": "an answer to an offer to link",
    "link result": "the result of linking",
    "person link": "a person link",
    "signed person link": "a signed person link",
    "device list": "a device list",
    "signed device list": "a signed device list",
    "device": "the device record",
    "account": "an account record",
    "own account": "the record of the own account",
    "push": "a push record",
    "signed prekey": "a signed prekey record",
    "one-time prekey": "a one-time prekey record",
    "Kyber prekey": "a Kyber prekey record",
    "stored publication": "a publication record",
    "remote identity": "a remote identity record",
    "upkeep": "an upkeep record",
    "row": "a row record",
    "outbox": "an outbox record",
    "outbox of groups": "an outbox record",
    "backlog": "a backlog record",
    "turn": "a turn record",
    "arrival": "a record of an envelope",
    "inbox message": "an inbox record",
    "inbox message of which nothing is left": "an inbox record",
    "inbox message without what was viewed once": "an inbox record",
    "conversation": "a conversation record",
    "stranger": "a conversation record",
    "consent": "a record of consent",
    "stored receipt": "a record of a receipt",
    "upload": "a record of an upload",
    "end of a blob": "a record of the end of a blob",
    "what may be viewed once": "a record of what may be viewed once",
    "inbox notice": "an inbox record",
    "sent id": "a record of a message id",
    "inbox failure": "an inbox record",
    "stripe": "a stripe record",
    "shelf": "a shelf record",
    "sent message": "a record of a sent message",
    "copy of a sent message": "a record of a sent message",
    "other id of a sent message": "a record of a sent message",
    "message that was sent into a group": "a record of a sent message",
    "retry budget": "a retry budget record",
    "retry": "a retry record",
    "identity backup": "an identity backup",
    "identity backup content": "an identity backup",
    "session list": "a session list",
    "session": "a session record",
    "own sender key": "a record of an own sender key",
    "own sender key of a group of ours": "a record of an own sender key",
    "grant of a sender key at rest": "a record of a grant",
    "sender key": "a record of a sender key",
    "skipped keys": "a skipped keys record",
    "spqr": "an SPQR record",
    "group commit": "a commit of a group",
    "signed group commit": "a signed commit of a group",
    "payload into a group": "a payload",
    "grant of a sender key": "a grant of a sender key",
    "group commits": "a message of group commits",
    "group retry request": "a retry request of a group",
    "message of a group sent again": "a message of a group that is sent again",
    "copies": "an envelope of copies",
    "changes": "a record of changes",
    "group": "a group record",
    "state of a group": "the state of a group",
    "stored group commit": "a stored commit of a group",
    "spqr material": "an SPQR material record",
    "spqr chunks": "an SPQR chunks record",
}
names = pytest.mark.parametrize("name", [*FORMATS])


def _error(form: Format, data: bytes) -> E2ECrossError:
    with pytest.raises(form.error) as caught:
        form.reencode(data)
    assert isinstance(caught.value, E2ECrossError)
    return caught.value


def _error_if_any(form: Format, data: bytes) -> str:
    try:
        form.reencode(data)
    except form.error as error:
        return str(error)
    return ""


def _damaged(form: Format) -> Iterator[bytes]:
    """The example with one field a byte too short, a byte too long, or absent; also inside."""
    for path in ((), *form.nested):
        for body in _damaged_at(form.example[form.start :], path):
            yield form.example[: form.start] + body


def _damaged_at(body: bytes, path: tuple[int, ...]) -> Iterator[bytes]:
    items = fields(body)
    for i, (number, value) in enumerate(items):
        changed: list[list[Field]] = []
        if path and number == path[0]:
            assert isinstance(value, bytes)
            changed = [[(number, inner)] for inner in _damaged_at(value, path[1:])]
        elif not path:
            changed = [[]]
            if isinstance(value, bytes):
                changed += [[(number, value[:-1])], [(number, value + b"\0")]]
        for instead in changed:
            yield message([*items[:i], *instead, *items[i + 1 :]])


def test_every_format_has_a_name() -> None:
    assert NAMES.keys() == FORMATS.keys()


@names
def test_what_is_no_protobuf_at_all(name: str) -> None:
    form = FORMATS[name]
    for size in (1, 2 * MAX_ENVELOPE_BYTES + 1):
        error = _error(form, form.example[: form.start] + b"\xff" * size)
        assert str(error).startswith(f"{NAMES[name]} ")
        # Of a record, the cause says what is wrong with it.
        if isinstance(error.__cause__, E2ECrossError):
            assert str(error.__cause__).startswith(f"{NAMES[name]} ")


@names
def test_what_is_not_in_its_one_encoding(name: str) -> None:
    form = FORMATS[name]
    error = _error(form, form.example + message([(999, 1)]))
    assert str(error).startswith(f"{NAMES[name]} ")
    if isinstance(error.__cause__, E2ECrossError):
        assert str(error.__cause__).startswith(f"{NAMES[name]} is not in its one encoding")


@pytest.mark.parametrize(
    "name",
    [
        *("bundle", "publication", "bundle with Kyber", "publication with Kyber"),
        *("link code", "link message"),
    ],
)
def test_what_is_of_a_later_version(name: str) -> None:
    form = FORMATS[name]
    changed = message([(1, 2), *fields(form.example)[1:]])
    with pytest.raises(UnsupportedVersion, match=f"^{NAMES[name]} has version 2,"):
        form.reencode(changed)


@pytest.mark.parametrize("name", [*RECORDS])
def test_every_damage_of_a_record(name: str) -> None:
    form = RECORDS[name]
    errors = [_error_if_any(form, data) for data in (b"", b"\0", b"\2", *_damaged(form))]
    assert all(error.startswith(f"{NAMES[name]} ") for error in errors if error)
    assert sum(map(bool, errors)) >= 3


@pytest.mark.parametrize(
    ("decode", "named"),
    [
        (decode_signal_message, "a Signal message"),
        (decode_prekey_signal_message, "a prekey message"),
        (decode_fingerprints, "a scanned safety number"),
    ],
)
def test_messages_of_signal(decode: Callable[[bytes], object], named: str) -> None:
    for data in (b"", b"\x33" + b"\xff" * 20, b"\x33" * 200_000):
        with pytest.raises(DecodeError, match=f"^{named} "):
            decode(data)
