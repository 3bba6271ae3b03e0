# SPDX-License-Identifier: Apache-2.0
"""Listening for the service, until a signal ends it.

Rules:
- What is answered was committed, so nothing is lost whenever the process ends.
- The first SIGTERM or SIGINT wakes the calls that wait for mail, takes no new connections and lets
  calls that run have ten seconds; the second ends it at once.
- uvicorn logs no requests (they would name IP addresses); neither it nor the loop nor the driver of
  the database logs the text of an exception.

Source: docs/service.md, running it.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import stat
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from e2ecross.service.extras import missing_extra
from e2ecross.service.limits import ServiceLimits
from e2ecross.service.request_log import RequestLog, WithoutText

try:
    import uvicorn
except ImportError as error:
    raise missing_extra(__name__, "server") from error

from e2ecross.service.asgi import stop
from e2ecross.service.exchange import Receive, Scope, Send
from e2ecross.service.served_connection import ServedConnection

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["Listening", "bind", "quietly", "serve"]

_GRACE_SECONDS: Final = 10
_KEEP_ALIVE_SECONDS: Final = 75
"""Longer than a client waits for mail, so that its connections are kept."""
_BACKLOG: Final = 2048
_OTHER_FILES: Final = 256
_LOGGERS: Final = ("uvicorn.error", "asyncio", "psycopg", "e2ecross.relay")
_App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Listening:
    """How the service listens.

    Attributes:
        host: a name or an IP address; empty for a socket of the file system.
        port: 0 to 65,535; 0: any that is free.
        path: of a socket of the file system; or empty.
        certificate: a file with the certificates of TLS, in PEM; empty: none.
        key: a file with the private key of the first of them, in PEM.
        proxies: IP addresses of proxies that are believed who asks.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    path: str = ""
    certificate: str = ""
    key: str = ""
    proxies: tuple[str, ...] = ()


def bind(listening: Listening) -> tuple[socket.socket, str]:
    """Return a socket that listens, and the address that is told of it.

    Raises:
        OSError: it cannot be listened there.
    """
    if listening.path:
        return _bind_path(listening.path), f"unix:{listening.path}"
    family = socket.AF_INET6 if ":" in listening.host else socket.AF_INET
    # TCP is named, or asyncio would not know to send small answers at once (TCP_NODELAY).
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere it would let two processes listen
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((listening.host, listening.port))
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    host = f"[{listening.host}]" if ":" in listening.host else listening.host
    scheme = "https" if listening.certificate else "http"
    return bound, f"{scheme}://{host}:{bound.getsockname()[1]}"


def serve(
    app: "Starlette",
    bound: socket.socket,
    listening: Listening,
    *,
    limits: ServiceLimits,
    ready: Callable[[], None],
    log: RequestLog | None = None,
) -> None:
    """Serve until a signal ends it; in the main thread.

    Args:
        app: from `create_app`.
        bound: from `bind`; closed at the end.
        listening: how.
        limits: of connections.
        ready: called when requests are answered.
        log: gets what uvicorn has to say, without texts of exceptions.

    Raises:
        OSError: certificate or key cannot be read, or do not belong together.
    """
    config = uvicorn.Config(
        app,
        http=ServedConnection,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="on",
        backlog=_BACKLOG,
        limit_concurrency=limits.connections,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        ssl_certfile=listening.certificate or None,
        ssl_keyfile=listening.key or None,
        proxy_headers=bool(listening.proxies),
        forwarded_allow_ips=[*listening.proxies, *_as_ipv6(listening.proxies)],
    )
    _allow_files(limits.connections)
    with quietly(log), contextlib.closing(bound):
        try:
            config.load()
        except OSError as error:
            files = f"{listening.certificate} and {listening.key}"
            raise OSError(f"TLS with {files}: {error.strerror or error}") from error
        if listening.path and listening.proxies:
            config.loaded_app = _coming_from(listening.proxies[0], config.loaded_app)
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            runner.run(_run(_Server(config, app, ready), bound))


def _allow_files(connections: int) -> None:
    """Let so many connections be open, as far as the system does: many begin with 1,024 files."""
    try:
        import resource
    except ImportError:  # Windows, which has no such bound
        return
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if most != resource.RLIM_INFINITY:
        wanted = min(wanted, most)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS has another bound, which it hides
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _as_ipv6(addresses: Sequence[str]) -> list[str]:
    """Return how IPv4 addresses are shown by a socket that listens for IPv6, too."""
    return [f"::ffff:{address}" for address in addresses if ":" not in address]


def _coming_from(host: str, app: _App) -> _App:
    """Let all come from a proxy: who asks through a socket of the file system has no address."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["client"] = (host, 0)
        await app(scope, receive, send)

    return call


class _Server(uvicorn.Server):
    """uvicorn, which leaves signals to us: its own end the process by the signal again."""

    def __init__(self, config: uvicorn.Config, app: "Starlette", ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._app = app
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    def end(self) -> None:
        """End when what runs has been answered; at once the second time."""
        if self.should_exit:
            self.force_exit = True
        stop(self._app)
        self.should_exit = True


def _new_loop() -> asyncio.AbstractEventLoop:
    """Return a loop; that of uvloop, where it is installed: it takes half the time."""
    try:
        import uvloop
    except ImportError:  # Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _run(server: _Server, bound: socket.socket) -> None:
    loop = asyncio.get_running_loop()

    def end(number: int, frame: object) -> None:
        loop.call_soon_threadsafe(server.end)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        await server.serve([bound])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _bind_path(path: str) -> socket.socket:
    """Listen at a path; a socket there that nobody listens at any more is replaced."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.stat(path).st_mode) and not _is_listened_at(path):
            os.unlink(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(path)
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def _is_listened_at(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        return other.connect_ex(path) == 0


class _ToLog(logging.Handler):
    """Puts what others say into the log of requests."""

    def __init__(self, log: RequestLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.note(server=record.getMessage())


@contextlib.contextmanager
def quietly(log: RequestLog | None) -> Iterator[None]:
    """Let what uvicorn and the loop log go nowhere but there, without what exceptions say."""
    handler: logging.Handler = logging.NullHandler() if log is None else _ToLog(log)
    handler.addFilter(WithoutText())
    with contextlib.ExitStack() as stack:
        for name in _LOGGERS:
            logger = logging.getLogger(name)
            stack.callback(setattr, logger, "propagate", logger.propagate)
            stack.callback(logger.setLevel, logger.level)
            stack.callback(logger.removeHandler, handler)
            logger.propagate = False
            logger.setLevel(logging.WARNING)
            logger.addHandler(handler)
        yield
