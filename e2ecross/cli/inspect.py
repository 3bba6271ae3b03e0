# SPDX-License-Identifier: Apache-2.0
"""`e2ecross inspect FILE`: what a relay could learn from an encoded envelope, or published keys.

Rules:
- Never more than the largest publication and one byte is read.
- Anything else: one line on stderr, nothing on stdout, exit code 1.

With `--json` the document on stdout is, of an envelope, `describe.EnvelopeView` as an object:
`message_id`, `sender`, `recipient`, `kind` ("prekey" or "signal"), `envelope_bytes`,
`ciphertext_bytes`, `prekey` (null, or `registration_id`, `signed_prekey_id`, `one_time_prekey_id`,
`base_key`, `identity_key`, `kyber_prekey_id`, `kyber_ciphertext`), `message` (null, or `version`,
`ratchet_key`, `counter`, `previous_counter`, `encrypted`, `encrypted_bytes`, `mac`, `pq_ratchet`,
`addresses`) and `problem` (null, or why the Signal message does not decode). Of published keys it
is `describe_keys.KeysView`: `kind` ("bundle" or "publication"), `size_bytes`, `address`,
`registration_id`, `identity_key`, `signed_prekey`, `one_time_prekeys`, `kyber_prekeys` and
`last_resort_kyber_prekey` (null, or as the others an object of `id`, `public_key` and `signature`).
Bytes are hexadecimal.
"""

import json as json_module
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Final

from e2ecross.cli.describe import EnvelopeView, MessageView, PrekeyView, describe
from e2ecross.cli.describe_keys import KeysView, PublicPrekeyView, describe_keys
from e2ecross.errors import DecodeError, RemoteError
from e2ecross.wire.limits import MAX_PUBLISHED_KEYS_BYTES

__all__ = ["run_inspect"]

_WIDTH: Final = 78
_LABEL_WIDTH: Final = 20
_SHOWN_HEX_BYTES: Final = 64
_HIDDEN: Final = (
    "Not readable without the recipient's keys: the content and its kind, the time of sending, "
    "the exact length (it is padded). Nothing above is proven either: the two ends compare "
    "addresses, message id and registration id with an encrypted copy of them."
)

_UNPROVEN: Final = (
    "All of it is public. No signature is checked here: whoever starts a session checks them."
)


def run_inspect(name: str, *, json: bool = False) -> int:
    """Print what is readable of the envelope, or of the published keys, in a file.

    Args:
        name: the file; `-` is standard input.
        json: print a JSON document instead of text.

    Returns:
        The exit code: 0, or 1 when there is neither; stderr then tells why in one line.
    """
    try:
        data = _read(name)
        if len(data) > MAX_PUBLISHED_KEYS_BYTES:
            return _refuse(name, f"not an envelope: more than {MAX_PUBLISHED_KEYS_BYTES} bytes")
        view = _describe(data)
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
        print("\n".join(_lines(view) if isinstance(view, EnvelopeView) else _key_lines(view)))
    return 0


def _describe(data: bytes) -> EnvelopeView | KeysView:
    """Describe an envelope or, where it is none, published keys."""
    try:
        return describe(data)
    except DecodeError:
        with suppress(RemoteError):
            return describe_keys(data)
        raise


def _read(name: str) -> bytes:
    """Read as many bytes as the largest publication has, and one more if there is one."""
    if name != "-":
        with open(name, "rb") as file:
            return file.read(MAX_PUBLISHED_KEYS_BYTES + 1)
    if sys.stdin is None:
        raise OSError("standard input is closed")
    return sys.stdin.buffer.read(MAX_PUBLISHED_KEYS_BYTES + 1)


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
    if prekey.kyber_ciphertext is not None:
        yield from _line("Kyber prekey id", f"{prekey.kyber_prekey_id} (the recipient's)")
        yield from _line("KEM ciphertext", *_cut(prekey.kyber_ciphertext))
    yield from _line("base key", prekey.base_key)
    yield from _line("identity key", f"{prekey.identity_key} (the sender's)")
    yield ""


def _message_lines(message: MessageView) -> Iterator[str]:
    yield "The public header of the Signal message"
    yield from _line("version", str(message.version))
    yield from _line("ratchet key", f"{message.ratchet_key} (changes with each turn)")
    yield from _line("counter", f"{message.counter} (number in this chain, from 0)")
    previous = message.previous_counter
    shown = "absent" if previous is None else f"{previous} (end of the sender's chain before)"
    yield from _line("previous counter", shown)
    if message.pq_ratchet is not None:
        yield from _line("SPQR message", *_cut(message.pq_ratchet))
    if message.addresses is not None:
        yield from _line("addresses", f"{message.addresses} (covered by the MAC)")
    yield from _line("MAC", message.mac)
    yield from _line("encrypted body", f"{message.encrypted_bytes} bytes, padded:")
    yield from _line("", _cut(message.encrypted)[1])


def _key_lines(view: KeysView) -> Iterator[str]:
    bundle = view.kind == "bundle"
    yield "A bundle: keys to start a session with" if bundle else "A publication of keys"
    yield from _line("of", view.address)
    yield from _line("size", f"{view.size_bytes} bytes")
    yield from _line("registration id", f"{view.registration_id} (the installation)")
    yield from _line("identity key", view.identity_key)
    yield from _prekey_key_lines("signed prekey", view.signed_prekey)
    if bundle:
        for prekey in view.one_time_prekeys:
            yield from _prekey_key_lines("one-time prekey", prekey)
        for prekey in view.kyber_prekeys:
            yield from _prekey_key_lines("Kyber prekey", prekey)
    else:
        yield from _line("one-time prekeys", _ids(view.one_time_prekeys))
        yield from _line("Kyber prekeys", _ids(view.kyber_prekeys))
        if view.last_resort_kyber_prekey is not None:
            yield from _prekey_key_lines("last-resort prekey", view.last_resort_kyber_prekey)
    offers_kyber = bool(view.kyber_prekeys) or view.last_resort_kyber_prekey is not None
    version = "4, post-quantum" if offers_kyber else "3, there is no Kyber prekey"
    yield from _line("for sessions of", f"version {version}")
    yield ""
    yield from textwrap.wrap(_UNPROVEN, _WIDTH)


def _prekey_key_lines(label: str, prekey: PublicPrekeyView) -> Iterator[str]:
    yield from _line(label, f"id {prekey.id}")
    yield from _line("", *_cut(prekey.public_key))
    if prekey.signature is not None:
        yield from _line("", f"signature {prekey.signature}")


def _ids(prekeys: tuple[PublicPrekeyView, ...]) -> str:
    if not prekeys:
        return "none"
    return f"{len(prekeys)}, ids {prekeys[0].id} to {prekeys[-1].id}"


def _cut(value: str) -> tuple[str, str]:
    """How many bytes a hexadecimal value has, and as many of them as are shown."""
    shown = value[: 2 * _SHOWN_HEX_BYTES]
    return f"{len(value) // 2} bytes:", shown + (" ..." if len(value) > len(shown) else "")


def _line(label: str, *texts: str) -> Iterator[str]:
    """A labelled value, each text wrapped under the label's column."""
    for text in texts:
        first = f"  {label:<{_LABEL_WIDTH}}"
        lines = textwrap.wrap(
            text, _WIDTH, initial_indent=first, subsequent_indent=" " * len(first)
        )
        yield from lines or [first.rstrip()]
        label = ""
