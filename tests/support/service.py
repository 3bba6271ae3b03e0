# SPDX-License-Identifier: Apache-2.0
"""The service in a thread of the test, on a free port of this machine.

with Relay(path) as relay, LiveService(relay) as service:
    backend = HTTPBackend(service.url)
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import pytest

from e2ecross.address import Address
from e2ecross.relay import Relay
from e2ecross.service.limits import Rates, ServiceLimits

if TYPE_CHECKING:
    from e2ecross.service.metrics import Metrics
    from e2ecross.service.request_log import RequestLog

__all__ = ["NO_LIMITS", "NO_RATES", "LiveApp", "LiveService", "no_rates", "require_extras"]

_MANY: Final = 2**31
NO_LIMITS: Final = ServiceLimits(
    failures_per_minute=_MANY,
    open_per_second=_MANY,
    open_burst=_MANY,
    register_per_second=_MANY,
    register_burst=_MANY,
)
NO_RATES: Final = Rates(_MANY, _MANY, _MANY, _MANY)


def require_extras(*others: str) -> None:
    """Skip where the extras `server` and `http` are not installed; in CI that is a failure.

    Args:
        others: other packages that are needed.
    """
    wanted = ("starlette", "uvicorn", "prometheus_client", "urllib3", *others)
    missing = [name for name in wanted if find_spec(name) is None]
    if missing:
        why = f"{', '.join(missing)}: not installed (pip install -e '.[dev]')"
        if os.environ.get("E2ECROSS_REQUIRE_INTEROP") == "1":
            pytest.fail(why)
        pytest.skip(why, allow_module_level=True)


def no_rates(address: Address) -> Rates:
    return NO_RATES


class LiveApp:
    """An application at uvicorn in a thread; a context manager that leaves nothing behind."""

    def __init__(self, app: Any, *, port: int = 0, **config: Any) -> None:  # noqa: ANN401
        import uvicorn

        from e2ecross.service.serving import Listening, bind

        self.app = app
        self._socket, _ = bind(Listening(port=port))
        self.port: int = self._socket.getsockname()[1]
        scheme = "https" if "ssl_certfile" in config else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        settings = {"log_config": None, "access_log": False, "lifespan": "on", "ws": "none"}
        self._server = uvicorn.Server(uvicorn.Config(app, **{**settings, **config}))
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._server.server_state.connections)

    def in_loop(self, work: Callable[..., object], *arguments: object) -> None:
        """Do something in the loop of the application, soon."""
        with contextlib.suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(work, *arguments)

    def _run(self) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            serving = asyncio.ensure_future(self._server.serve([self._socket]))
            while not self._server.started and not serving.done():
                await asyncio.sleep(0.001)
            self._ready.set()
            await serving

        asyncio.run(main())

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self._socket.close()
        assert not self._thread.is_alive()


class LiveService(LiveApp):
    """The service of a relay."""

    def __init__(
        self,
        relay: Relay,
        *,
        limits: ServiceLimits = NO_LIMITS,
        rates: Callable[[Address], Rates] = no_rates,
        metrics: "Metrics | None" = None,
        log: "RequestLog | None" = None,
        port: int = 0,
        **config: Any,  # noqa: ANN401
    ) -> None:
        from e2ecross.service.asgi import create_app

        app = create_app(relay, limits=limits, rates=rates, metrics=metrics, log=log)
        super().__init__(app, port=port, **config)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        from e2ecross.service.asgi import stop

        self.in_loop(stop, self.app)
        super().__exit__(kind, error, traceback)
