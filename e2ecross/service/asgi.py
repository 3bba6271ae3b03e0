# SPDX-License-Identifier: Apache-2.0
"""The relay as an ASGI application: `create_app(Relay("relay.db"))`.

Rules:
- The loop touches no file: all that asks the relay runs in `Workers`.
- It knows of no configuration but its arguments; `serving.py` listens.

Source: docs/service.md.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final

from e2ecross.address import Address
from e2ecross.arguments import require_callable, require_type
from e2ecross.errors import InvalidArgument
from e2ecross.relay import Relay
from e2ecross.service.extras import missing_extra
from e2ecross.service.limits import Rates, ServiceLimits
from e2ecross.service.mail_bell import MailBell
from e2ecross.service.request_log import RequestLog

try:
    from starlette.applications import Starlette
    from starlette.routing import Route
except ImportError as error:
    raise missing_extra(__name__, "server") from error

from e2ecross.service.answering import CallEndpoint, NothingHere, Service
from e2ecross.service.calls import SERVED
from e2ecross.service.doorkeeper import Doorkeeper
from e2ecross.service.exchange import BodyBudget
from e2ecross.service.health import Alive, Ready
from e2ecross.service.mail_watch import MailWatch
from e2ecross.service.noting import Notes
from e2ecross.service.workers import Workers

if TYPE_CHECKING:
    from e2ecross.service.metrics import Metrics

__all__ = ["create_app", "stop"]

_DEFAULT_LIMITS: Final = ServiceLimits()
_DEFAULT_RATES: Final = Rates()


def create_app(
    relay: Relay,
    *,
    limits: ServiceLimits = _DEFAULT_LIMITS,
    rates: Callable[[Address], Rates] = lambda address: _DEFAULT_RATES,
    metrics: "Metrics | None" = None,
    log: RequestLog | None = None,
) -> Starlette:
    """Return the service, for any ASGI server; over a file in one process: SQLite has one writer.

    Args:
        relay: the back end; it is closed by whoever has opened it, after the service has ended. Its
            `bell` becomes that of the service.
        limits: how much is taken from whom.
        rates: how much a device may ask, for example more for a business.
        metrics: counts what is done.
        log: gets a line for each request; not closed here.

    Raises:
        InvalidArgument: an argument has the wrong type, or the relay has another bell.
    """
    require_type("relay", relay, Relay)
    require_type("limits", limits, ServiceLimits)
    require_callable("rates", rates)
    if relay.bell is None:
        relay.bell = MailBell(limits)
    bell = relay.bell
    if not isinstance(bell, MailBell):
        raise InvalidArgument("relay must have no bell of its own")
    workers = Workers(limits.writer_queue, limits.uploads)
    door, bodies = Doorkeeper(limits, rates), BodyBudget(limits.body_bytes)
    pieces, answers = BodyBudget(limits.body_bytes // 2, bodies), BodyBudget(limits.answer_bytes)
    service = Service(relay, door, workers, bell, bodies, pieces, answers, Notes(metrics, log))
    if metrics is not None:
        metrics.watch(relay, lambda: len(bell), lambda: workers.queue)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        watch = None
        if relay.is_shared:
            watch = asyncio.create_task(MailWatch(relay, workers, bell).run())
        yield
        bell.stop()
        if watch is not None:
            watch.cancel()
        workers.close()

    calls = [Route(f"/v1/{name}", CallEndpoint(name, service)) for name in SERVED]
    app = Starlette(
        routes=[
            *calls,
            Route("/healthz", Alive()),
            Route("/readyz", Ready(relay, workers, bell)),
        ],
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.router.default = NothingHere(service)
    app.state.bell = bell
    return app


def stop(app: Starlette) -> None:
    """Wake all calls that wait; `/readyz` says 503 from now on. In the loop of the service."""
    bell: MailBell = app.state.bell
    bell.stop()
