# SPDX-License-Identifier: Apache-2.0
"""What a client and its back end exchange beside envelopes and keys: questions and answers.

Values without checks: who receives one from outside checks it (`client/answers.py`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from e2ecross.address import UserId
from e2ecross.errors import BackendError
from e2ecross.wire.bundle import PreKeyBundle

__all__ = ["Deposited", "KeysWanted", "UserKeys", "Waiting"]


@dataclass(frozen=True, slots=True)
class KeysWanted:
    """Whose keys are wanted.

    Attributes:
        user: the account.
        devices: of which of its devices; None: of all that have published keys.
    """

    user: UserId
    devices: Collection[int] | None


@dataclass(frozen=True, slots=True)
class UserKeys:
    """Keys of one account.

    Attributes:
        device_list: empty, until accounts have lists of their devices.
        bundles: one for each device that was wanted and has published keys.
    """

    device_list: bytes
    bundles: tuple[PreKeyBundle, ...]


@dataclass(frozen=True, slots=True)
class Deposited:
    """What became of envelopes that were deposited in one call.

    Attributes:
        refused: by the place of the envelope in the call, why it was not taken: `UnknownRecipient`
            and `BackendRefused` for good, anything else for now. All others were taken.
        seqs: empty, until accounts have lists of their devices.
        epochs: the highest epoch that the sender has told, by stripe; a device without a fleet has
            the stripe 0 alone.
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
