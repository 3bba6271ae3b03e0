# SPDX-License-Identifier: Apache-2.0
"""How long one transaction of a `PostgresStore` took, for whoever watches the store."""

import time

from e2ecross.errors import CommitUnknown, StoreBusy, StoreMoved
from e2ecross.metrics import Watch
from e2ecross.stores.postgres_cache import Kept

__all__ = ["Times"]


class Times:
    """The times of one transaction, which begins now. They are told when it has let all go."""

    __slots__ = ("_began", "_had_values", "_waited", "_watch")

    def __init__(self, watch: Watch) -> None:
        """Tell this one."""
        self._watch = watch
        self._waited: float | None = None
        self._had_values = False
        self._began = time.monotonic()

    def note_begun(self, kept: Kept) -> None:
        """Note that it has its stripe, and what was kept of that."""
        self._waited = time.monotonic() - self._began
        self._had_values = bool(kept.own.size or kept.device.size)

    def tell(self, error: BaseException | None) -> None:
        """Tell all of it.

        Args:
            error: why it was undone, or did not begin; None: it was committed.
        """
        watch, seconds = self._watch, time.monotonic() - self._began
        watch.observe("tx_wait_seconds", seconds if self._waited is None else self._waited)
        if self._waited is not None:
            watch.observe("tx_seconds", seconds)
            watch.count("cache_hit" if self._had_values else "cache_miss")
        if isinstance(error, StoreBusy) and not isinstance(error, StoreMoved):
            watch.count("tx_busy")
        elif isinstance(error, CommitUnknown):
            watch.count("tx_commit_unknown")
