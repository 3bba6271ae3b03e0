# SPDX-License-Identifier: Apache-2.0
"""Who sends to whom, as Signal writes it into a message: the field `addresses` of version 4.

Rules:
- Signal names an account by a service id: the text of a UUID, or `PNI:` and that text. Any other
  name has no such form, and then there is no field.
- The field is compared as a whole with what it should be, never taken apart.

Source: docs/wire-format.md, addresses in a Signal message.
"""

import re
from typing import Final

__all__ = ["encode_addresses", "encode_service_id"]

_MAX_DEVICE: Final = 127
_SERVICE_ID: Final = re.compile(
    r"(PNI:)?([0-9A-Fa-f]{8})-([0-9A-Fa-f]{4})-([0-9A-Fa-f]{4})-([0-9A-Fa-f]{4})-([0-9A-Fa-f]{12})",
    re.ASCII,
)


def encode_service_id(name: str) -> bytes | None:
    """Return the 17 bytes of a service id: its kind, then the UUID; None if the name is none."""
    match = _SERVICE_ID.fullmatch(name)
    if match is None:
        return None
    prefix, *groups = match.groups()
    return (b"\x01" if prefix else b"\x00") + bytes.fromhex("".join(groups))


def encode_addresses(
    sender: str, sender_device: int, recipient: str, recipient_device: int
) -> bytes | None:
    """Return the 36 bytes of the field, or None if it cannot be written.

    Args:
        sender: the sender's name.
        sender_device: 1 to 127.
        recipient: the recipient's name.
        recipient_device: 1 to 127.
    """
    from_id, to_id = encode_service_id(sender), encode_service_id(recipient)
    devices = (sender_device, recipient_device)
    if from_id is None or to_id is None or not all(0 < n <= _MAX_DEVICE for n in devices):
        return None
    return from_id + bytes((sender_device,)) + to_id + bytes((recipient_device,))
