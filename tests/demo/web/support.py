# SPDX-License-Identifier: Apache-2.0
"""The page of the demo in a process of its own, asked as a browser asks it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from tests.cli.support import Ended

__all__ = ["Answered", "RunningPage"]

Event = dict[str, Any]
_ROOT: Final = Path(__file__).parents[3]
_SECONDS: Final = 60.0
_END_SECONDS: Final = 30.0


class Answered(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


class RunningPage:
    """`python -m e2ecross demo --web`; a context manager that ends it.

    Args:
        folder: where it puts its own.
        browser: the command that it is opened with (`BROWSER`); None: `--no-browser`.
    """

    def __init__(self, folder: Path, *, browser: str | None = None) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "e2ecross", "demo", "--web"]
        env = {**os.environ, "PYTHONPATH": str(_ROOT), "TMPDIR": str(folder)}
        self.process = subprocess.Popen(
            command + ["--no-browser"] * (browser is None),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env if browser is None else {**env, "BROWSER": browser},
            encoding="utf-8",
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        self.url = self.line.removeprefix("open ").strip()
        self.port = int(self.url.split(":")[2].split("/")[0])
        self.token = self.url.split("/")[3]
        self.events: list[Event] = []
        self.numbers: list[int] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGTERM)

    def end(self, number: signal.Signals) -> Ended:
        """Send it a signal; return how it has ended."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=_END_SECONDS)
        self._reader.join(timeout=_END_SECONDS)
        return Ended(self.process.returncode, out, err)

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answered:
        """Ask for anything below the port, with any headers; by default as a browser does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_SECONDS)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answered(response.status, response.headers, response.read())
        finally:
            connection.close()

    def post(self, body: bytes, **headers: str) -> Answered:
        """Ask for something to be done, in bytes."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        type_ = {"Content-Type": "application/json"}
        return self.ask(f"/{self.token}/do", method="POST", headers={**type_, **given}, body=body)

    def do(self, **asked: object) -> dict[str, Any]:
        """Ask for an action; return the answer."""
        answered = self.post(json.dumps(asked).encode())
        assert answered.status == 200, answered
        answer = json.loads(answered.body)
        assert isinstance(answer, dict)
        return answer

    def done(self, **asked: object) -> dict[str, Any]:
        """The same, of what must be possible."""
        answer = self.do(**asked)
        assert answer["ok"] is True, answer
        return answer

    def refused(self, **asked: object) -> str:
        """The same, of what is not; returns the sentence."""
        answer = self.do(**asked)
        assert answer["ok"] is False, answer
        return str(answer["error"])

    def wait(
        self, wanted: Callable[[Event], bool] = bool, /, after: int = 0, **like: object
    ) -> Event:
        """Wait for the first event that is like that."""
        ends = time.monotonic() + _SECONDS
        with self._changed:
            while True:
                for event in self.events[after:]:
                    if like.items() <= event.items() and wanted(event):
                        return event
                left = ends - time.monotonic()
                assert left > 0, f"no such event: {like}, but {self.events[-20:]}"
                assert self.process.poll() is None, "the page has ended"
                self._changed.wait(min(left, 1.0))

    def say(self, phone: str, chat: str, text: str) -> Event:
        """Let somebody write; return what their phone shows of it."""
        after = len(self.events)
        self.done(action="send", phone=phone, chat=chat, text=text)
        return self.wait(after=after, type="message", phone=phone, chat=chat, text=text)

    def attack(self, name: str) -> Event:
        """Let the back end attack; return how it ended."""
        number = self.done(action="attack", name=name)["number"]
        assert self.wait(type="attack", number=number)["state"] == "running"
        return self.wait(type="attack", number=number, state="done")

    def _listen(self) -> None:
        try:
            with urllib.request.urlopen(f"{self.url}events", timeout=_SECONDS) as stream:  # noqa: S310
                number = 0
                for line in stream:
                    if line.startswith(b"id: "):
                        number = int(line[4:])
                    if line.startswith(b"data: "):
                        with self._changed:
                            self.numbers.append(number)
                            self.events.append(json.loads(line[6:]))
                            self._changed.notify_all()
        except (OSError, http.client.HTTPException):
            return  # the page has ended
