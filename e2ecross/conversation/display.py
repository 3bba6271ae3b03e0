# SPDX-License-Identifier: Apache-2.0
"""`display_text`: text of somebody else, fit to stand between the app's own.

Rules:
- Marks that turn the direction of text end where the text does, line by line: what an app shows
  beside it is not turned. Nor does a text end what the app has begun around it.
"""

import re
from typing import Final

from e2ecross.arguments import require_type

__all__ = ["display_text"]

_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_PARAGRAPHS: Final = re.compile("([\n\u2029])")
_MARKS: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
_EMBEDDINGS: Final = frozenset("\u202a\u202b\u202d\u202e")
_END_OF_EMBEDDING: Final = "\u202c"
_END_OF_ISOLATE: Final = "\u2069"


def display_text(text: str) -> str:
    """Return a text without what could change the text around it.

    Controls (U+0000 to U+001F, U+007F to U+009F) are left out, but for line feed and tab. Marks of
    direction that are left open are closed at the end of their line; those that close nothing are
    left out.

    Raises:
        InvalidArgument: not a string.
    """
    require_type("text", text, str)
    return "".join(_balanced(line) for line in _PARAGRAPHS.split(_CONTROLS.sub("", text)))


def _balanced(line: str) -> str:
    levels = [0]  # embeddings that are open: in none of the isolates that are open, in each of them
    balanced = _MARKS.sub(lambda found: _kept(found[0], levels), line)
    return balanced + _END_OF_ISOLATE.join(_END_OF_EMBEDDING * open_ for open_ in reversed(levels))


def _kept(mark: str, levels: list[int]) -> str:
    if mark in _EMBEDDINGS:
        levels[-1] += 1
    elif mark == _END_OF_EMBEDDING:
        if not levels[-1]:  # nothing is open, or an isolate, which this does not end
            return ""
        levels[-1] -= 1
    elif mark == _END_OF_ISOLATE:
        if len(levels) == 1:
            return ""
        levels.pop()  # it ends embeddings in it as well
    else:
        levels.append(0)
    return mark
