# SPDX-License-Identifier: Apache-2.0
"""What `e2ecross inspect` says of each thing that it knows, in lines of at most 78 characters.

Rules:
- Nothing is printed as it came that may hold anything: the name of a vendor, or of a file, could
  move the cursor.
"""

import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from e2ecross.cli.describe import EnvelopeView, MessageView, PrekeyView, SenderKeyView
from e2ecross.cli.describe_attachments import AttachmentView
from e2ecross.cli.describe_devices import DeviceListView, LinkCodeView, ListedDeviceView
from e2ecross.cli.describe_keys import KeysView, PublicPrekeyView

__all__ = ["View", "tell"]

View = EnvelopeView | KeysView | DeviceListView | LinkCodeView | AttachmentView

_WIDTH: Final = 78
_LABEL_WIDTH: Final = 20
_SHOWN_HEX_BYTES: Final = 64
_KINDS: Final = {
    "prekey": "prekey message: starts a session",
    "signal": "message of a session",
    "sender_key": "message into a group, under its sender's key",
}
_HIDDEN: Final = (
    "Not readable without the recipient's keys: the content and its kind, the time of sending, "
    "the exact length (it is padded). Nothing above is proven either: the two ends compare "
    "addresses, message id and registration id with an encrypted copy of them."
)

_UNPROVEN: Final = (
    "All of it is public. No signature is checked here: whoever starts a session checks them."
)
_SELF_SIGNED: Final = (
    "The signatures are checked under the keys above, and all verify. Whose keys these are the "
    "list cannot show: the account key is in the safety number that two people compare."
)
_CODE_USE: Final = (
    "Whoever has a code that is still valid (five minutes) can stand in for the phone that it was "
    "shown to: the six digits are against that, and the secret is not printed here."
)
_DESCRIPTOR_USE: Final = (
    "It travels inside a message. Whoever has its key and its blob id reads the file: they are not "
    "printed here. Type, name and measures are what the sender says; the root is what every byte "
    "is checked against."
)
_HOSTING: Final = ("nobody", "a vendor", "the operator of the app")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def tell(view: View) -> Iterator[str]:
    """Put a view into lines."""
    match view:
        case EnvelopeView():
            return _lines(view)
        case KeysView():
            return _key_lines(view)
        case DeviceListView():
            return _list_lines(view)
        case LinkCodeView():
            return _code_lines(view)
        case AttachmentView():
            return _attachment_lines(view)


def _lines(view: EnvelopeView) -> Iterator[str]:
    yield "The envelope, readable for every relay on the way"
    yield from _line("from", view.sender)
    yield from _line("to", view.recipient)
    yield from _line("message id", f"{view.message_id} (random)")
    yield from _line("kind", _KINDS[view.kind])
    yield from _line("envelope", f"{view.envelope_bytes} bytes")
    yield from _line("Signal message", f"{view.ciphertext_bytes} bytes")
    yield ""
    if view.prekey is not None:
        yield from _prekey_lines(view.prekey)
    if view.message is not None:
        yield from _message_lines(view.message)
    elif view.sender_key is not None:
        yield from _sender_key_lines(view.sender_key)
    else:
        yield f"The Signal message inside does not decode: {view.problem}"
    yield ""
    yield from textwrap.wrap(_HIDDEN, _WIDTH)


def _sender_key_lines(message: SenderKeyView) -> Iterator[str]:
    yield "The message into the group, what all relays can read of it"
    yield from _line("distribution id", f"{message.distribution_id} (names the sender's key)")
    yield from _line("chain id", str(message.chain_id))
    yield from _line("iteration", f"{message.iteration} (of that key, from 0)")
    yield from _line("encrypted", *_cut(message.encrypted))
    yield from _line("signature", *_cut(message.signature))


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


def _list_lines(view: DeviceListView) -> Iterator[str]:
    yield "A signed list of devices: who belongs to an account"
    yield from _line("of", view.user)
    yield from _line("size", f"{view.size_bytes} bytes")
    yield from _line("number", f"{view.seq} (a higher one is newer)")
    yield from _line("signed", _time(view.signed_at_ms))
    yield from _line("list before", view.previous or "none: it is the first one, or a reset")
    yield from _line("hash", f"{view.hash} (the first 16 bytes stand in messages)")
    hosted = _HOSTING[view.hosting] + ("" if view.vendor is None else f", {view.vendor!a}")
    yield from _line("holds keys, too", hosted)
    yield from _line("signature", view.signature)
    for device in view.devices:
        yield from _device_lines(device)
    yield ""
    yield from textwrap.wrap(
        _SELF_SIGNED if view.problem is None else f"NOT SIGNED PROPERLY: {view.problem}", _WIDTH
    )


def _device_lines(device: ListedDeviceView) -> Iterator[str]:
    yield ""
    if device.device_signature is None:
        yield f"Device {device.device}, which signs"
        yield from _line("account key", f"{device.identity_key} (its identity key)")
    else:
        yield f"Device {device.device}"
        yield from _line("identity key", device.identity_key)
        yield from _line("its consent", device.device_signature)
    told = ["not told"] if device.capabilities is None else _cut(device.capabilities)
    yield from _line("capabilities", *told)


def _code_lines(view: LinkCodeView) -> Iterator[str]:
    yield "A link code: what a new device shows to a phone"
    yield from _line("for", view.app)
    yield from _line("size", f"{view.size_chars} characters")
    yield from _line("ephemeral key", view.ephemeral_key)
    yield from _line("secret", "32 bytes, not shown")
    yield ""
    yield from textwrap.wrap(_CODE_USE, _WIDTH)


def _attachment_lines(view: AttachmentView) -> Iterator[str]:
    yield "The descriptor of an attachment: what a message says of a file"
    yield from _line("descriptor", f"{view.size_bytes} bytes")
    yield from _line("suite", str(view.suite))
    yield from _line("file", f"{view.file_bytes} bytes")
    yield from _line("blob", f"{view.blob_bytes} bytes: padded, encrypted, with its hashes")
    yield from _line("chunks", f"{view.chunk_count} of up to {view.chunk_bytes} bytes")
    yield from _line("root", view.root)
    yield from _line("name at a relay", f"{view.blob_name} (SHA-256 of the blob id)")
    yield from _line("media type", view.media_type or "not told")
    yield from _line("name", "not told" if view.name is None else ascii(view.name))
    yield from _line("width, height", f"{_pixels(view.width)}, {_pixels(view.height)}")
    told = "not told" if view.duration_ms is None else f"{view.duration_ms} ms"
    yield from _line("duration", told)
    size = view.thumbnail_bytes
    yield from _line("thumbnail", "none" if size is None else f"{size} bytes of JPEG")
    yield from _line("key, blob id", "32 bytes each, not shown")
    yield ""
    yield from textwrap.wrap(_DESCRIPTOR_USE, _WIDTH)


def _pixels(number: int | None) -> str:
    return "not told" if number is None else f"{number} pixels"


def _time(at_ms: int) -> str:
    """A time in words; any number of a list, also of a clock that was wrong."""
    try:
        at = _EPOCH + timedelta(milliseconds=at_ms)
    except OverflowError:
        return f"{at_ms} ms after 1970 (by the clock of device 1)"
    return f"{at:%Y-%m-%d %H:%M:%S} UTC (by the clock of device 1)"


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
