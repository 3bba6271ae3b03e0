# SPDX-License-Identifier: Apache-2.0
"""What a client and its back end exchange beside envelopes and keys: questions and answers.

A question is checked when it is made. Answers are not: who receives one from outside checks it
(`client/answers.py`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from e2ecross.address import MAX_DEVICE, UserId
from e2ecross.arguments import require_list, require_type, require_whole_number
from e2ecross.errors import BackendError, InvalidArgument
from e2ecross.wire.bundle import PreKeyBundle
from e2ecross.wire.limits import MAX_LISTED_DEVICES

__all__ = [
    "BLOB_ID_BYTES",
    "CONSENT_BYTES",
    "HIGHEST_STRIPE",
    "HOLDER_BYTES",
    "LINK_ID_BYTES",
    "LINK_SLOTS",
    "MAX_ACKNOWLEDGED_IN_CALL",
    "MAX_BLOB_PIECE_BYTES",
    "MAX_CREDENTIAL_BYTES",
    "MAX_DEPOSIT_BYTES",
    "MAX_FETCHED_BYTES",
    "MAX_FETCHED_IN_CALL",
    "MAX_HOLD_MS",
    "MAX_IN_CALL",
    "MAX_NUMBER",
    "MAX_USERS_IN_CALL",
    "MAX_WAIT_MS",
    "TOKEN_SHA256_BYTES",
    "Deposited",
    "KeysWanted",
    "UserKeys",
    "Waiting",
]

MAX_IN_CALL: Final = 1_024
"""Envelopes in one call: bounds how long one transaction keeps others waiting."""
MAX_DEPOSIT_BYTES: Final = 4 * 1024 * 1024
"""Envelopes in one call, bytes: 32 of the largest."""
HIGHEST_STRIPE: Final = 65_536
"""Of the largest store."""
MAX_USERS_IN_CALL: Final = 32
"""Users whose keys one call hands out: those of 512 devices, about 1 MB."""
LINK_ID_BYTES: Final = 16
"""The name of a box for the messages by which a device is linked."""
LINK_SLOTS: Final = 3
"""Messages in such a box: the offer, the answer, the result."""
BLOB_ID_BYTES: Final = 32
"""The name of a blob, random: who knows it may read."""
MAX_BLOB_PIECE_BYTES: Final = 4 * 1024 * 1024
"""What one call writes or reads of a blob, bytes: the largest chunk of an attachment."""

MAX_NUMBER: Final = 2**63 - 1
"""The highest number of an envelope, and the highest epoch."""
MAX_ACKNOWLEDGED_IN_CALL: Final = 10_000
"""Numbers that one call over a network acknowledges: a full mailbox without its reserve."""
MAX_FETCHED_IN_CALL: Final = 1_000
"""Envelopes that one call returns."""
MAX_FETCHED_BYTES: Final = 4 * 1024 * 1024
"""The same in bytes; one envelope is returned in any case."""
MAX_WAIT_MS: Final = 30_000
"""How long a fetch may wait, milliseconds: shorter than what most proxies close."""
MAX_HOLD_MS: Final = 600_000
"""How long what was fetched may be held, milliseconds."""
HOLDER_BYTES: Final = 16
"""Who holds what was fetched: random."""
CONSENT_BYTES: Final = 32
"""A token of consent, of fleets."""
MAX_CREDENTIAL_BYTES: Final = 4_096
"""What a device shows when it registers, if the service asks for it."""
TOKEN_SHA256_BYTES: Final = 32
"""What is told of the token of another device."""


@dataclass(frozen=True, slots=True)
class KeysWanted:
    """Whose keys are wanted.

    Attributes:
        user: the account.
        devices: numbers of its devices, at most 16, each 1 to 127; kept as a frozenset. None: all
            that its list has, or device 1 if it has no list. Empty: the list alone.

    Raises:
        InvalidArgument: an argument has the wrong type, length or range.
    """

    user: UserId
    devices: Collection[int] | None

    def __post_init__(self) -> None:
        require_type("user", self.user, UserId)
        if self.devices is None:
            return
        require_type("devices", self.devices, Collection)
        devices = require_list("devices", self.devices)
        if len(devices) > MAX_LISTED_DEVICES:
            raise InvalidArgument(f"devices must be {MAX_LISTED_DEVICES} numbers at most")
        for device in devices:
            require_whole_number("devices", device, 1, MAX_DEVICE)
        object.__setattr__(self, "devices", frozenset(devices))


@dataclass(frozen=True, slots=True)
class UserKeys:
    """Keys of one account.

    Attributes:
        device_list: the newest `SignedDeviceList` of the account, encoded; empty: it has none.
        bundles: one for each device that was wanted and has published keys.
    """

    device_list: bytes
    bundles: tuple[PreKeyBundle, ...]


@dataclass(frozen=True, slots=True)
class Deposited:
    """What became of envelopes that were deposited in one call.

    Attributes:
        refused: by the place of the envelope in the call, or of the recipient among those of
            copies, why it was not taken: `UnknownRecipient` and `BackendRefused` for good, anything
            else for now. All others were taken.
        seqs: the number of the newest list of devices, 0 if there is none, of the account of each
            recipient and of the sender.
        epochs: of each stripe that was told, the highest epoch that the sender had told before; 0
            for none. A device without a fleet has the stripe 0 alone.
    """

    refused: Mapping[int, BackendError] = field(default_factory=dict)
    seqs: Mapping[UserId, int] = field(default_factory=dict)
    epochs: Mapping[int, int] = field(default_factory=dict)


class Waiting(NamedTuple):
    """An envelope in a mailbox.

    Attributes:
        number: by which it is acknowledged; ascending.
        envelope: encoded.
    """

    number: int
    envelope: bytes

    def __repr__(self) -> str:
        return f"<Waiting {self.number}, {len(self.envelope)} bytes>"
