# SPDX-License-Identifier: Apache-2.0
"""The calls of a relay that only look: for the service around it, and for its operator."""

from collections.abc import Iterable

from e2ecross.address import Address
from e2ecross.arguments import forgets_secrets, require_bytes, require_type
from e2ecross.relay import directory, mailbox
from e2ecross.relay.holding import first_release_ms
from e2ecross.relay.relay_file import RelayFile
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.limits import TOKEN_BYTES

__all__ = ["WatchCalls"]


class WatchCalls(RelayFile):
    """How a `Relay` is watched; none of these is for devices."""

    @forgets_secrets
    def holder(self, token: bytes) -> Address | None:
        """Return a device that is registered with this token (32 bytes, secret), or None."""
        require_bytes("token", token, TOKEN_BYTES)
        name = self._database.read(lambda connection: directory.holder(connection, token))
        return None if name is None else Address.parse(name)

    def held_for_ms(self, address: Address) -> int | None:
        """Return in how many milliseconds the first hold in a mailbox ends, or None."""
        require_type("address", address, Address)
        now_ms = self._clock()
        until = self._database.read(
            lambda connection: first_release_ms(connection, address, now_ms)
        )
        return None if until is None else until - now_ms

    def mail_marks(self, addresses: Iterable[Address]) -> dict[Address, tuple[int, int]]:
        """Return for mailboxes what changes with everything that is put in, or taken out.

        Who is not registered is left out.
        """
        names = {str(address): address for address in addresses}
        marks = self._database.read(lambda connection: mailbox.marks(connection, list(names)))
        return {names[name]: mark for name, mark in marks.items()}

    def size_bytes(self) -> int:
        """Return how large the database is; that of a file with its log."""
        return self._database.size_bytes()

    def oldest_waiting_ms(self) -> int:
        """Return for how many milliseconds the oldest envelope has waited; 0: nothing waits."""
        deposited_at_ms = self._database.read(mailbox.oldest_ms)
        return max(self._clock() - deposited_at_ms, 0) if deposited_at_ms else 0

    def waiting(self, address: Address) -> list[Envelope]:
        """Show what waits for a device, in the order of its mailbox.

        This is the operator's view: it takes no token, because whoever has the file can read it
        anyway. It shows all that a relay can know of a message, and must not be offered to
        devices.

        Raises:
            DecodeError: somebody has written something into the file that is not an envelope.
        """
        require_type("address", address, Address)
        rows = self._database.read(lambda connection: mailbox.waiting(connection, address))
        return [Envelope.decode(row) for row in rows]
