# SPDX-License-Identifier: Apache-2.0
"""The pictures that phones of the page have sent, or fetched and opened.

Rules:
- What is none by its first bytes is shown to nobody, whatever a message says of it.
- The newest 100 are kept.
"""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["MAX_PICTURE_BYTES", "Picture", "Pictures", "picture_type"]

MAX_PICTURE_BYTES: Final = 1024 * 1024
_MOST: Final = 100
_STARTS: Final[Mapping[bytes, str]] = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
_RIFF: Final = b"RIFF"
_WEBP: Final = b"WEBP"
_WEBP_AT: Final = 8


class Picture(NamedTuple):
    """A picture, and of which type it is."""

    media_type: str
    data: bytes


class Pictures:
    """Those of one run; for several threads."""

    def __init__(self) -> None:
        self._paths: OrderedDict[str, Path] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, path: Path) -> str | None:
        """Take in a file; return the name that it is found by, or None: it is no picture."""
        if self._read(path) is None:
            return None
        name = secrets.token_urlsafe(12)
        with self._lock:
            self._paths[name] = path
            over = self._paths.popitem(last=False)[1] if len(self._paths) > _MOST else None
            if over is not None and over not in self._paths.values():
                over.unlink(missing_ok=True)
        return name

    def find(self, name: str) -> Picture | None:
        """Return a picture; None: there is none of that name any more."""
        with self._lock:
            path = self._paths.get(name)
        return None if path is None else self._read(path)

    def _read(self, path: Path) -> Picture | None:
        try:
            with path.open("rb") as file:
                data = file.read(MAX_PICTURE_BYTES + 1)
        except OSError:
            return None
        media_type = picture_type(data)
        if media_type is None or len(data) > MAX_PICTURE_BYTES:
            return None
        return Picture(media_type, data)


def picture_type(data: bytes) -> str | None:
    """Return the type of a picture by its first bytes; None: it is none that is shown."""
    if data[:4] == _RIFF and data[_WEBP_AT : _WEBP_AT + 4] == _WEBP:
        return "image/webp"
    return next((name for start, name in _STARTS.items() if data.startswith(start)), None)
