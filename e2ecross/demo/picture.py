# SPDX-License-Identifier: Apache-2.0
"""A text as a QR code in a terminal, with `segno`, which may be missing.

Two modules of the code are one character. Light ones are painted, as for a dark terminal; scanners
read it in a light one, too.
"""

import sys
from collections.abc import Iterator
from itertools import zip_longest
from typing import Final

__all__ = ["draw"]

_BORDER: Final = 4
"""Modules: as much as a code has to have around it."""
_PAINTED: Final = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}
_INSTALL: Final = "To see it as a picture: python -m pip install segno"
_NO_BLOCKS: Final = "This output has no characters to draw it as a picture. As text:"


def draw(text: str, width: int) -> Iterator[str]:
    """Yield the lines of a picture, or of the text where there can be none.

    Args:
        text: what a scanner reads.
        width: how many characters a line of text has at most.
    """
    try:
        import segno
    except ImportError:
        yield _INSTALL
        yield from _pieces(text, width)
        return
    if not _has_blocks():
        yield _NO_BLOCKS
        yield from _pieces(text, width)
        return
    code = segno.make_qr(text, error="l", boost_error=False)
    rows = [list(row) for row in code.matrix_iter(border=_BORDER)]
    for upper, lower in zip_longest(rows[::2], rows[1::2], fillvalue=[0] * len(rows)):
        yield "".join(_PAINTED[pair] for pair in zip(upper, lower, strict=True))


def _pieces(text: str, width: int) -> Iterator[str]:
    """Full lines: a code may have hyphens in it, and nobody should see a word end there."""
    return (text[start : start + width] for start in range(0, len(text), width))


def _has_blocks() -> bool:
    try:
        "".join(_PAINTED.values()).encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
