# SPDX-License-Identifier: Apache-2.0
"""Every usual way to end a demo from outside ends it as Ctrl-C does: it cleans up, once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

__all__ = ["SIGNALS", "ended_like_interrupted"]

SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")
"""Their names: Ctrl-C, a service manager, a terminal that is closed; not all are everywhere."""


@contextmanager
def ended_like_interrupted() -> Iterator[None]:
    """Let every usual way to end a program clean up, once, and undisturbed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]

    def interrupt(*_: object) -> NoReturn:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = [(each, signal.signal(each, interrupt)) for each in signals]
    try:
        yield
    finally:
        for each, handler in before:
            signal.signal(each, handler)
