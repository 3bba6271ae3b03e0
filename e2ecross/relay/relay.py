# SPDX-License-Identifier: Apache-2.0
"""The relay: a blind back end on one SQLite file. Satisfies `e2ecross.client.backend.Backend`.

Rules:
- It sees addresses, kinds, sizes, times and who asks for whose keys. It holds no private key and
  no plaintext, so it can lose, delay, repeat or alter messages, and never read or forge one.
- Everything but registering needs the token of the address, checked in the transaction that does
  the work. An envelope's sender must be the holder.
- Every call may be repeated; a second time it changes nothing, except that each `fetch_bundle`
  hands out another one-time prekey.
- A device tells its epoch, how many operations its store has committed, with what it deposits and
  publishes. The relay keeps the highest, and hands it to the device only: a device whose store was
  restored finds that it is behind. A relay that lies can hide that, or claim it.
- Several threads and processes may use one file.
- It logs nothing, and no token or envelope is in an error or a `repr`.

What one user takes of another's one-time prekeys and mailbox is bounded (`RelayLimits`). How often
a device may ask, and who gets how many accounts, is for the service around it to bound: many users
together can use up the one-time prekeys of a device, which then receives first messages without.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from e2ecross.address import Address
from e2ecross.arguments import (
    forgets_secrets,
    require_bytes,
    require_callable,
    require_file_name,
    require_type,
    require_whole_number,
)
from e2ecross.errors import BackendRefused, InvalidArgument, MailboxFull, UnknownRecipient
from e2ecross.relay import allowance, directory, mailbox
from e2ecross.relay.database import Database
from e2ecross.relay.limits import RelayLimits
from e2ecross.relay.rows import MAX_NUMBER
from e2ecross.wire.bundle import PreKeyBundle, PublishedKeys
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.limits import MAX_ENVELOPE_BYTES, TOKEN_BYTES

__all__ = ["Relay"]

_DEFAULT_LIMITS: Final = RelayLimits()

_ACKNOWLEDGE_BATCH: Final = 1_000
"""Envelopes removed in one transaction, so that a long list keeps nobody waiting for long."""


def _first_come(address: Address, taken: bool) -> bool:
    return not taken


def _system_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class Relay:
    """A directory of published keys and mailboxes, in one file.

    Use it as a context manager or call `close()`. Each method raises `InvalidArgument` for an
    argument of the wrong type, length or range, and `BackendError` when the file cannot be used
    or the relay has been closed; what else it raises is said there.

    Args:
        path: the file; created when it does not exist. It must name a file: processes share it.
        authorise: decides who may claim an address. Called with the address and whether it is
            taken under another token, outside of any transaction; only `True` lets the claim go
            ahead. For a taken address that is a reset: the new token replaces the old one, and
            the published keys, epoch and waiting envelopes of the old holder are dropped. By
            default the first to come gets an address, and nobody can reset it.
        limits: bounds on what is carried and kept.
        clock: returns the time, milliseconds since 1970.

    Raises:
        InvalidArgument: an argument has the wrong type.
        BackendError: the file cannot be opened, is not a relay's, or is of a newer release.
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
        """The relay's file, absolute."""
        return Path(self._database.path)

    @property
    def limits(self) -> RelayLimits:
        """The bounds on what is carried and kept."""
        return self._limits

    def __repr__(self) -> str:
        return f"<Relay {self._database.path}>"

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
    def register(self, address: Address, token: bytes) -> None:
        """Claim an address under a secret token; the same token again is a no-op.

        Args:
            address: the device to register.
            token: 32 random bytes, secret; only its SHA-256 is kept.

        Raises:
            BackendRefused: `authorise` did not let the claim go ahead.
        """
        require_type("address", address, Address)
        require_bytes("token", token, TOKEN_BYTES)
        allowed: bool | None = None  # whether the address was taken when authorise said yes
        while True:
            with self._database.writing() as connection:
                if directory.is_holder(connection, address, token):
                    return
                taken = directory.is_registered(connection, address)
                if taken is allowed:
                    directory.claim(connection, address, token)
                    mailbox.drop_all(connection, address, self._limits, self._clock())
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
        """Set the published keys of the token's address, adding the one-time prekeys.

        A one-time prekey id that was published before is ignored, also when it has been handed
        out since. A changed identity key drops the one-time prekeys of the old one.

        A publication is late when one with a higher epoch came before it, under the same identity
        key. Of a late one only the one-time prekeys count; after one with `replace` not even those.

        Args:
            token: that of `published.address`, 32 bytes, secret.
            published: the public keys.
            epoch: that of the device's store when it made the publication, 0 to 2^63-1; 0 if it
                does not tell: then the publication is taken as the latest. Kept if it is the
                highest, in the transaction of the publication.
            replace: the store was restored, and the private halves of all that was published before
                are gone. Unused one-time prekeys of before are not handed out any more, unless they
                are in this publication; their ids stay known. Those of publications with a higher
                epoch stay.

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
        with self._database.writing() as connection:
            directory.require_holder(connection, published.address, token)
            directory.record_epoch(connection, published.address, epoch)
            directory.publish(connection, published, self._limits, epoch, replace)

    @forgets_secrets
    def epoch(self, address: Address, token: bytes) -> int:
        """Return the highest epoch that the device has told, 0 if none.

        Raises:
            NotRegistered: the token (32 bytes, secret) is not that of the address.
        """
        require_type("address", address, Address)
        require_bytes("token", token, TOKEN_BYTES)
        with self._database.reading() as connection:
            directory.require_holder(connection, address, token)
            return directory.epoch(connection, address)

    @forgets_secrets
    def one_time_prekey_count(self, address: Address, token: bytes) -> int:
        """Return how many one-time prekeys of the address are left to hand out.

        Of two kinds, if the address offers Kyber prekeys: the lower number.

        Raises:
            NotRegistered: the token (32 bytes, secret) is not that of the address.
        """
        require_type("address", address, Address)
        require_bytes("token", token, TOKEN_BYTES)
        with self._database.reading() as connection:
            directory.require_holder(connection, address, token)
            return directory.unused_count(connection, address)

    @forgets_secrets
    def fetch_bundle(self, requester: Address, token: bytes, address: Address) -> PreKeyBundle:
        """Hand out keys of a device, with a one-time prekey of each kind while there are any.

        Without a one-time Kyber prekey the device's last-resort one is in the bundle, if it offers
        Kyber prekeys. The asking user gets at most `RelayLimits.one_time_prekeys_per_requester`
        bundles with one-time prekeys in a while. After that, too, bundles come, without any.

        Args:
            requester: the asking device.
            token: the asking device's token, 32 bytes, secret.
            address: whose keys are wanted.

        Raises:
            UnknownRecipient: the address has not published keys.
            NotRegistered: the token is not that of the requester.
        """
        require_type("requester", requester, Address)
        require_bytes("token", token, TOKEN_BYTES)
        require_type("address", address, Address)
        with self._database.writing() as connection:
            directory.require_holder(connection, requester, token)
            now_ms = self._clock()
            pair = (requester.user_id, address)
            allowance.forget_expired(connection, now_ms)
            left = allowance.is_left(connection, *pair, self._limits, now_ms)
            bundle, is_one_time = directory.hand_out_bundle(connection, address, left)
            if is_one_time:
                allowance.use(connection, *pair, self._limits, now_ms)
            return bundle

    # --- The mailboxes ----------------------------------------------------------------------

    @forgets_secrets
    def deposit(self, token: bytes, envelope: bytes, *, epoch: int = 0) -> None:
        """Put an encoded envelope into its recipient's mailbox, once per message id.

        Args:
            token: that of the envelope's sender, 32 bytes, secret.
            envelope: as encoded by the sender; kept and delivered as it is.
            epoch: that of the sender's store, 0 to 2^63-1; 0 if it does not tell. Kept if it is the
                highest, in the transaction of the deposit, also for a repetition. With
                `UnknownRecipient` and `MailboxFull` too, in a transaction of its own: the
                ciphertext has left the device all the same.

        Raises:
            DecodeError: not an envelope.
            UnsupportedVersion: an envelope of a later version.
            BackendRefused: the envelope is larger than this relay carries.
            NotRegistered: the token is not that of the envelope's sender.
            UnknownRecipient: the recipient is not registered.
            MailboxFull: too many messages wait for the recipient; of a sender of whom few wait
                there, some more are kept (`RelayLimits.mailbox_reserve_per_sender`).
        """
        require_bytes("token", token, TOKEN_BYTES)
        require_type("envelope", envelope, bytes)
        require_whole_number("epoch", epoch, 0, MAX_NUMBER)
        # Beyond the last bound it is no envelope anywhere, and `decode` says so before parsing.
        if self._limits.envelope_bytes < len(envelope) <= MAX_ENVELOPE_BYTES:
            raise BackendRefused(
                f"the envelope has {len(envelope)} bytes, this back end carries up to "
                f"{self._limits.envelope_bytes}"
            )
        decoded = Envelope.decode(envelope)
        try:
            with self._database.writing() as connection:
                directory.require_holder(connection, decoded.sender, token)
                if not directory.is_registered(connection, decoded.recipient):
                    raise UnknownRecipient(f"{decoded.recipient} is not registered")
                directory.record_epoch(connection, decoded.sender, epoch)
                mailbox.forget_expired(connection, self._clock())
                mailbox.deposit(connection, decoded, envelope, self._limits)
        except (UnknownRecipient, MailboxFull):
            # The ciphertext has left the device all the same.
            with self._database.writing() as connection:
                directory.require_holder(connection, decoded.sender, token)
                directory.record_epoch(connection, decoded.sender, epoch)
            raise

    @forgets_secrets
    def fetch(
        self, address: Address, token: bytes, limit: int, after: int = 0
    ) -> list[tuple[int, bytes]]:
        """Return waiting envelopes with their numbers, oldest first; they stay until acknowledged.

        Args:
            address: whose mailbox.
            token: that address's token, 32 bytes, secret.
            limit: how many at most, 1 to `RelayLimits.fetch_messages` (1000).
            after: only those with higher numbers.

        Raises:
            NotRegistered: the token is not that of the address.
        """
        require_type("address", address, Address)
        require_bytes("token", token, TOKEN_BYTES)
        require_whole_number("limit", limit, 1, self._limits.fetch_messages)
        require_whole_number("after", after, 0, MAX_NUMBER)
        with self._database.reading() as connection:
            directory.require_holder(connection, address, token)
            return mailbox.fetch(connection, address, limit, after)

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
        require_type("numbers", numbers, Sequence)
        is_text = isinstance(numbers, bytes | bytearray | str)
        if is_text or not all(type(number) is int for number in numbers):
            raise InvalidArgument("numbers must be a list of whole numbers")
        possible = [number for number in numbers if 0 < number <= MAX_NUMBER]
        # At least one round, so that a wrong token is refused whatever the numbers are.
        for start in range(0, max(len(possible), 1), _ACKNOWLEDGE_BATCH):
            batch = possible[start : start + _ACKNOWLEDGE_BATCH]
            with self._database.writing() as connection:
                directory.require_holder(connection, address, token)
                mailbox.remove(connection, address, batch, self._limits, self._clock())

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
        with self._database.reading() as connection:
            rows = mailbox.waiting(connection, address)
        return [Envelope.decode(row) for row in rows]
