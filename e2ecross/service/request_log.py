# SPDX-License-Identifier: Apache-2.0
"""The log of requests: one JSON object a line.

Rules:
- Never in it: a token, a credential, a body, an address, an IP, a query, a header. Who asked is a
  number that is drawn anew with each start.
- Lines are written by a thread of their own. If what they are written to stands still, lines are
  dropped, and how many is said afterwards.
- Of an exception only its class and its place are kept: its text may hold anything.
"""

import hashlib
import hmac
import json
import logging
import os
import threading
import time
import traceback
from collections import deque
from datetime import UTC, datetime
from typing import Final, TextIO

from e2ecross.address import Address

__all__ = ["RequestLog", "WithoutText", "place_of"]

_MOST_LINES: Final = 10_000
_CLOSING_SECONDS: Final = 5.0
_EVERY_SECONDS: Final = 0.2


class RequestLog:
    """Writes lines to a stream; `close` writes those that are left.

    Args:
        stream: open for text; not closed here.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._key = os.urandom(32)
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._write, name="request log", daemon=True)
        self._thread.start()

    def who(self, address: Address) -> str:
        """Return what stands for a device until the service ends: 8 hexadecimal digits."""
        return hmac.new(self._key, str(address).encode(), hashlib.sha256).hexdigest()[:8]

    def note(self, **facts: str | int | float | None) -> None:
        """Write a line, with the time; what is None is left out."""
        facts = {name: value for name, value in facts.items() if value is not None}
        now = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")
        if len(self._lines) < _MOST_LINES:
            self._lines.append(json.dumps({"time": now, **facts}))
        else:
            self._dropped += 1

    def close(self) -> None:
        """Write what is left, for a few seconds at most."""
        self._is_over.set()
        self._thread.join(_CLOSING_SECONDS)

    def _write(self) -> None:
        # It looks now and then: to be woken by each line would hold up who answers requests.
        while not self._is_over.wait(_EVERY_SECONDS):
            self._write_lines()
        self._write_lines()

    def _write_lines(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            lines.append(json.dumps({"lines_dropped": dropped}))
        if not lines:
            return
        try:
            self._stream.write("\n".join(lines) + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # a full disk, a pipe that nobody reads; or closed
            self._dropped += len(lines)


class WithoutText(logging.Filter):
    """Takes the text out of exceptions that another library logs: class and place are kept."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; always lets it pass."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            record.msg, record.args = f"{type(error).__name__} at {place_of(error)}", ()
        elif record.name.startswith("psycopg"):
            # What it says shows the server, and what that said.
            record.msg, record.args = "a connection to the database was lost, or not made", ()
        elif record.name == "asyncio" or "Traceback" in record.getMessage():
            # What the loop says shows sockets; or it is one that was made a text already.
            record.msg, record.args = "an exception", ()
        record.exc_info = record.exc_text = record.stack_info = None
        return True


def place_of(error: BaseException) -> str:
    """Return in which file and line an exception was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "?"
