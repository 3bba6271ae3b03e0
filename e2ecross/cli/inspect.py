# SPDX-License-Identifier: Apache-2.0
"""`e2ecross inspect FILE`: what a relay could learn of what it is given; and what it is not given.

Rules:
- Never more than the largest publication and one byte is read.
- Anything else: one line on stderr, nothing on stdout, exit code 1.
- No secret is printed, also where one is read, or given in the place of a name: that of a link
  code, key and blob id of an attachment, the chain key of a sender key, what a user has sent.
- The bytes tell what they are, but of the two messages of sender keys, whose form is never told
  from the bytes: those are read where `--as` says so.

With `--json` the document on stdout is, of an envelope, `describe.EnvelopeView` as an object:
`message_id`, `sender`, `recipient`, `kind` ("prekey" or "signal"), `envelope_bytes`,
`ciphertext_bytes`, `prekey` (null, or `registration_id`, `signed_prekey_id`, `one_time_prekey_id`,
`base_key`, `identity_key`, `kyber_prekey_id`, `kyber_ciphertext`), `message` (null, or `version`,
`ratchet_key`, `counter`, `previous_counter`, `encrypted`, `encrypted_bytes`, `mac`, `pq_ratchet`,
`addresses`), `problem` (null, or why the Signal message does not decode) and `sender_key` (null, or
of a message into a group `distribution_id`, `chain_id`, `iteration`, `encrypted`,
`encrypted_bytes`, `signature`). Of a message to several devices it is `describe.CopiesView`: `kind`
("copies"), `message_id`, `sender`, `recipients`, `size_bytes`, `ciphertext_bytes`, `sender_key` and
`problem`. Of published keys it is `describe_keys.KeysView`: `kind` ("bundle" or "publication"),
`size_bytes`, `address`, `registration_id`, `identity_key`, `signed_prekey`, `one_time_prekeys`,
`kyber_prekeys` and `last_resort_kyber_prekey` (null, or as the others an object of `id`,
`public_key` and `signature`). Of a signed list of devices it is `describe_devices.DeviceListView`:
`kind` ("device_list"), `size_bytes`, `user`, `seq`, `previous` (null, or a hash), `hash`,
`signed_at_ms`, `hosting`, `vendor` (null, or its name), `signature`, `devices` (objects of
`device`, `identity_key`, `device_signature` and `capabilities`, both of which may be null) and
`problem` (null, or why the signatures do not verify). Of a link code it is
`describe_devices.LinkCodeView`: `kind` ("link_code"), `size_chars`, `app` and `ephemeral_key`. Of
the descriptor of an attachment it is `describe_attachments.AttachmentView`: `kind` ("attachment"),
`size_bytes` (its own), `suite`, `file_bytes`, `blob_bytes`, `chunk_bytes`, `chunk_count`, `root`,
`blob_name` (SHA-256 of the blob id), and, each null where it is not told, `media_type`, `name`,
`width`, `height`, `duration_ms` and `thumbnail_bytes`. Of what groups send it is, by its `kind`:
"sender_key_message", "distribution" (`describe_sender_keys`), "group_commit", "group_commits"
(`describe_commits`), "sender_key_grant", "group_retry_request", "group_resent", "group_payload"
(`describe_groups`), a view that is described there. Bytes are hexadecimal.
"""

import json as json_module
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Final

from e2ecross.cli.describe import describe, describe_copies
from e2ecross.cli.describe_attachments import describe_attachment
from e2ecross.cli.describe_commits import describe_commit
from e2ecross.cli.describe_devices import (
    LINK_CODE_PREFIX,
    describe_device_list,
    describe_link_code,
)
from e2ecross.cli.describe_groups import describe_control, describe_group_payload
from e2ecross.cli.describe_keys import describe_keys
from e2ecross.cli.describe_sender_keys import describe_distribution, describe_sender_key_message
from e2ecross.cli.inspect_words import View, tell
from e2ecross.errors import DecodeError, EnvelopeMismatch, RemoteError
from e2ecross.wire.limits import MAX_PUBLISHED_KEYS_BYTES
from e2ecross.wire.sender_key_message import SenderKeyForm

__all__ = ["NAMED", "run_inspect"]

NAMED: Final[Mapping[str, Callable[[bytes], View]]] = {
    f"{what}-{form.value.replace(' ', '-')}": partial(read, form)
    for what, read in (
        ("sender-key-message", describe_sender_key_message),
        ("distribution", describe_distribution),
    )
    for form in SenderKeyForm
}
"""What has to be named, by its name."""
_TRIED: Final[tuple[Callable[[bytes], View], ...]] = (
    describe_copies,
    describe_device_list,
    describe_attachment,
    describe_commit,
    describe_control,
    describe_group_payload,
)
"""What tells by its bytes what it is, if it is no envelope and no keys."""
_FIRST_BYTE: Final = b"\x33"
"""Of Signal's messages of version 3, and of nothing of ours."""


def run_inspect(name: str, *, json: bool = False, named: str | None = None) -> int:
    """Print what is readable of what is in a file.

    Args:
        name: the file; `-` is standard input.
        json: print a JSON document instead of text.
        named: what it is, where the bytes do not tell: "sender-key-message-uuid",
            "sender-key-message-key-id", "distribution-uuid", "distribution-key-id".

    Returns:
        The exit code: 0, or 1 when it is nothing that is known here; stderr then tells why in one
        line.
    """
    try:
        data = _read(name)
        if len(data) > MAX_PUBLISHED_KEYS_BYTES:
            return _refuse(name, f"not an envelope: more than {MAX_PUBLISHED_KEYS_BYTES} bytes")
        view = _describe(data) if named is None else NAMED[named](data)
    except RemoteError as error:
        return _refuse(name, str(error))
    except OSError as error:
        return _refuse(name, f"cannot be read: {error.strerror or error}")
    except ValueError:  # a name with a null character
        return _refuse(name, "cannot be read: not the name of a file")
    if json:
        print(json_module.dumps(asdict(view), indent=2))
    else:
        print("\n".join(tell(view)))
    return 0


def _describe(data: bytes) -> View:
    """Describe an envelope or, where it is none, what else a back end is given, or is not given."""
    if data.startswith(LINK_CODE_PREFIX):
        return describe_link_code(data)
    try:
        return describe(data)
    except DecodeError as error:
        with suppress(RemoteError):
            return describe_keys(data)
        for read in _TRIED:
            with suppress(DecodeError, EnvelopeMismatch):
                return read(data)
        if data.startswith(_FIRST_BYTE):
            raise DecodeError(
                "neither an envelope nor anything else that its bytes tell: if it is a message of "
                "sender keys, say which with --as"
            ) from error
        raise DecodeError(f"not an envelope: {error}") from error


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
    if LINK_CODE_PREFIX in os.fsencode(name):  # with its secret, which may be valid still
        shown, why = "FILE", "a link code is no file: write its text to standard input, and give -"
    print(f"e2ecross inspect: {shown}: {' '.join(why.split())}", file=sys.stderr)
    return 1
