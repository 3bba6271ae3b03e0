# SPDX-License-Identifier: Apache-2.0
"""The relay: a blind back end on one SQLite file. Satisfies `e2ecross.client.backend.Backend`.

Rules:
- It sees addresses, kinds, sizes, times and who asks for whose keys. It holds no private key and
  no plaintext, so it can lose, delay, repeat or alter messages, and never read or forge one.
- Everything but registering needs the token of the address (of an envelope: its sender's), checked
  in the transaction that does the work.
- Every call may be repeated; only `fetch_keys` then hands out other one-time prekeys.
- A device tells its epoch with what it deposits and publishes. The relay keeps the highest, and
  hands it to the device only: so a restored store is noticed. A relay that lies can hide that.
- Several threads and processes may use one file. No token or envelope is in an error or a `repr`.

What one user takes of another's one-time prekeys and mailbox is bounded (`RelayLimits`). How often
a device may ask, and who gets how many accounts, is for the service around it to bound.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn, SupportsIndex

from e2ecross.address import Address
from e2ecross.arguments import (
    forgets_secrets,
    require_bytes,
    require_callable,
    require_file_name,
    require_type,
    require_whole_number,
)
from e2ecross.errors import BackendRefused, UnknownRecipient
from e2ecross.relay import arguments, directory, mailbox
from e2ecross.relay.calls import claim, decode_all, deposit_each, hand_out
from e2ecross.relay.database import Database
from e2ecross.relay.limits import RelayLimits
from e2ecross.relay.rows import MAX_NUMBER
from e2ecross.wire.bundle import PublishedKeys
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.exchange import Deposited, KeysWanted, UserKeys, Waiting
from e2ecross.wire.limits import TOKEN_BYTES

__all__ = ["Relay"]

_DEFAULT_LIMITS: Final = RelayLimits()

_ACKNOWLEDGE_BATCH: Final = 1_000
"""Envelopes removed in one transaction, so that a long list keeps nobody waiting for long."""


def _first_come(address: Address, taken: bool) -> bool:
    return not taken


def _system_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class Relay:
    """A directory of published keys and mailboxes, in one file; to be closed, or used by `with`.

    Each method also raises `BackendError` when the file cannot be used or the relay was closed.

    Args:
        path: the file; created when it does not exist. It must name a file: processes share it.
        authorise: decides who may claim an address. Called with the address and whether it is
            taken under another token, outside of any transaction; only `True` lets the claim go
            ahead. For a taken address that is a reset: published keys, epoch and waiting envelopes
            of the old holder are dropped. By default the first to come gets an address, for good.
        limits: bounds on what is carried and kept.
        clock: returns the time, milliseconds since 1970.

    Raises:
        InvalidArgument: an argument has the wrong type.
        BackendError: the file cannot be opened, is not a relay's, or has another schema.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        authorise: Callable[[Address, bool], bool] = _first_come,
        limits: RelayLimits = _DEFAULT_LIMITS,
        clock: Callable[[], int] = _system_clock_ms,
    ) -> None:
        name = require_file_name("path", path)
        require_callable("authorise", authorise)
        require_type("limits", limits, RelayLimits)
        require_callable("clock", clock)
        self._authorise = authorise
        self._limits = limits
        self._clock = clock
        self._database = Database(name)

    @property
    def path(self) -> Path:
        """The file, absolute."""
        return Path(self._database.path)

    @property
    def limits(self) -> RelayLimits:
        """The bounds."""
        return self._limits

    def __repr__(self) -> str:
        return f"<Relay {self._database.path}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a Relay cannot be pickled or copied: open its path again")

    def __enter__(self) -> "Relay":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second time does nothing. Calls of other threads are waited for."""
        self._database.close()

    # --- The directory ----------------------------------------------------------------------

    @forgets_secrets
    def register(
        self, address: Address, token: bytes, *, replaces: bytes = b"", credential: bytes = b""
    ) -> None:
        """Claim an address under a secret token; the same token again is a no-op.

        Args:
            address: the device to register.
            token: 32 random bytes, secret; only its SHA-256 is kept.
            replaces: the token that the address is claimed under now, 32 bytes, secret, or empty:
                the identity has moved to another installation. Then nobody is asked, the old token
                is `NotRegistered` from then on, and everything else of the address stays: mailbox,
                epoch, and the published keys, until the new installation publishes its own with
                `replace`. A wrong one counts as none.
            credential: for the service around a relay; not used here, `authorise` decides.

        Raises:
            BackendRefused: `authorise` did not let the claim go ahead.
        """
        require_type("address", address, Address)
        require_bytes("token", token, TOKEN_BYTES)
        arguments.require_replaced_token(replaces, credential)
        allowed: bool | None = None  # whether the address was taken when authorise said yes
        while True:
            taken = self._database.write(
                partial(claim, address, (token, replaces), allowed, self._limits, self._clock())
            )
            if taken is None:
                return
            # Asked outside of the transaction, because the answer may take a network; asked again
            # when somebody else claimed the address meanwhile. It never becomes free, so the loop
            # ends. `is True`: an `async def` given by mistake must not let everybody in.
            if self._authorise(address, taken) is not True:
                raise BackendRefused(
                    f"{address} may not be claimed: it is taken, or the app does not allow it"
                )
            allowed = taken

    @forgets_secrets
    def publish(
        self, token: bytes, published: PublishedKeys, *, epoch: int = 0, replace: bool = False
    ) -> None:
        """Set the published keys of the token's address; see `e2ecross.Backend`.

        A changed identity key drops the one-time prekeys of the old one.

        A publication is late when one with a higher epoch came before it, under the same identity
        key. Of a late one only the one-time prekeys count; after one with `replace` not even those.
        One-time prekeys of publications with a higher epoch are not replaced.

        Raises:
            InvalidKey: one of the keys is not acceptable.
            NotRegistered: the token is not that of the address.
            BackendRefused: too many unused one-time prekeys; nothing was changed, and the epoch
                not kept.
        """
        require_bytes("token", token, TOKEN_BYTES)
        require_type("published", published, PublishedKeys)
        require_whole_number("epoch", epoch, 0, MAX_NUMBER)
        require_type("replace", replace, bool)
        # As it would arrive over a network: `decode` also checks the keys themselves.
        published = PublishedKeys.decode(published.encode())

        def work(connection: sqlite3.Connection) -> None:
            directory.require_holder(connection, published.address, token)
            directory.record_epoch(connection, published.address, epoch)
            directory.publish(connection, published, self._limits, epoch, replace)

        self._database.write(work)

    @forgets_secrets
    def epochs(self, address: Address, token: bytes) -> dict[int, int]:
        """Return the highest epoch that the device has told, 0 if none, as that of stripe 0.

        Raises:
            NotRegistered: the token (32 bytes, secret) is not that of the address.
        """
        require_type("address", address, Address)
        require_bytes("token", token, TOKEN_BYTES)

        def work(connection: sqlite3.Connection) -> dict[int, int]:
            directory.require_holder(connection, address, token)
            return {0: directory.epoch(connection, address)}

        return self._database.read(work)

    @forgets_secrets
    def one_time_prekey_count(self, address: Address, token: bytes) -> int:
        """Return how many one-time prekeys of the address are left to hand out.

        Of two kinds, if the address offers Kyber prekeys: the lower number.

        Raises:
            NotRegistered: the token (32 bytes, secret) is not that of the address.
        """
        require_type("address", address, Address)
        require_bytes("token", token, TOKEN_BYTES)

        def work(connection: sqlite3.Connection) -> int:
            directory.require_holder(connection, address, token)
            return directory.unused_count(connection, address)

        return self._database.read(work)

    @forgets_secrets
    def fetch_keys(
        self, requester: Address, token: bytes, wanted: Sequence[KeysWanted]
    ) -> list[UserKeys | UnknownRecipient]:
        """Hand out keys of devices, each with a one-time prekey of each kind while there are any.

        Devices without keys are left out; of a user without any of those asked for there is
        `UnknownRecipient` in its place. Without devices asked for, nothing is used up: the answer
        is the account's list of devices alone, which is empty as long as there are no lists.

        Without a one-time Kyber prekey the device's last-resort one is in the bundle, if it offers
        Kyber prekeys. The asking user gets at most `RelayLimits.one_time_prekeys_per_requester`
        bundles of a device with one-time prekeys in a while. After that, too, bundles come,
        without any.

        Args:
            requester: the asking device.
            token: the asking device's token, 32 bytes, secret.
            wanted: whose keys, of 1 to 1,024 users; of each at most 16 devices, if all are wanted
                those with the lowest numbers.

        Returns:
            In the order of `wanted`, the keys of each user, or why there are none.

        Raises:
            NotRegistered: the token is not that of the requester.
        """
        require_type("requester", requester, Address)
        require_bytes("token", token, TOKEN_BYTES)
        asked = arguments.require_wanted(wanted)

        def work(connection: sqlite3.Connection) -> list[UserKeys | UnknownRecipient]:
            directory.require_holder(connection, requester, token)
            now_ms, limits = self._clock(), self._limits
            return [hand_out(connection, requester, keys, limits, now_ms) for keys in asked]

        return self._database.write(work)

    # --- The mailboxes ----------------------------------------------------------------------

    @forgets_secrets
    def deposit_all(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        """Put encoded envelopes into their recipients' mailboxes, each once per message id.

        Each is taken or refused on its own, in order, in one transaction. Refused are, with
        `BackendRefused`: what is no envelope, is larger than this relay carries, or is of another
        sender than the token; with `UnknownRecipient`: what is for nobody; with `MailboxFull`: what
        has no room; of a sender of whom few wait there, some more are kept
        (`RelayLimits.mailbox_reserve_per_sender`). A repetition is taken, and changes nothing.

        Args:
            token: that of the envelopes' sender, 32 bytes, secret.
            envelopes: 1 to 1,024, at most 4,194,304 bytes; kept and delivered as they are.
            epochs: that of the sender's store under 0, 0 to 2^63-1. Kept if it is the highest,
                whatever becomes of the envelopes, in their transaction.
            consents: of fleets: none, or one for each envelope, empty or of 32 bytes; not used.

        Returns:
            What was refused, by place. `epochs`: the highest that is known of the sender now, under
            0; empty if nothing was an envelope, so that there was no sender. `seqs` is empty: it is
            of lists of devices.

        Raises:
            NotRegistered: the token is not that of any sender in them; nothing was kept.
            BackendRefused: `epochs` tells of a fleet; nothing was kept.
        """
        require_bytes("token", token, TOKEN_BYTES)
        listed = arguments.require_envelopes(envelopes)
        told = arguments.require_told(epochs)
        arguments.require_consents(consents, len(listed))
        batch, limits = decode_all(listed), self._limits
        return self._database.write(
            lambda connection: deposit_each(connection, token, batch, told, limits, self._clock())
        )

    @forgets_secrets
    def fetch(
        self,
        address: Address,
        token: bytes,
        limit: int,
        after: int = 0,
        *,
        wait_ms: int = 0,
        hold_ms: int = 0,
        holder: bytes = b"",
    ) -> list[Waiting]:
        """Return waiting envelopes with their numbers, oldest first; they stay until acknowledged.

        A number never names another envelope as long as the file lives. In a file that was put back
        to a backup, numbers are given anew.

        Args:
            address: whose mailbox.
            token: that address's token, 32 bytes, secret.
            limit: how many at most, 1 to `RelayLimits.fetch_messages` (1000).
            after: only those with higher numbers.
            wait_ms: 0 to 30,000; not used: this relay answers at once.
            hold_ms: 0 to 600,000, of fleets; not used: this relay holds nothing, so that whoever
                asks gets all that waits.
            holder: 16 bytes with `hold_ms`, else empty; not used.

        Raises:
            NotRegistered: the token is not that of the address.
        """
        require_type("address", address, Address)
        require_bytes("token", token, TOKEN_BYTES)
        require_whole_number("limit", limit, 1, self._limits.fetch_messages)
        require_whole_number("after", after, 0, MAX_NUMBER)
        arguments.require_waiting(wait_ms, hold_ms, holder)

        def work(connection: sqlite3.Connection) -> list[Waiting]:
            directory.require_holder(connection, address, token)
            return mailbox.fetch(connection, address, limit, after)

        return self._database.read(work)

    @forgets_secrets
    def acknowledge(self, address: Address, token: bytes, numbers: Sequence[int]) -> None:
        """Remove envelopes from the address's mailbox; unknown numbers are ignored.

        Args:
            address: whose mailbox.
            token: that address's token, 32 bytes, secret.
            numbers: as returned by `fetch`.

        Raises:
            NotRegistered: the token is not that of the address.
        """
        require_type("address", address, Address)
        require_bytes("token", token, TOKEN_BYTES)
        possible = arguments.require_numbers(numbers)
        # At least one round, so that a wrong token is refused whatever the numbers are.
        for start in range(0, max(len(possible), 1), _ACKNOWLEDGE_BATCH):
            batch = possible[start : start + _ACKNOWLEDGE_BATCH]

            def work(connection: sqlite3.Connection, batch: list[int] = batch) -> None:
                directory.require_holder(connection, address, token)
                mailbox.remove(connection, address, batch, self._limits, self._clock())

            self._database.write(work)

    # --- For the operator -------------------------------------------------------------------

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
