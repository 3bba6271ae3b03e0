# SPDX-License-Identifier: Apache-2.0
"""`e2ecross demo --step`: one key of the keyboard goes on to what comes next.

Rules:
- Any key counts, once: what was typed before it was asked for does not.
- The terminal is left as it was found, also after Ctrl-C, which ends the demo as it always does.
"""

import os
import sys
import time
from typing import Final

from e2ecross.demo.people import DemoFailed

__all__ = ["Step", "can_step"]

_MOST_BYTES: Final = 64
"""Of one key: an arrow is several bytes, and no second key."""


def can_step() -> bool:
    """Tell whether there is somebody to press a key: stdin is a terminal."""
    return sys.stdin is not None and sys.stdin.isatty()


class Step:
    """Waits for a key, if that is wanted.

    Args:
        wanted: whether; else `wait` returns at once.

    Attributes:
        waited: for how long in all, seconds.
    """

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self.waited = 0.0

    def wait(self, what: str) -> None:
        """Say what comes next, and wait until a key is pressed.

        Raises:
            DemoFailed: the terminal has gone.
        """
        if not self._wanted:
            return
        prompt = f"-- Enter, or any key: {what} (Ctrl-C ends) "
        began = time.monotonic()
        sys.stdout.flush()
        print(prompt, end="", file=sys.stderr, flush=True)
        try:
            pressed = _read_key()
        finally:
            print(f"\r{' ' * len(prompt)}\r", end="", file=sys.stderr, flush=True)
        self.waited += time.monotonic() - began
        if not pressed:
            raise DemoFailed("the terminal has gone, and nobody can press a key")


def _read_key() -> bytes:
    if sys.platform == "win32":
        import msvcrt

        key = msvcrt.getwch()
        if key == "\x03":
            raise KeyboardInterrupt
        return key.encode(errors="replace")
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal, termios.TCSAFLUSH)  # Ctrl-C is still a signal
        return os.read(terminal, _MOST_BYTES)
    except OSError:
        return b""
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
