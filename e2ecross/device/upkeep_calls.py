# SPDX-License-Identifier: Apache-2.0
"""The methods of `Device` about its own prekeys, and about a store that was restored."""

from e2ecross.device import prekey_upkeep, restoring
from e2ecross.device.batch import Progress
from e2ecross.state.context import Context
from e2ecross.wire.bundle import PublishedKeys

__all__ = ["UpkeepCalls"]


class UpkeepCalls:
    """What a `Device` does for itself."""

    __slots__ = ()

    _context: Context

    def publish(self, one_time: int = 100) -> PublishedKeys:
        """Return keys to upload: the signed prekey and new one-time prekeys.

        The same unconfirmed batch comes back until `confirm_published`. A signed prekey that has
        reached `Policy.signed_prekey_max_age_ms` is replaced with a new batch.

        Args:
            one_time: how many one-time prekeys a new batch gets, 0 to 1000.

        Raises:
            PrekeysExhausted: the device has used its 2^24 prekey ids.
        """
        return prekey_upkeep.prepare_publication(self._context, one_time)

    def confirm_published(self, published: PublishedKeys) -> None:
        """Note that the back end has these keys; the next `publish` makes a new batch.

        Raises:
            InvalidArgument: it is not the batch that waits to be confirmed.
        """
        prekey_upkeep.confirm_publication(self._context, published)

    def restore_stripes(self, *, progress: Progress | None = None) -> None:
        """Do ahead what `open(restored=True)` has left to be done, of a store with stripes.

        Sessions of a stripe only read from then on, and so on: else it is done before whatever
        needs a stripe first, which then takes so much longer. Any number of workers may call this
        at once, and again; without stripes nothing is left.

        Args:
            progress: called with how many stripes are done and how many there are.

        Raises:
            StoreBusy: others have held a stripe for too long; all others are done. Call it again.
            RestoredStore: the store was opened as restored once more meanwhile.
        """
        restoring.restore_stripes(self._context, progress)
