# SPDX-License-Identifier: Apache-2.0
"""Every usual way to end a demo from outside ends it as Ctrl-C does: it cleans up, once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

__all__ = ["ended_like_interrupted", "ending_signals"]

_NAMES: Final = ("SIGINT", "SIGTERM", "SIGHUP")
"""Ctrl-C, a service manager, a terminal that is closed; not all are everywhere."""


def ending_signals() -> list[signal.Signals]:
    """Return which signals end a demo; under `nohup` a closed terminal is to end nothing."""
    signals = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    return [
        each
        for each in signals
        if each is signal.SIGINT or signal.getsignal(each) is not signal.SIG_IGN
    ]


@contextmanager
def ended_like_interrupted() -> Iterator[None]:
    """Let every usual way to end a program clean up, once, and undisturbed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = ending_signals()

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
