# SPDX-License-Identifier: Apache-2.0
"""What `e2ecross inspect` says of each thing that it knows, in lines of at most 78 characters.

Rules:
- Nothing is printed as it came that may hold anything: the name of a vendor, or of a file, could
  move the cursor.
"""

import textwrap
from collections.abc import Iterator
from typing import Final

from e2ecross.cli.describe import CopiesView, EnvelopeView, MessageView, PrekeyView
from e2ecross.cli.describe_attachments import AttachmentView
from e2ecross.cli.describe_devices import DeviceListView, LinkCodeView, ListedDeviceView
from e2ecross.cli.describe_keys import KeysView, PublicPrekeyView
from e2ecross.cli.inspect_lines import WIDTH, cut, line, time_of
from e2ecross.cli.inspect_words_groups import GroupView, sender_key_lines, tell_of_groups

__all__ = ["View", "tell"]

View = (
    EnvelopeView
    | CopiesView
    | KeysView
    | DeviceListView
    | LinkCodeView
    | AttachmentView
    | GroupView
)

_KINDS: Final = {
    "prekey": "prekey message: starts a session",
    "signal": "message of a session",
    "sender_key": "message into a group, under its sender's key",
}
_UNREAD: Final = "The Signal message inside does not decode"
_HIDDEN: Final = (
    "Not readable without the recipient's keys: the content and its kind, the time of sending, "
    "the exact length (it is padded). Nothing above is proven either: the two ends compare "
    "addresses, message id and registration id with an encrypted copy of them."
)
_HIDDEN_OF_GROUP: Final = (
    "Not readable without the sender's key: which group it is, the content and its kind, the time "
    "of sending, the exact length (it is padded). That these devices are in one group shows."
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


def tell(view: View) -> Iterator[str]:
    """Put a view into lines."""
    match view:
        case EnvelopeView():
            return _lines(view)
        case CopiesView():
            return _copies_lines(view)
        case KeysView():
            return _key_lines(view)
        case DeviceListView():
            return _list_lines(view)
        case LinkCodeView():
            return _code_lines(view)
        case AttachmentView():
            return _attachment_lines(view)
        case _:
            return tell_of_groups(view)


def _lines(view: EnvelopeView) -> Iterator[str]:
    yield "The envelope, readable for every relay on the way"
    yield from line("from", view.sender)
    yield from line("to", view.recipient)
    yield from line("message id", f"{view.message_id} (random)")
    yield from line("kind", _KINDS[view.kind])
    yield from line("envelope", f"{view.envelope_bytes} bytes")
    yield from line("Signal message", f"{view.ciphertext_bytes} bytes")
    yield ""
    if view.prekey is not None:
        yield from _prekey_lines(view.prekey)
    if view.message is not None:
        yield from _message_lines(view.message)
    elif view.sender_key is not None:
        yield from sender_key_lines(view.sender_key)
    else:
        yield from textwrap.wrap(f"{_UNREAD}: {view.problem}", WIDTH)
    yield ""
    yield from textwrap.wrap(_HIDDEN, WIDTH)


def _copies_lines(view: CopiesView) -> Iterator[str]:
    yield "A message to several devices, readable for the relay that makes its envelopes"
    yield from line("from", view.sender)
    yield from line("to", f"{len(view.recipients)} devices:", *view.recipients)
    yield from line("message id", f"{view.message_id} (random)")
    yield from line("size", f"{view.size_bytes} bytes")
    yield from line("Signal message", f"{view.ciphertext_bytes} bytes, the same for all")
    yield ""
    if view.sender_key is not None:
        yield from sender_key_lines(view.sender_key)
    else:
        yield from textwrap.wrap(f"{_UNREAD}: {view.problem}", WIDTH)
    yield ""
    yield from textwrap.wrap(_HIDDEN_OF_GROUP, WIDTH)


def _prekey_lines(prekey: PrekeyView) -> Iterator[str]:
    yield "How the session starts, readable too"
    yield from line("registration id", f"{prekey.registration_id} (the sender's installation)")
    yield from line("signed prekey id", f"{prekey.signed_prekey_id} (the recipient's)")
    one_time = prekey.one_time_prekey_id
    shown = "none" if one_time is None else f"{one_time} (the recipient's, used up by this)"
    yield from line("one-time prekey id", shown)
    if prekey.kyber_ciphertext is not None:
        yield from line("Kyber prekey id", f"{prekey.kyber_prekey_id} (the recipient's)")
        yield from line("KEM ciphertext", *cut(prekey.kyber_ciphertext))
    yield from line("base key", prekey.base_key)
    yield from line("identity key", f"{prekey.identity_key} (the sender's)")
    yield ""


def _message_lines(message: MessageView) -> Iterator[str]:
    yield "The public header of the Signal message"
    yield from line("version", str(message.version))
    yield from line("ratchet key", f"{message.ratchet_key} (changes with each turn)")
    yield from line("counter", f"{message.counter} (number in this chain, from 0)")
    previous = message.previous_counter
    shown = "absent" if previous is None else f"{previous} (end of the sender's chain before)"
    yield from line("previous counter", shown)
    if message.pq_ratchet is not None:
        yield from line("SPQR message", *cut(message.pq_ratchet))
    if message.addresses is not None:
        yield from line("addresses", f"{message.addresses} (covered by the MAC)")
    yield from line("MAC", message.mac)
    yield from line("encrypted body", f"{message.encrypted_bytes} bytes, padded:")
    yield from line("", cut(message.encrypted)[1])


def _key_lines(view: KeysView) -> Iterator[str]:
    bundle = view.kind == "bundle"
    yield "A bundle: keys to start a session with" if bundle else "A publication of keys"
    yield from line("of", view.address)
    yield from line("size", f"{view.size_bytes} bytes")
    yield from line("registration id", f"{view.registration_id} (the installation)")
    yield from line("identity key", view.identity_key)
    yield from _prekey_key_lines("signed prekey", view.signed_prekey)
    if bundle:
        for prekey in view.one_time_prekeys:
            yield from _prekey_key_lines("one-time prekey", prekey)
        for prekey in view.kyber_prekeys:
            yield from _prekey_key_lines("Kyber prekey", prekey)
    else:
        yield from line("one-time prekeys", _ids(view.one_time_prekeys))
        yield from line("Kyber prekeys", _ids(view.kyber_prekeys))
        if view.last_resort_kyber_prekey is not None:
            yield from _prekey_key_lines("last-resort prekey", view.last_resort_kyber_prekey)
    offers_kyber = bool(view.kyber_prekeys) or view.last_resort_kyber_prekey is not None
    version = "4, post-quantum" if offers_kyber else "3, there is no Kyber prekey"
    yield from line("for sessions of", f"version {version}")
    yield ""
    yield from textwrap.wrap(_UNPROVEN, WIDTH)


def _prekey_key_lines(label: str, prekey: PublicPrekeyView) -> Iterator[str]:
    yield from line(label, f"id {prekey.id}")
    yield from line("", *cut(prekey.public_key))
    if prekey.signature is not None:
        yield from line("", f"signature {prekey.signature}")


def _ids(prekeys: tuple[PublicPrekeyView, ...]) -> str:
    if not prekeys:
        return "none"
    return f"{len(prekeys)}, ids {prekeys[0].id} to {prekeys[-1].id}"


def _list_lines(view: DeviceListView) -> Iterator[str]:
    yield "A signed list of devices: who belongs to an account"
    yield from line("of", view.user)
    yield from line("size", f"{view.size_bytes} bytes")
    yield from line("number", f"{view.seq} (a higher one is newer)")
    yield from line("signed", time_of(view.signed_at_ms, "device 1"))
    yield from line("list before", view.previous or "none: it is the first one, or a reset")
    yield from line("hash", f"{view.hash} (the first 16 bytes stand in messages)")
    hosted = _HOSTING[view.hosting] + ("" if view.vendor is None else f", {view.vendor!a}")
    yield from line("holds keys, too", hosted)
    yield from line("signature", view.signature)
    for device in view.devices:
        yield from _device_lines(device)
    yield ""
    yield from textwrap.wrap(
        _SELF_SIGNED if view.problem is None else f"NOT SIGNED PROPERLY: {view.problem}", WIDTH
    )


def _device_lines(device: ListedDeviceView) -> Iterator[str]:
    yield ""
    if device.device_signature is None:
        yield f"Device {device.device}, which signs"
        yield from line("account key", f"{device.identity_key} (its identity key)")
    else:
        yield f"Device {device.device}"
        yield from line("identity key", device.identity_key)
        yield from line("its consent", device.device_signature)
    told = ["not told"] if device.capabilities is None else cut(device.capabilities)
    yield from line("capabilities", *told)


def _code_lines(view: LinkCodeView) -> Iterator[str]:
    yield "A link code: what a new device shows to a phone"
    yield from line("for", view.app)
    yield from line("size", f"{view.size_chars} characters")
    yield from line("ephemeral key", view.ephemeral_key)
    yield from line("secret", "32 bytes, not shown")
    yield ""
    yield from textwrap.wrap(_CODE_USE, WIDTH)


def _attachment_lines(view: AttachmentView) -> Iterator[str]:
    yield "The descriptor of an attachment: what a message says of a file"
    yield from line("descriptor", f"{view.size_bytes} bytes")
    yield from line("suite", str(view.suite))
    yield from line("file", f"{view.file_bytes} bytes")
    yield from line("blob", f"{view.blob_bytes} bytes: padded, encrypted, with its hashes")
    yield from line("chunks", f"{view.chunk_count} of up to {view.chunk_bytes} bytes")
    yield from line("root", view.root)
    yield from line("name at a relay", f"{view.blob_name} (SHA-256 of the blob id)")
    yield from line("media type", view.media_type or "not told")
    yield from line("name", "not told" if view.name is None else ascii(view.name))
    yield from line("width, height", f"{_pixels(view.width)}, {_pixels(view.height)}")
    told = "not told" if view.duration_ms is None else f"{view.duration_ms} ms"
    yield from line("duration", told)
    size = view.thumbnail_bytes
    yield from line("thumbnail", "none" if size is None else f"{size} bytes of JPEG")
    yield from line("key, blob id", "32 bytes each, not shown")
    yield ""
    yield from textwrap.wrap(_DESCRIPTOR_USE, WIDTH)


def _pixels(number: int | None) -> str:
    return "not told" if number is None else f"{number} pixels"
