# SPDX-License-Identifier: Apache-2.0
"""What a fleet tells whoever watches it: how often, how long, and with which code.

Rules:
- Nothing that is told names a peer, an address or a message: names stand in the document, codes are
  those of errors.
- Nobody is told anything inside a store transaction: a hook may take as long as it likes.
- What a hook raises is swallowed, and its class logged once: to watch must not break what is
  watched.
"""

import logging
from typing import Final, Protocol

from e2ecross.arguments import require_methods

__all__ = ["Metrics", "Watch", "watched_by"]

_LOG: Final = logging.getLogger("e2ecross.metrics")


class Metrics(Protocol):
    """Whoever watches a `Client` or a `PostgresStore`; called by any thread.

    docs/metrics.md has the names.
    """

    def count(self, name: str, n: int = 1) -> None:
        """Hear that something has happened, `n` times."""
        ...

    def observe(self, name: str, seconds: float) -> None:
        """Hear how long something took or waits; or, of what is left of something, how much."""
        ...

    def event(self, name: str, code: str) -> None:
        """Hear that something has failed: with the code of an error."""
        ...


class Watch:
    """Tells somebody, and lets nothing out that they raise."""

    __slots__ = ("_has_failed", "_metrics")

    def __init__(self, metrics: Metrics) -> None:
        """Tell this one."""
        self._metrics = metrics
        self._has_failed = False

    def count(self, name: str, n: int = 1) -> None:
        """See `Metrics.count`."""
        try:
            self._metrics.count(name, n)
        except Exception as error:
            self._note(error)

    def observe(self, name: str, seconds: float) -> None:
        """See `Metrics.observe`."""
        try:
            self._metrics.observe(name, seconds)
        except Exception as error:
            self._note(error)

    def event(self, name: str, code: str) -> None:
        """See `Metrics.event`."""
        try:
            self._metrics.event(name, code)
        except Exception as error:
            self._note(error)

    def _note(self, error: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            name = type(error).__name__
            _LOG.warning("metrics have raised %s: this is logged once, and not counted", name)


def watched_by(metrics: Metrics | None) -> Watch | None:
    """Return what tells somebody who was handed in as `metrics`, or None.

    Raises:
        InvalidArgument: it lacks a method.
    """
    if metrics is None:
        return None
    require_methods("metrics", metrics, "count", "observe", "event")
    return Watch(metrics)
