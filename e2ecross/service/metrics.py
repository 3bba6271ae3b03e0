# SPDX-License-Identifier: Apache-2.0
"""What the operator sees of the service in numbers, for Prometheus.

Rules:
- No label has an address, an IP or a text from outside; an unknown path is `other`.
- On a listener of its own: whoever reaches the service does not reach these.
"""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from e2ecross.errors import BackendError
from e2ecross.relay import Relay
from e2ecross.service.extras import missing_extra

try:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
except ImportError as error:
    raise missing_extra(__name__, "server") from error

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

__all__ = ["Metrics"]

_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """The numbers of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "e2ecross_requests", "Requests", ("method", "code"), registry=self.registry
        )
        self._seconds = Histogram(
            "e2ecross_request_seconds",
            "How long requests take, without waiting for mail",
            ("method",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._deposits = Counter(
            "e2ecross_deposits", "Envelopes that were taken", registry=self.registry
        )
        self._delivered = Counter(
            "e2ecross_delivered", "Envelopes that were handed out", registry=self.registry
        )
        self._listener: tuple[WSGIServer, threading.Thread] | None = None

    def count(self, method: str, code: str, seconds: float) -> None:
        """Count a request that was answered.

        Args:
            method: of the back end, or `other`.
            code: `ok`, that of an error, or the status where there is none.
            seconds: how long it took, without waiting for mail.
        """
        self._requests.labels(method, code).inc()
        self._seconds.labels(method).observe(seconds)

    def count_moved(self, deposited: int, delivered: int) -> None:
        """Count envelopes that were taken, and those that were handed out."""
        self._deposits.inc(deposited)
        self._delivered.inc(delivered)

    def watch(self, relay: Relay, waiting: Callable[[], int], queue: Callable[[], int]) -> None:
        """Ask for these when the numbers are read; called once.

        Args:
            relay: for its oldest envelope and the size of its database.
            waiting: how many calls wait for mail.
            queue: how many calls wait for their turn to write.
        """
        for name, text, value in (
            ("waiting_calls", "Calls that wait for mail", waiting),
            ("writer_queue", "Calls that wait for their turn to write", queue),
            ("mailbox_oldest_seconds", "Age of the oldest envelope", lambda: _oldest(relay)),
            ("database_bytes", "Size of the database with its log", lambda: _size(relay)),
        ):
            Gauge(f"e2ecross_{name}", text, registry=self.registry).set_function(value)

    def listen(self, host: str, port: int) -> int:
        """Answer Prometheus on a listener of its own; return its port.

        Raises:
            OSError: the address cannot be listened on.
        """
        server, thread = start_http_server(port, host, self.registry)
        self._listener = (server, thread)
        return int(server.server_port)

    def close(self) -> None:
        """End the listener, if there is one."""
        if self._listener is not None:
            server, thread = self._listener
            server.shutdown()
            server.server_close()
            thread.join()
            self._listener = None


def _oldest(relay: Relay) -> float:
    try:
        return relay.oldest_waiting_ms() / 1000
    except BackendError:
        return float("nan")


def _size(relay: Relay) -> float:
    try:
        return float(relay.size_bytes())
    except BackendError:
        return float("nan")
