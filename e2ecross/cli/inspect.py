# SPDX-License-Identifier: Apache-2.0
"""`e2ecross inspect FILE`: what a relay could learn from an encoded envelope.

Rules:
- Never more than the largest envelope and one byte is read.
- Anything that is not an envelope: one line on stderr, nothing on stdout, exit code 1.

With `--json` the document on stdout is `describe.EnvelopeView` as an object: `message_id`,
`sender`, `recipient`, `kind` ("prekey" or "signal"), `envelope_bytes`, `ciphertext_bytes`,
`prekey` (null, or `registration_id`, `signed_prekey_id`, `one_time_prekey_id`, `base_key`,
`identity_key`), `message` (null, or `ratchet_key`, `counter`, `previous_counter`, `encrypted`,
`encrypted_bytes`, `mac`) and `problem` (null, or why the Signal message does not decode). Bytes
are hexadecimal.
"""

import json as json_module
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

from e2ecross.cli.describe import EnvelopeView, MessageView, PrekeyView, describe
from e2ecross.errors import DecodeError, RemoteError
from e2ecross.wire.limits import MAX_ENVELOPE_BYTES

__all__ = ["run_inspect"]

_WIDTH: Final = 78
_LABEL_WIDTH: Final = 20
_SHOWN_HEX_BYTES: Final = 64
_HIDDEN: Final = (
    "Not readable without the recipient's keys: the content and its kind, the time of sending, "
    "the exact length (it is padded). Nothing above is proven either: the two ends compare "
    "addresses, message id and registration id with an encrypted copy of them."
)


def run_inspect(name: str, *, json: bool = False) -> int:
    """Print what is readable of the envelope in a file.

    Args:
        name: the file; `-` is standard input.
        json: print a JSON document instead of text.

    Returns:
        The exit code: 0, or 1 when there is no envelope; stderr then tells why in one line.
    """
    try:
        data = _read(name)
        if len(data) > MAX_ENVELOPE_BYTES:
            return _refuse(name, f"not an envelope: more than {MAX_ENVELOPE_BYTES} bytes")
        view = describe(data)
    except DecodeError as error:
        return _refuse(name, f"not an envelope: {error}")
    except RemoteError as error:
        return _refuse(name, str(error))
    except OSError as error:
        return _refuse(name, f"cannot be read: {error.strerror or error}")
    except ValueError:  # a name with a null character
        return _refuse(name, "cannot be read: not the name of a file")
    if json:
        print(json_module.dumps(asdict(view), indent=2))
    else:
        print("\n".join(_lines(view)))
    return 0


def _read(name: str) -> bytes:
    """Read an envelope's worth of bytes, and one more if there is one."""
    if name != "-":
        with open(name, "rb") as file:
            return file.read(MAX_ENVELOPE_BYTES + 1)
    if sys.stdin is None:
        raise OSError("standard input is closed")
    return sys.stdin.buffer.read(MAX_ENVELOPE_BYTES + 1)


def _refuse(name: str, why: str) -> int:
    shown = "standard input" if name == "-" else ascii(name)
    print(f"e2ecross inspect: {shown}: {' '.join(why.split())}", file=sys.stderr)
    return 1


def _lines(view: EnvelopeView) -> Iterator[str]:
    yield "The envelope, readable for every relay on the way"
    yield from _line("from", view.sender)
    yield from _line("to", view.recipient)
    yield from _line("message id", f"{view.message_id} (random)")
    kind = {"prekey": "prekey message: starts a session", "signal": "message of a session"}
    yield from _line("kind", kind[view.kind])
    yield from _line("envelope", f"{view.envelope_bytes} bytes")
    yield from _line("Signal message", f"{view.ciphertext_bytes} bytes")
    yield ""
    if view.prekey is not None:
        yield from _prekey_lines(view.prekey)
    if view.message is not None:
        yield from _message_lines(view.message)
    else:
        yield f"The Signal message inside does not decode: {view.problem}"
    yield ""
    yield from textwrap.wrap(_HIDDEN, _WIDTH)


def _prekey_lines(prekey: PrekeyView) -> Iterator[str]:
    yield "How the session starts, readable too"
    yield from _line("registration id", f"{prekey.registration_id} (the sender's installation)")
    yield from _line("signed prekey id", f"{prekey.signed_prekey_id} (the recipient's)")
    one_time = prekey.one_time_prekey_id
    shown = "none" if one_time is None else f"{one_time} (the recipient's, used up by this)"
    yield from _line("one-time prekey id", shown)
    yield from _line("base key", prekey.base_key)
    yield from _line("identity key", f"{prekey.identity_key} (the sender's)")
    yield ""


def _message_lines(message: MessageView) -> Iterator[str]:
    yield "The public header of the Signal message"
    yield from _line("ratchet key", f"{message.ratchet_key} (changes with each turn)")
    yield from _line("counter", f"{message.counter} (number in this chain, from 0)")
    previous = message.previous_counter
    shown = "absent" if previous is None else f"{previous} (end of the sender's chain before)"
    yield from _line("previous counter", shown)
    yield from _line("MAC", message.mac)
    yield from _line("encrypted body", f"{message.encrypted_bytes} bytes, padded:")
    body = message.encrypted[: 2 * _SHOWN_HEX_BYTES]
    yield from _line("", body + (" ..." if len(message.encrypted) > len(body) else ""))


def _line(label: str, text: str) -> list[str]:
    """A labelled value, wrapped under itself."""
    first = f"  {label:<{_LABEL_WIDTH}}"
    return textwrap.wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent=" " * len(first)
    ) or [first.rstrip()]
