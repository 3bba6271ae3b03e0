# SPDX-License-Identifier: Apache-2.0
"""The methods of `Device` about sender keys of foreign groups; the bodies are in `group_raw.py`."""

from e2ecross.address import Address
from e2ecross.arguments import forgets_secrets
from e2ecross.device import group_raw
from e2ecross.device.group_raw import SenderKeyGroup
from e2ecross.state.context import Context
from e2ecross.state.stripe import refuse_groups

__all__ = ["RawGroupCalls"]


class RawGroupCalls:
    """What a `Device` does in groups whose members speak sender keys, but not our groups.

    Only messages are compatible here. What such a group needs besides is the caller's part: to hand
    distribution messages over in pairwise sessions (`encrypt_raw`) of the very device whose they
    are, and in nothing else; to make a new key when a member leaves; and to say in the plaintext
    which group it is for, and who sends it. A member can hand on another's distribution message as
    its own, and the other's words then come under its name.

    All raise `FleetUnsupported` in a store with stripes.
    """

    __slots__ = ()

    _context: Context

    def new_sender_key_raw(self, group: SenderKeyGroup) -> bytes:
        """Make a new sender key of ours for a group, in the place of the one before.

        Returns:
            Its distribution message, secret: for each member's devices, in pairwise sessions.
        """
        return group_raw.new_sender_key_raw(self._raw_context(), group)

    def distribution_raw(self, group: SenderKeyGroup) -> bytes:
        """Return the distribution message of our present key, secret.

        Whoever gets it reads from the next message on, and nothing from before.

        Raises:
            NoSession: there is no key; call `new_sender_key_raw`.
        """
        return group_raw.distribution_raw(self._raw_context(), group)

    def encrypt_group_raw(self, group: SenderKeyGroup, plaintext: bytes) -> bytes:
        """Encrypt bytes once for all who were given our present key. It is saved before.

        Args:
            group: to which.
            plaintext: at most 98,304 bytes.

        Raises:
            NoSession: there is no key; call `new_sender_key_raw`, also after a restore.
            SessionExhausted: the key has encrypted 2^32-1 messages; make a new one.
        """
        return group_raw.encrypt_group_raw(self._raw_context(), group, plaintext)

    @forgets_secrets
    def process_distribution_raw(self, sender: Address, group: SenderKeyGroup, data: bytes) -> None:
        """Keep the sender key that a member has given us.

        A key that is held already stays as it is. Of a sender the newest five keys of each group
        are kept, and those of the 64 groups that it gave keys for last.

        Args:
            sender: the device in whose pairwise session the message came, and no other: it is not
                in the bytes, and this decides whose words will be shown.
            group: for which.
            data: the distribution message, 65 to 256 bytes, secret.

        Raises:
            DecodeError: malformed, or of the other form; UnsupportedVersion: not version 3.
            InvalidKey: its signing key is malformed, not canonical or of low order.
            EnvelopeMismatch: it names another distribution id than the group's.
        """
        group_raw.process_distribution_raw(self._raw_context(), sender, group, data)

    def decrypt_group_raw(self, sender: Address, group: SenderKeyGroup, data: bytes) -> bytes:
        """Authenticate and decrypt a message to a group, and save what it changes.

        Args:
            sender: the device that it is from, as the caller knows.
            group: to which.
            data: the message's bytes, 65 to 100,864.

        Raises:
            UnknownSenderKey: the sender has not given us its key, or it was dropped as too old.
            InvalidSignature: somebody else has made it, or it was changed.
            DuplicateMessage: it was read before, or 2,000 newer ones are missing.
            TooManySkipped: it is more than 25,000 ahead.
            AuthenticationFailed: it is signed, but does not decrypt.
            DecodeError: malformed, or of the other form; UnsupportedVersion: not version 3.
            EnvelopeMismatch: it names another distribution id than the group's.
        """
        return group_raw.decrypt_group_raw(self._raw_context(), sender, group, data)

    def _raw_context(self) -> Context:
        refuse_groups(self._context.store)
        return self._context
