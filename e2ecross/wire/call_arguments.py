# SPDX-License-Identifier: Apache-2.0
"""What callers hand in for calls about many at once, checked: all of it, before anything is done.

Rules:
- What no back end may take is a mistake of the caller: `InvalidArgument`, and nothing was done.
- What another back end may take, and this one does not, is `BackendRefused`. So is what exceeds a
  limit of a call.
"""

from collections.abc import Mapping, Sequence

from e2ecross.address import MAX_DEVICE
from e2ecross.arguments import require_bytes, require_list, require_type, require_whole_number
from e2ecross.errors import BackendRefused, InvalidArgument
from e2ecross.wire.device_list import PRIMARY
from e2ecross.wire.exchange import (
    BLOB_ID_BYTES,
    CONSENT_BYTES,
    HIGHEST_STRIPE,
    HOLDER_BYTES,
    LINK_ID_BYTES,
    LINK_SLOTS,
    MAX_BLOB_PIECE_BYTES,
    MAX_CREDENTIAL_BYTES,
    MAX_DEPOSIT_BYTES,
    MAX_HOLD_MS,
    MAX_IN_CALL,
    MAX_NUMBER,
    MAX_USERS_IN_CALL,
    MAX_WAIT_MS,
    TOKEN_SHA256_BYTES,
    KeysWanted,
)
from e2ecross.wire.limits import MAX_COPIES_BYTES, MAX_LINK_MESSAGE_BYTES, TOKEN_BYTES

__all__ = [
    "require_blob_id",
    "require_blob_piece",
    "require_blob_range",
    "require_blob_size",
    "require_companion_tokens",
    "require_consents",
    "require_copies",
    "require_envelopes",
    "require_link",
    "require_link_message",
    "require_numbers",
    "require_replaced_token",
    "require_told",
    "require_waiting",
    "require_wanted",
]


def require_replaced_token(replaces: bytes, credential: bytes) -> None:
    """Check what comes with a registration beside the token."""
    require_bytes("replaces", replaces)
    if replaces:
        require_bytes("replaces", replaces, TOKEN_BYTES)
    require_bytes("credential", credential)
    if len(credential) > MAX_CREDENTIAL_BYTES:
        raise InvalidArgument(f"credential must have at most {MAX_CREDENTIAL_BYTES} bytes")


def require_wanted(wanted: Sequence[KeysWanted]) -> list[KeysWanted]:
    """Return whose keys are wanted: of 1 to 32 different users.

    Raises:
        InvalidArgument: these are no questions.
        BackendRefused: too many, or none, or two about one user.
    """
    asked = require_list("wanted", wanted)
    for keys in asked:
        require_type("an element of wanted", keys, KeysWanted)
    _require_count("users", len(asked), MAX_USERS_IN_CALL)
    if len({keys.user for keys in asked}) < len(asked):
        raise BackendRefused("a user is asked for twice in one call: ask for each once")
    return asked


def require_companion_tokens(tokens: Mapping[int, bytes]) -> dict[int, bytes]:
    """Return SHA-256 of tokens of companions, 32 bytes each, by their numbers, 2 to 127."""
    require_type("tokens", tokens, Mapping)
    for number, sha256 in tokens.items():
        require_whole_number("the keys of tokens", number, PRIMARY + 1, MAX_DEVICE)
        require_bytes("the values of tokens", sha256, TOKEN_SHA256_BYTES)
    return dict(tokens)


def require_envelopes(envelopes: Sequence[bytes]) -> list[bytes]:
    """Return what is deposited: 1 to 1,024 envelopes, at most 4,194,304 bytes together.

    Raises:
        InvalidArgument: these are no bytes.
        BackendRefused: too many, or none, or too large together.
    """
    listed = require_list("envelopes", envelopes)
    for envelope in listed:
        require_bytes("an element of envelopes", envelope)
    _require_count("envelopes", len(listed), MAX_IN_CALL)
    size = sum(map(len, listed))
    if size > MAX_DEPOSIT_BYTES:
        raise BackendRefused(
            f"the envelopes have {size} bytes together, this back end takes up to "
            f"{MAX_DEPOSIT_BYTES} in one call"
        )
    return listed


def require_copies(copies: bytes) -> None:
    """Check how much is deposited for many: at most 262,144 bytes.

    Raises:
        InvalidArgument: these are no bytes.
        BackendRefused: too large.
    """
    require_bytes("copies", copies)
    if len(copies) > MAX_COPIES_BYTES:
        raise BackendRefused(
            f"the copies have {len(copies)} bytes, this back end takes up to {MAX_COPIES_BYTES}"
        )


def require_told(epochs: Mapping[int, int] | None) -> dict[int, int]:
    """Return the epochs that are told, by stripe: those that are not 0.

    Raises:
        InvalidArgument: these are no epochs.
        BackendRefused: they are too many.
    """
    if epochs is None:
        return {}
    require_type("epochs", epochs, Mapping)
    if len(epochs) > MAX_IN_CALL:
        raise BackendRefused(f"tell the epochs of at most {MAX_IN_CALL:,} stripes at once")
    for stripe, epoch in epochs.items():
        require_whole_number("epochs", stripe, 0, HIGHEST_STRIPE)
        require_whole_number("epochs", epoch, 0, MAX_NUMBER)
    return {stripe: epoch for stripe, epoch in epochs.items() if epoch}


def require_consents(consents: Sequence[bytes], envelopes: int) -> list[bytes]:
    """Return tokens of consent: none, or one for each envelope, empty or of 32 bytes."""
    listed = require_list("consents", consents)
    if len(listed) not in (0, envelopes):
        raise InvalidArgument("consents must be none, or one for each envelope")
    for consent in listed:
        require_bytes("consents", consent)
        if len(consent) not in (0, CONSENT_BYTES):
            raise InvalidArgument(f"consents must be empty or have {CONSENT_BYTES} bytes each")
    return listed


def require_waiting(wait_ms: int, hold_ms: int, holder: bytes) -> None:
    """Check how long a fetch may wait, and for how long and whom it is to hold what it returns."""
    require_whole_number("wait_ms", wait_ms, 0, MAX_WAIT_MS)
    require_whole_number("hold_ms", hold_ms, 0, MAX_HOLD_MS)
    require_bytes("holder", holder, HOLDER_BYTES if hold_ms else 0)


def require_numbers(numbers: Sequence[int]) -> list[int]:
    """Return those that can be numbers of envelopes."""
    require_type("numbers", numbers, Sequence)
    is_text = isinstance(numbers, bytes | bytearray | str)
    if is_text or not all(type(number) is int for number in numbers):
        raise InvalidArgument("numbers must be a list of whole numbers")
    return [number for number in numbers if 0 < number <= MAX_NUMBER]


def require_link(link_id: bytes, slot: int) -> None:
    """Check which slot of which link box is meant."""
    require_bytes("link_id", link_id, LINK_ID_BYTES)
    require_whole_number("slot", slot, 0, LINK_SLOTS - 1)


def require_link_message(data: bytes) -> None:
    """Check what is put into a link box: 1 to 10,240 bytes.

    Raises:
        InvalidArgument: no bytes, or none of them.
        BackendRefused: too long.
    """
    require_bytes("data", data)
    if not data:
        raise InvalidArgument("data must not be empty")
    if len(data) > MAX_LINK_MESSAGE_BYTES:
        raise BackendRefused(
            f"the message has {len(data)} bytes, a link box takes up to {MAX_LINK_MESSAGE_BYTES}"
        )


def require_blob_id(blob_id: bytes) -> None:
    """Check which blob is meant."""
    require_bytes("blob_id", blob_id, BLOB_ID_BYTES)


def require_blob_size(size: int, most: int) -> None:
    """Check how large a blob is to be.

    Raises:
        InvalidArgument: no number of bytes.
        BackendRefused: 0, or more than this back end keeps.
    """
    require_whole_number("size", size, 0, MAX_NUMBER)
    if not 1 <= size <= most:
        raise BackendRefused(f"a file of {size} bytes, this back end takes 1 to {most}")


def require_blob_piece(offset: int, data: bytes) -> None:
    """Check what is appended to a blob: 1 to 4,194,304 bytes.

    Raises:
        InvalidArgument: no bytes, or no place.
        BackendRefused: too many, or none.
    """
    require_whole_number("offset", offset, 0, MAX_NUMBER)
    require_bytes("data", data)
    _require_count("bytes of a file", len(data), MAX_BLOB_PIECE_BYTES)


def require_blob_range(offset: int, length: int) -> None:
    """Check what is read of a blob: 1 to 4,194,304 bytes.

    Raises:
        InvalidArgument: no place, or no number of bytes.
        BackendRefused: too many, or none.
    """
    require_whole_number("offset", offset, 0, MAX_NUMBER)
    require_whole_number("length", length, 0, MAX_NUMBER)
    _require_count("bytes of a file", length, MAX_BLOB_PIECE_BYTES)


def _require_count(what: str, count: int, most: int) -> None:
    if not 1 <= count <= most:
        raise BackendRefused(f"{count} {what} in one call, this back end takes 1 to {most}")
