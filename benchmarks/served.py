# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.served DB`: the service as `e2ecross relay` runs it, to be measured.

It differs from that one in three things: nobody is asked to wait, `POST /empty` answers with
nothing by the same stack, and a commit can be made to take longer, as on a slower disk.
"""

import argparse
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from starlette.applications import Starlette
from starlette.routing import Route

from e2ecross.relay import Relay, RelayLimits
from e2ecross.relay.database import Connection, Lock
from e2ecross.service import Rates, ServiceLimits, create_app
from e2ecross.service.exchange import Receive, Scope, Send
from e2ecross.service.request_log import RequestLog
from e2ecross.service.serving import Listening, bind, serve

__all__ = ["EMPTY", "commit_slowly", "create_measured_app", "main"]

EMPTY: Final = "/empty"
_MANY: Final = 2**31
_RATES: Final = Rates(_MANY, _MANY, _MANY, _MANY)
_LIMITS: Final = ServiceLimits(register_per_second=_MANY, register_burst=_MANY)
_RELAY_LIMITS: Final = RelayLimits(mailbox_messages=_MANY)
T = TypeVar("T")


def commit_slowly(relay: Relay, ms: float) -> None:
    """Let each commit of a relay take so many milliseconds more: it sleeps just before it."""
    database = relay._database
    write = database.write

    def slowly(work: Callable[[Connection], T], *locked: Lock) -> T:
        def then_sleep(connection: Connection) -> T:
            done = work(connection)
            time.sleep(ms / 1000)
            return done

        return write(then_sleep, *locked)

    if ms:
        database.write = slowly  # type: ignore[method-assign]


def create_measured_app(relay: Relay, log: RequestLog | None = None) -> Starlette:
    """Return the service, with `POST /empty`."""
    app = create_app(relay, limits=_LIMITS, rates=lambda address: _RATES, log=log)
    app.router.routes.insert(0, Route(EMPTY, _Nothing(), methods=["POST"]))
    return app


class _Nothing:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def main() -> None:
    """Serve until a signal ends it; says where it listens."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.served", description=__doc__)
    parser.add_argument("db", type=Path, help="the relay's file")
    parser.add_argument("--commit-ms", type=float, default=0, help="how much longer a commit takes")
    given = parser.parse_args()
    listening = Listening(port=0)
    with contextlib.ExitStack() as stack:
        relay = stack.enter_context(Relay(given.db, limits=_RELAY_LIMITS))
        commit_slowly(relay, given.commit_ms)
        log = RequestLog(stack.enter_context(given.db.with_suffix(".log").open("a")))
        stack.callback(log.close)
        bound, place = bind(listening)
        serve(
            create_measured_app(relay, log),
            bound,
            listening,
            limits=_LIMITS,
            ready=lambda: print(f"listening on {place}", flush=True),
            log=log,
        )


if __name__ == "__main__":
    main()
