# SPDX-License-Identifier: Apache-2.0
"""Lines of what `e2ecross inspect` says: values beside labels, long ones cut, times in words."""

import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["WIDTH", "cut", "line", "time_of"]

WIDTH: Final = 78
"""Of a line, at most."""
_LABEL_WIDTH: Final = 20
_SHOWN_HEX_BYTES: Final = 64
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def line(label: str, *texts: str) -> Iterator[str]:
    """A labelled value, each text wrapped under the label's column."""
    for text in texts:
        first = f"  {label:<{_LABEL_WIDTH}}"
        lines = textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=" " * len(first))
        yield from lines or [first.rstrip()]
        label = ""


def cut(value: str) -> tuple[str, str]:
    """How many bytes a hexadecimal value has, and as many of them as are shown."""
    shown = value[: 2 * _SHOWN_HEX_BYTES]
    return f"{len(value) // 2} bytes:", shown + (" ..." if len(value) > len(shown) else "")


def time_of(at_ms: int, clock: str) -> str:
    """A time in words; any number, also of a clock that was wrong. Told is whose clock it was."""
    try:
        at = _EPOCH + timedelta(milliseconds=at_ms)
    except OverflowError:
        return f"{at_ms} ms after 1970 (by the clock of {clock})"
    return f"{at:%Y-%m-%d %H:%M:%S} UTC (by the clock of {clock})"
