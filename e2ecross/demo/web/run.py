# SPDX-License-Identifier: Apache-2.0
"""`e2ecross demo --web`: the phones, their back end and the page, until a signal ends them.

Rules:
- The back end and the page are two services in one loop, on two ports of this machine alone.
- SIGINT, SIGTERM and SIGHUP end everything, with exit code 130: no process, file or port is left.
- The token of the page is in no argument of a process: other users of the machine see those. The
  browser is given a file of ours, which leads to the page.
"""

import asyncio
import contextlib
import importlib
import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from e2ecross.demo.ending import ending_signals
from e2ecross.demo.people import DemoFailed
from e2ecross.errors import E2ECrossError

__all__ = ["run_web_demo"]

_INTERRUPTED: Final = 130
_TOKEN_BYTES: Final = 24  # 32 characters
_WAY: Final = """\
<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={url}">
<title>e2ecross</title>
<p><a href="{url}">The page of the demo</a></p>
"""
_NEEDED: Final = (
    *("segno", "e2ecross.service.serving", "e2ecross.service.served_connection"),
    "e2ecross.service.http_backend",
)


def run_web_demo(*, port: int = 0, browser: bool = True) -> int:
    """Serve the page until a signal ends it.

    Args:
        port: of the page; 0: any that is free.
        browser: whether to open it in one.

    Returns:
        The exit code: 130 after a signal; 1 where something does not work, stderr tells what.
    """
    ending = _Ending()
    try:
        with ending.signals():
            _require_extras()
            _serve(port, ending, browser=browser)
    except (DemoFailed, E2ECrossError, OSError) as error:
        if isinstance(error, BrokenPipeError):  # whoever read our output has left
            raise
        if not ending.is_set():
            why = (
                str(error) if isinstance(error, DemoFailed) else f"{type(error).__name__}: {error}"
            )
            print(f"e2ecross demo: failed: {why}", file=sys.stderr)
            return 1
    return _INTERRUPTED


def _require_extras() -> None:
    """Import what it needs.

    Raises:
        DemoFailed: an extra is missing; it names what to install.
    """
    try:
        for name in _NEEDED:
            importlib.import_module(name)
    except ImportError as error:
        raise DemoFailed(
            "the page needs the extra demo: install it with  pip install 'e2ecross[demo]'"
        ) from error


class _Ending:
    """Whether a signal has come; the loop that runs hears of it."""

    def __init__(self) -> None:
        self._came = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._event = asyncio.Event()

    def is_set(self) -> bool:
        """Whether one has come."""
        return self._came.is_set()

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Listen to signals as long as the block runs."""
        before = {number: signal.signal(number, self._come) for number in ending_signals()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _come(self, number: int, frame: object) -> None:
        self._came.set()
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed
                self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        """Wait for one, in the running loop."""
        self._loop = asyncio.get_running_loop()
        if self._came.is_set():
            self._event.set()
        await self._event.wait()


def _serve(port: int, ending: _Ending, *, browser: bool) -> None:
    from e2ecross.demo.web.serving import Serving
    from e2ecross.service.serving import quietly

    token = secrets.token_urlsafe(_TOKEN_BYTES)
    with contextlib.ExitStack() as stack:
        stack.enter_context(quietly(None))
        page, back_end = (
            stack.enter_context(contextlib.closing(_bind(each))) for each in (port, 0)
        )
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="e2ecross-demo-page-"))
        )
        serving = stack.enter_context(Serving(folder, token, page, back_end))
        with asyncio.Runner() as runner:
            way = folder / "open.html" if browser else None
            runner.run(serving.run(lambda url: _announce(url, way), ending.wait()))


def _bind(port: int) -> socket.socket:
    from e2ecross.service.serving import Listening, bind

    try:
        return bind(Listening(port=port))[0]
    except OSError as error:
        raise DemoFailed(f"port {port} cannot be used: {error.strerror or error}") from error


def _announce(url: str, way: Path | None) -> None:
    """Say where the page is, and open it by a file that is put there; None: not in a browser."""
    print(f"open {url}", flush=True)
    if way is not None:
        os.close(os.open(way, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        way.write_text(_WAY.format(url=url), "utf-8")
        # In a thread: one that runs in a terminal takes as long as it is open.
        threading.Thread(target=webbrowser.open, args=(way.as_uri(),), daemon=True).start()
