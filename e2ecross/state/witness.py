# SPDX-License-Identifier: Apache-2.0
"""The witness: somebody beside the store who remembers how far it has come.

Rules:
- It is told after the commit and before anything leaves the device. So it never knows more than
  the store, unless the store was put back to an older state.
- What it answers is checked. What it raises comes out as `WitnessFailed`: what was committed
  stays, and nothing has left.
- A value that it has been told by this object already is not told again.
"""

from typing import Final, NoReturn, Protocol

from e2ecross.errors import RestoredStore, WitnessFailed

__all__ = ["MAX_EPOCH", "CheckedWitness", "EpochWatch", "Witness", "require_epoch"]

MAX_EPOCH: Final = 2**63 - 1
"""The highest number that a witness may return; every database and keychain has room for it."""


class Witness(Protocol):
    """What keeps a store's epoch outside of the store, such as a platform's keychain.

    It must not be part of what is backed up and restored together with the store. Each store has
    one of its own.
    """

    def read(self) -> int:
        """Return the highest number that it was ever told, 0 if none."""
        ...

    def advance(self, n: int) -> None:
        """Keep the higher of `n` and what it has, durably, before this returns.

        Several threads and processes may call this at once, with their numbers in any order.
        """
        ...


class CheckedWitness:
    """A witness, and what this object has told it."""

    __slots__ = ("_told", "_witness")

    def __init__(self, witness: Witness) -> None:
        """Use this witness; it is not asked yet."""
        self._witness = witness
        self._told = -1

    def read(self) -> int:
        """Return the epoch that the witness knows.

        Raises:
            WitnessFailed: it raised, or returned something else than a number from 0 to 2^63-1.
        """
        try:
            epoch = self._witness.read()
        except Exception as error:
            raise WitnessFailed(
                "the witness of the store's epoch cannot be read: make it readable, then try again"
            ) from error
        if type(epoch) is not int or not 0 <= epoch <= MAX_EPOCH:
            raise WitnessFailed(
                f"the witness of the store's epoch must return a whole number from 0 to "
                f"{MAX_EPOCH}, and 0 when it was never told one"
            )
        self._told = epoch
        return epoch

    def tell(self, epoch: int) -> None:
        """Tell the witness that the store has come this far, unless it was told.

        Raises:
            WitnessFailed: it raised; it is told again next time.
        """
        # Threads may come here out of order. That costs a call that was not needed, nothing else:
        # the witness keeps the higher number.
        if epoch <= self._told:
            return
        try:
            self._witness.advance(epoch)
        except Exception as error:
            raise WitnessFailed(
                "the witness of the store's epoch cannot be told, so nothing was sent: make it "
                "writable, then try again"
            ) from error
        self._told = epoch


class EpochWatch:
    """The highest epoch of each stripe that a device has seen; shared by all who use it."""

    __slots__ = ("_refusals", "_seen", "_who")

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._refusals = 0
        self._seen: dict[int, int] = {}
        self._who: dict[int, str] = {}

    def seen(self, stripe: int = 0) -> int:
        """Return the highest epoch that was seen of a stripe, 0 when none was."""
        return self._seen.get(stripe, 0)

    def note(self, epoch: int, who: str = "this device", stripe: int = 0) -> None:
        """Remember an epoch that somebody has seen of a stripe, if it is the highest.

        Threads may come here out of order and one may overwrite another's: the lower of two is
        then kept, which is still one that the store had.
        """
        if epoch > self.seen(stripe):
            self._seen[stripe], self._who[stripe] = epoch, who

    def refuse(self, epoch: int, stripe: int = 0) -> NoReturn:
        """Refuse a store of which a stripe has a lower epoch than what was seen.

        Raises:
            RestoredStore: always.
        """
        self._refusals += 1
        raise _restored(epoch, self.seen(stripe), self._who.get(stripe, "this device"))

    @property
    def refusals(self) -> int:
        """How often the store was refused: whoever sends looks into it anew after each."""
        return self._refusals


def require_epoch(epoch: int, known: int, who: str) -> None:
    """Refuse a store that somebody has seen further ahead.

    Args:
        epoch: the store's.
        known: the highest that they know.
        who: they, in the error's message.

    Raises:
        RestoredStore: theirs is higher.
    """
    if known > epoch:
        raise _restored(epoch, known, who)


def _restored(epoch: int, known: int, who: str) -> RestoredStore:
    return RestoredStore(
        f"{who} knows {known} operations of this device, its store only {epoch}: an older "
        f"copy of the store was put back, or two copies are in use. Nothing was changed. If "
        f"no newer copy exists, open this one with Device.open(store, restored=True)"
    )
