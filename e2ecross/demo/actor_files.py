# SPDX-License-Identifier: Apache-2.0
"""What an app of the demo does with files: it uploads and downloads them, with interruptions."""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from e2ecross.client.uploads import Upload
from e2ecross.demo.app import App, Direction
from e2ecross.errors import AttachmentCorrupted, LocalError
from e2ecross.state.inbox import InboxItem
from e2ecross.state.message import Message
from e2ecross.wire.content import Media

__all__ = ["FILE_DIRECTIONS", "find_upload", "note_attachments"]


class _Interrupted(Exception):
    """The way to the back end was lost."""


class _Way:
    """Sees how a file comes along, and is lost once so many bytes are there."""

    def __init__(self, lost_at: int | None) -> None:
        self._lost_at = lost_at
        self.first: int | None = None

    def __call__(self, done: int, total: int) -> None:
        if self.first is None:
            self.first = done
        if self._lost_at is not None and done >= self._lost_at:
            raise _Interrupted


def find_upload(app: App) -> Upload:
    """Return the one file that this app uploads, also if another process has begun.

    Raises:
        LocalError: there is none.
    """
    for upload in app.client.uploads():
        return upload
    raise LocalError("there is nothing to upload")


def note_attachments(app: App, items: Iterable[InboxItem]) -> None:
    """Keep what messages carry, to be fetched."""
    for item in items:
        if isinstance(item, Message) and isinstance(item.content, Media):
            app.attachments[item.message_id.hex()] = item.content.attachment


def _begin_upload(app: App, direction: Direction) -> Direction:
    name = direction["file"]
    app.client.upload(os.path.join(app.folder, name), media_type="image/png", name=name)
    return _upload(app, int(direction["lost_at"]))


def _go_on_uploading(app: App, direction: Direction) -> Direction:
    return _upload(app, None)


def _upload(app: App, lost_at: int | None) -> Direction:
    upload, way = find_upload(app), _Way(lost_at)
    with suppress(_Interrupted):
        upload.run(way)
    return {"complete": upload.complete, "first": way.first}


def _download(app: App, direction: Direction) -> Direction:
    attachment = app.attachments[direction["message_id"]]
    path = Path(app.folder, direction["file"])
    way = _Way(int(direction["lost_at"]) if "lost_at" in direction else None)
    refused: Direction | None = None
    try:
        with suppress(_Interrupted):
            app.client.download(attachment, path, way)
    except AttachmentCorrupted as error:
        refused = {"type": type(error).__name__, "code": error.code, "message": str(error)}
    return {"complete": path.exists(), "first": way.first, "refused": refused}


FILE_DIRECTIONS: Final[Mapping[str, Callable[[App, Direction], Direction]]] = {
    "begin_upload": _begin_upload,
    "go_on_uploading": _go_on_uploading,
    "download": _download,
}
