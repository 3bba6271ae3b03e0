# SPDX-License-Identifier: Apache-2.0
"""Sender keys for peers that speak them but not our groups: what `Device` does with one message.

Rules:
- Every function is one store transaction, and raises as the method of `Device` of its name.
- A message or key is returned after the commit of what made it; a plaintext likewise.
- Which group it is, and in which form its peers speak, the caller says. Nothing here knows who its
  members are, and nothing in the bytes says who the sender is.

Source: docs/wire-format.md, sender keys.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from e2ecross.address import Address
from e2ecross.arguments import require_bytes, require_type
from e2ecross.device.sending import require_other_device
from e2ecross.errors import EnvelopeMismatch, InvalidArgument, NoSession, UnknownSenderKey
from e2ecross.protocol.sender_key import (
    OwnSenderKey,
    distribute,
    generate_sender_key,
    group_decrypt,
    group_encrypt,
)
from e2ecross.state.context import Context
from e2ecross.state.epoch import WitnessedReceipt, WitnessedTransaction, count_operation
from e2ecross.state.sender_keys import (
    add_sender_key,
    find_own_sender_key,
    find_sender_key,
    put_own_sender_key,
    save_sender_key,
)
from e2ecross.stores.base import Transaction
from e2ecross.wire.limits import MAX_PLAINTEXT_BYTES, MAX_SENDER_KEY_NAME_BYTES
from e2ecross.wire.sender_key_message import (
    DISTRIBUTION_ID_BYTES,
    SenderKeyForm,
    decode_distribution,
    decode_sender_key_message,
    encode_distribution,
)

__all__ = [
    "SenderKeyGroup",
    "decrypt_group_raw",
    "distribution_raw",
    "encrypt_group_raw",
    "new_sender_key_raw",
    "process_distribution_raw",
]

_PLACES: Final = {SenderKeyForm.UUID: b"\x01", SenderKeyForm.KEY_ID: b"\x02"}
"""What the names of places in the store begin with. 0 are groups of ours."""


@dataclass(frozen=True, slots=True)
class SenderKeyGroup:
    """A group whose members speak sender keys, but not our groups; and in which form they do.

    Make one with `SenderKeyGroup.uuid` or `SenderKeyGroup.key_id`: nothing in a message tells which
    form it has.

    Attributes:
        form: of all its messages.
        id: the distribution id, 16 bytes; or the name, 1 to 64 bytes, that the caller gives it.
    """

    form: SenderKeyForm
    id: bytes

    def __post_init__(self) -> None:
        """Check both.

        Raises:
            InvalidArgument: one has the wrong type or length.
        """
        require_type("form", self.form, SenderKeyForm)
        require_bytes("id", self.id)
        if self.form is SenderKeyForm.UUID:
            require_bytes("id", self.id, DISTRIBUTION_ID_BYTES)
        elif not 1 <= len(self.id) <= MAX_SENDER_KEY_NAME_BYTES:
            raise InvalidArgument(f"id must have 1 to {MAX_SENDER_KEY_NAME_BYTES} bytes")

    @classmethod
    def uuid(cls, distribution_id: bytes | UUID) -> "SenderKeyGroup":
        """A group as libsignal has it, whose messages carry a distribution id.

        Args:
            distribution_id: 16 bytes, or a UUID.

        Raises:
            InvalidArgument: it is neither.
        """
        if isinstance(distribution_id, UUID):
            distribution_id = distribution_id.bytes
        require_bytes("distribution_id", distribution_id, DISTRIBUTION_ID_BYTES)
        return cls(SenderKeyForm.UUID, distribution_id)

    @classmethod
    def key_id(cls, name: bytes) -> "SenderKeyGroup":
        """A group as clients of the WhatsApp type have it, whose messages carry a chain id alone.

        Args:
            name: of the group, 1 to 64 bytes: whatever the caller calls it. It stays here.

        Raises:
            InvalidArgument: it has the wrong type or length.
        """
        require_bytes("name", name)
        if not 1 <= len(name) <= MAX_SENDER_KEY_NAME_BYTES:
            raise InvalidArgument(f"name must have 1 to {MAX_SENDER_KEY_NAME_BYTES} bytes")
        return cls(SenderKeyForm.KEY_ID, name)

    @property
    def distribution_id(self) -> bytes | None:
        """What its messages carry, 16 bytes, or None."""
        return self.id if self.form is SenderKeyForm.UUID else None

    @property
    def place(self) -> bytes:
        """Where its keys are in the store: form and id, 2 to 65 bytes."""
        return _PLACES[self.form] + self.id


def new_sender_key_raw(context: Context, group: SenderKeyGroup) -> bytes:
    """See `Device.new_sender_key_raw`."""
    require_type("group", group, SenderKeyGroup)
    key = generate_sender_key(context.entropy)
    with WitnessedTransaction(context) as tx:
        put_own_sender_key(tx, group.place, key)
        count_operation(tx)
    return _distribution(group, key)


def distribution_raw(context: Context, group: SenderKeyGroup) -> bytes:
    """See `Device.distribution_raw`."""
    require_type("group", group, SenderKeyGroup)
    with WitnessedTransaction(context) as tx:
        key = _own_key(tx, group)
    return _distribution(group, key)


def encrypt_group_raw(context: Context, group: SenderKeyGroup, plaintext: bytes) -> bytes:
    """See `Device.encrypt_group_raw`."""
    require_type("group", group, SenderKeyGroup)
    require_bytes("plaintext", plaintext)
    if len(plaintext) > MAX_PLAINTEXT_BYTES:
        raise InvalidArgument(f"plaintext has more than {MAX_PLAINTEXT_BYTES} bytes")
    with WitnessedTransaction(context) as tx:
        before = _own_key(tx, group)
        after, message = group_encrypt(before, group.distribution_id, plaintext, context.entropy)
        put_own_sender_key(tx, group.place, after)
        count_operation(tx)
    return message


def process_distribution_raw(
    context: Context, sender: Address, group: SenderKeyGroup, data: bytes
) -> None:
    """See `Device.process_distribution_raw`."""
    _require_sender(context, sender, group)
    distribution = decode_distribution(group.form, data)
    _require_same_group(group, distribution.distribution_id)
    with WitnessedReceipt(context) as tx:
        add_sender_key(tx, sender, group.place, distribution)


def decrypt_group_raw(
    context: Context, sender: Address, group: SenderKeyGroup, data: bytes
) -> bytes:
    """See `Device.decrypt_group_raw`."""
    _require_sender(context, sender, group)
    message = decode_sender_key_message(group.form, data)
    _require_same_group(group, message.distribution_id)
    with WitnessedReceipt(context) as tx:
        held = find_sender_key(tx, sender, group.place, message)
        if held is None:
            raise UnknownSenderKey(
                f"{sender} has given no sender key with chain id {message.chain_id} for this "
                f"group: ask for its distribution message"
            )
        after, plaintext = group_decrypt(held.state, message)
        save_sender_key(tx, sender, group.place, held, after)
    return plaintext


def _own_key(tx: Transaction, group: SenderKeyGroup) -> OwnSenderKey:
    key = find_own_sender_key(tx, group.place)
    if key is None:
        raise NoSession(
            "there is no sender key of ours for this group: call new_sender_key_raw, and give its "
            "members what that returns"
        )
    return key


def _distribution(group: SenderKeyGroup, key: OwnSenderKey) -> bytes:
    return encode_distribution(distribute(key, group.distribution_id))


def _require_sender(context: Context, sender: Address, group: SenderKeyGroup) -> None:
    require_type("sender", sender, Address)
    require_other_device(context, sender, "sender")
    require_type("group", group, SenderKeyGroup)


def _require_same_group(group: SenderKeyGroup, distribution_id: bytes | None) -> None:
    if distribution_id != group.distribution_id:
        raise EnvelopeMismatch("the bytes name another distribution id than the group has")
