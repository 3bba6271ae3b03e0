# SPDX-License-Identifier: Apache-2.0
"""The relay: a blind back end on one database. Satisfies `e2ecross.client.backend.Backend`.

With a folder it also satisfies `e2ecross.client.blob_store.BlobStore`.

Rules:
- It sees addresses, kinds, sizes, times, lists of devices, who asks for whose keys, and who uploads
  files. It holds no private key and no plaintext, so it can lose, delay, repeat or alter messages
  and files, and never read or forge one.
- Everything but registering, what a device does that is being linked, and reading a file of which
  one knows the id, needs the token of the address (of an envelope: its sender's), checked in the
  transaction that does the work.
- Every call may be repeated; only `fetch_keys` then hands out other one-time prekeys.
- A device tells its epoch with what it deposits and publishes. The relay keeps the highest, and
  hands it to the device only: so a restored store is noticed. A relay that lies can hide that.
- Several threads and processes may use one database: a file, or one on PostgreSQL, then also from
  several machines. No token or envelope is in an error or a `repr`.

What one user takes of another's one-time prekeys and mailbox is bounded (`RelayLimits`). How often
a device may ask, and who gets how many accounts, is for the service around it to bound.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, Protocol

from e2ecross.address import Address
from e2ecross.arguments import (
    forget_locals,
    forgets_secrets,
    require_bytes,
    require_callable,
    require_methods,
    require_type,
    require_whole_number,
)
from e2ecross.errors import BackendRefused
from e2ecross.relay import directory, mailbox
from e2ecross.relay.account_calls import AccountCalls
from e2ecross.relay.admitting import Admit
from e2ecross.relay.blob_calls import BlobCalls
from e2ecross.relay.calls import claim
from e2ecross.relay.copies import deposit_copies, judge_copies
from e2ecross.relay.database import Connection
from e2ecross.relay.depositing import DepositCall, deposit_each, judge, read_call
from e2ecross.relay.holding import Hold, fetch_and_hold
from e2ecross.relay.limits import RelayLimits
from e2ecross.relay.relay_file import DEFAULT_LIMITS, system_clock_ms
from e2ecross.relay.rows import MAX_NUMBER
from e2ecross.relay.watch_calls import WatchCalls
from e2ecross.wire import call_arguments as arguments
from e2ecross.wire.envelope import EnvelopeCopies
from e2ecross.wire.exchange import Deposited, Waiting
from e2ecross.wire.limits import TOKEN_BYTES

__all__ = ["Bell", "Relay"]

_ACKNOWLEDGE_BATCH: Final = 1_000
"""Envelopes removed in one transaction, so that a long list keeps nobody waiting for long."""


class Bell(Protocol):
    """Somebody who waits for mail, in this process."""

    def ring(self, address: Address) -> None:
        """Hear that something has changed in a mailbox; called after the commit, by any thread."""
        ...


def _first_come(address: Address, taken: bool, credential: bytes) -> bool:
    return not taken


class Relay(AccountCalls, BlobCalls, WatchCalls):
    """A directory of published keys and mailboxes, in one database; to be closed, or by `with`.

    With a folder it also keeps files for them.
    Each method also raises `BackendError` when the database cannot be used or the relay was closed.

    Args:
        path: the file; created when it does not exist. It must name a file: processes share it. Or
            the address of a PostgreSQL database, `postgresql://…`, for several processes and
            machines (extra `postgres`); it may hold a password, which is shown nowhere.
        authorise: decides who may claim an address. Called with the address, whether it is taken
            under another token, and the credential that the device has shown, outside of any
            transaction; only `True` lets the claim go ahead. For a taken address that is a reset:
            published keys, epoch and waiting envelopes of the old holder are dropped, and with
            device 1 the account's list of devices and all others in it. By default the first to
            come gets an address, for good.
        admit: decides who may send to whom. Called with the sender's address, the recipient's, and
            the token of what that account has granted the sender (`ConsentGrant.token`: 32 bytes,
            or empty), once for each envelope that is for another account, outside of any
            transaction, after the sender's token was seen to be right; only `True` lets it in, else
            it is refused with `BackendRefused`. If it raises, it is not let in either, and the
            sender may try again (`BackendError`); the log gets the class of the exception. What is
            sent into a group comes without tokens. By default everybody may.
        bell: rung for a mailbox after each commit that has put something into it, or removed
            something from it: what a device waits by (`e2ecross.service`).
        blob_dir: a folder for files beside messages (`e2ecross.BlobStore`), of this relay alone;
            made if it is not there, and the same for all processes. Files in it that are named like
            blobs and are none of this relay's are deleted. None: it keeps no files.
        limits: bounds on what is carried and kept.
        clock: returns the time, milliseconds since 1970.

    Raises:
        InvalidArgument: an argument has the wrong type.
        BackendError: the file cannot be opened, is not a relay's, or has another schema; the
            database cannot or must not be used; or the folder cannot be used.
        ImportError: the extra `postgres` is not installed.
    """

    @forgets_secrets
    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        authorise: Callable[[Address, bool, bytes], bool] | None = None,
        admit: Admit | None = None,
        bell: Bell | None = None,
        blob_dir: str | os.PathLike[str] | None = None,
        limits: RelayLimits = DEFAULT_LIMITS,
        clock: Callable[[], int] = system_clock_ms,
    ) -> None:
        authorise = _first_come if authorise is None else authorise
        require_callable("authorise", authorise)
        if admit is not None:
            require_callable("admit", admit)
        if bell is not None:
            require_methods("bell", bell, "ring")
        super().__init__(path, limits, clock, blob_dir)
        self._authorise = authorise
        self._admit = admit
        self.bell = bell

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
            credential: for `authorise`, at most 4,096 bytes, secret; or empty.

        Raises:
            BackendRefused: `authorise` did not let the claim go ahead; or the account has a list of
                its devices, and this is not device 1, and proves nothing: such a device is linked.
        """
        require_type("address", address, Address)
        require_bytes("token", token, TOKEN_BYTES)
        arguments.require_replaced_token(replaces, credential)
        allowed: bool | None = None  # whether the address was taken when authorise said yes
        while True:
            taken = self._database.write(
                partial(claim, address, (token, replaces), allowed, self._limits, self._clock()),
                address.user_id,
            )
            if taken is None:
                return
            # Asked outside of the transaction, because the answer may take a network; asked again
            # when somebody else claimed the address meanwhile. It never becomes free, so the loop
            # ends. `is True`: an `async def` given by mistake must not let everybody in.
            if self._authorise(address, taken, credential) is not True:
                raise BackendRefused(
                    f"{address} may not be claimed: it is taken, or the app does not allow it"
                )
            allowed = taken

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
        has no room, and what comes after it for the same device; of a sender of whom few wait
        there, some more are kept (`RelayLimits.mailbox_reserve_per_sender`). A repetition is taken,
        and changes nothing. A copy for the sender's own account is refused with `BackendRefused`
        if there are copies under the same message id for others, and none of those is taken. What
        `Relay(admit=...)` does not let in is refused, too.

        Args:
            token: that of the envelopes' sender, 32 bytes, secret.
            envelopes: 1 to 1,024, at most 4,194,304 bytes; kept and delivered as they are.
            epochs: of the sender's store, by stripe, at most 1,024, each 0 to 2^63-1; under 0
                where it has no stripes. Kept where they are the highest, whatever becomes of the
                envelopes, in their transaction.
            consents: none, or one for each envelope: the token of what its recipient has granted
                the sender, 32 bytes, secret, or empty. For `Relay(admit=...)` alone.

        Returns:
            What was refused, by place. `seqs`: of the lists of devices of each recipient's account
            and of the sender's, 0 for none. `epochs`: of the stripes that were told, the highest
            that the sender had told before. Both are empty if nothing was an envelope, so that
            there was no sender.

        Raises:
            NotRegistered: the token is not that of any sender in them; nothing was kept.
            BackendRefused: too many, or too large together; or it tells epochs of too many
                stripes (`RelayLimits.stripes`); nothing was kept.
        """
        [deposited] = self._deposit([DepositCall(token, envelopes, epochs, consents)])
        return deposited

    @forgets_secrets
    def deposit_copies(
        self, token: bytes, copies: bytes, *, epochs: Mapping[int, int] | None = None
    ) -> Deposited:
        """Put a message into the mailboxes of many, each once per message id, in one transaction.

        Each recipient gets an envelope of its own, and is refused on its own, by its place among
        the recipients: with `UnknownRecipient`, `MailboxFull` or, if the envelope is larger than
        this relay carries, `BackendRefused`, as by `deposit_all`. A repetition is taken, and
        changes nothing. What all share is kept once, until the last of them leaves.

        Args:
            token: that of the sender, 32 bytes, secret.
            copies: an encoded `EnvelopeCopies`: 1 to 1,024 recipients, at most 262,144 bytes.
            epochs: of the sender's store, by stripe, at most 1,024, each 0 to 2^63-1; under 0
                where it has no stripes. Kept where they are the highest, whatever becomes of the
                copies, in their transaction.

        Returns:
            What was refused, by place. `seqs`: of the lists of devices of each recipient's account
            and of the sender's, 0 for none. `epochs`: of the stripes that were told, the highest
            that the sender had told before.

        Raises:
            DecodeError: these are no copies.
            UnsupportedVersion: copies of a later version.
            NotRegistered: the token is not that of the sender.
            BackendRefused: too large; or it tells epochs of too many stripes. In all cases nothing
                was kept.
        """
        require_bytes("token", token, TOKEN_BYTES)
        arguments.require_copies(copies)
        told, limits = arguments.require_told(epochs), self._limits
        decoded = EnvelopeCopies.decode(copies)
        not_admitted = judge_copies(self._database, self._admit, token, decoded)
        deposited = self._database.write(
            lambda connection: deposit_copies(
                connection, token, decoded, told, limits, self._clock(), not_admitted
            ),
            *decoded.recipients,
        )
        self._ring(
            each for place, each in enumerate(decoded.recipients) if place not in deposited.refused
        )
        return deposited

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
            limit: how many at most, 1 to `RelayLimits.fetch_messages` (1000), and not more than
                4 MiB if that is more than one. With `hold_ms` also 0.
            after: only those with higher numbers.
            wait_ms: 0 to 30,000; not used: this relay answers at once.
            hold_ms: 0 to 600,000, of fleets. Above 0 what is returned is held for so long, and
                so is what this holder has; not returned is what anybody holds, and what is of an
                account of which another holder has something. Otherwise all that waits is seen.
            holder: 16 bytes with `hold_ms`, else empty.

        Raises:
            NotRegistered: the token is not that of the address.
        """
        require_type("address", address, Address)
        require_bytes("token", token, TOKEN_BYTES)
        arguments.require_waiting(wait_ms, hold_ms, holder)
        require_whole_number("limit", limit, 0 if hold_ms else 1, self._limits.fetch_messages)
        require_whole_number("after", after, 0, MAX_NUMBER)

        def work(connection: Connection) -> list[Waiting]:
            directory.require_holder(connection, address, token)
            if not hold_ms:
                return mailbox.fetch(connection, address, limit, after)
            now_ms = self._clock()
            hold = Hold(holder, now_ms, now_ms + hold_ms)
            return fetch_and_hold(connection, address, limit, after, hold)

        return self._database.write(work, address) if hold_ms else self._database.read(work)

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

            def work(connection: Connection, batch: list[int] = batch) -> None:
                directory.require_holder(connection, address, token)
                mailbox.remove(connection, address, batch, self._limits, self._clock())

            self._database.write(work, address)
        self._ring([address])

    def _ring(self, addresses: Iterable[Address]) -> None:
        if self.bell is not None:
            for address in addresses:
                self.bell.ring(address)

    def _deposit(self, calls: Sequence[DepositCall]) -> list[Deposited]:
        """Deposit for all callers in one transaction, or raise for one of them and for none."""
        batches = [judge(self._database, self._admit, call, read_call(call)) for call in calls]
        deposited = self._database.write(
            lambda connection: [
                deposit_each(connection, call.token, batch, self._limits, self._clock())
                for call, batch in zip(calls, batches, strict=True)
            ],
            *{each.recipient for batch in batches for each in batch.decoded.values()},
        )
        self._ring(
            {
                envelope.recipient
                for batch, came in zip(batches, deposited, strict=True)
                for place, envelope in batch.decoded.items()
                if place not in came.refused
            }
        )
        return deposited

    # --- For the service around it ------------------------------------------------------------

    @forgets_secrets
    def deposit_together(self, calls: Sequence[DepositCall]) -> list[Deposited | Exception]:
        """Do `deposit_all` for several callers with one commit, which is most of what it takes.

        If anything is wrong with one of them, nothing was kept, and each is done alone: none
        decides over another.

        Returns:
            For each caller what `deposit_all` returns or raises.
        """
        if len(calls) > 1:
            with contextlib.suppress(Exception):  # each says itself what is wrong with it
                return [*self._deposit(calls)]
        alone = [self._deposit_alone(call) for call in calls]
        for each in alone:
            if isinstance(each, Exception):
                forget_locals(each)
        return alone

    def _deposit_alone(self, call: DepositCall) -> Deposited | Exception:
        try:
            return self._deposit([call])[0]
        except Exception as error:  # of whichever kind: it is that of one caller
            return error
