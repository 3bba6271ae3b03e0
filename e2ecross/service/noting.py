# SPDX-License-Identifier: Apache-2.0
"""What is noted of each request: its line in the log, its numbers, and faults of our own."""

import time
from typing import TYPE_CHECKING

from e2ecross.service.calls import Answer
from e2ecross.service.exchange import Exchange
from e2ecross.service.replies import Reply
from e2ecross.service.request_log import RequestLog, place_of

if TYPE_CHECKING:
    from e2ecross.service.metrics import Metrics

__all__ = ["Notes"]

_MS: int = 1000


class Notes:
    """Log and metrics, of which either may not be there.

    Args:
        metrics: counts what is done.
        log: gets a line for each request.
    """

    def __init__(self, metrics: "Metrics | None", log: RequestLog | None) -> None:
        self._metrics = metrics
        self._log = log

    def answered(self, exchange: Exchange, reply: Reply) -> None:
        """Note a request and its answer."""
        seconds = time.perf_counter() - exchange.started
        if self._metrics is not None:
            self._metrics.count(exchange.method, reply.code, seconds - exchange.waited)
        if self._log is None:
            return
        self._log.note(
            id=exchange.id,
            method=exchange.method,
            status=reply.status,
            code=reply.code,
            ms=round(seconds * _MS, 1),
            **{"in": exchange.size},
            out=len(reply.body),
            who=None if exchange.who is None else self._log.who(exchange.who),
        )

    def done(self, answer: Answer) -> None:
        """Count what a call has moved."""
        if self._metrics is not None:
            self._metrics.count_moved(answer.deposited, answer.delivered)

    def fault(self, exchange: Exchange, error: Exception) -> None:
        """Note an exception that is a fault of ours: its class and place, never its text."""
        if self._log is not None:
            self._log.note(id=exchange.id, error=type(error).__name__, at=place_of(error))
