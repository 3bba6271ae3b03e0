# SPDX-License-Identifier: Apache-2.0
"""A relay that is reached through a service: what it does as a `Backend` goes over real sockets.

One uvicorn serves all of them, each below a path of its own, as behind a proxy.
"""

import itertools
import os
from collections.abc import Callable
from functools import cache
from typing import Any, Final, Self

from starlette.types import ASGIApp, Receive, Scope, Send

from e2ecross.client.backend import Backend
from e2ecross.relay import Relay
from e2ecross.service import HTTPBackend
from e2ecross.service.asgi import create_app
from tests.support.service import NO_LIMITS, LiveApp, no_rates

__all__ = ["OverHTTP"]

_CALLS: Final = [name for name in vars(Backend) if not name.startswith("_")]
_numbers: Final = itertools.count()
_apps: Final[dict[str, ASGIApp]] = {}


async def _switchboard(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return
    _, name, rest = scope["path"].split("/", 2)
    await _apps[name]({**scope, "path": f"/{rest}", "raw_path": b""}, receive, send)


@cache
def _served() -> LiveApp:
    """The one uvicorn; it ends with the process."""
    return LiveApp(_switchboard, lifespan="off").__enter__()


class OverHTTP:
    """`Relay(...)` with a service before it; for tests that are written for a `Relay`."""

    def __init__(self, path: str | os.PathLike[str], **arguments: Any) -> None:  # noqa: ANN401
        self._relay = Relay(path, **arguments)
        self._name = f"relay{next(_numbers)}"
        app = create_app(self._relay, limits=NO_LIMITS, rates=no_rates)
        _apps[self._name] = app
        self._backend = HTTPBackend(f"{_served().url}/{self._name}")

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name in _CALLS:
            return self._unpaused(getattr(self._backend, name))
        return getattr(self._relay, name)

    def _unpaused(self, call: Callable[..., object]) -> Callable[..., object]:
        """A relay can be asked again at once; that a service cannot has its own tests."""
        self._backend._transport._paused_until = 0.0
        return call

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._backend.close()
        _apps.pop(self._name, None)
        self._relay.close()
