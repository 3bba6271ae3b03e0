# SPDX-License-Identifier: Apache-2.0
"""A blob store that is watched, and fails when told to.

blobs = WatchedBlobs(FolderBlobs(folder))
blobs.fail("put_blob", BackendError("away"), after=2)
blobs.calls  # [("begin_blob", …), …]
"""

from collections.abc import Callable
from typing import NamedTuple

from e2ecross import Address
from e2ecross.client.blob_store import BlobStore

__all__ = ["BlobCall", "WatchedBlobs"]


class BlobCall(NamedTuple):
    """One call: its name, the blob, and its numbers: a size, or an offset and a length."""

    name: str
    blob_id: bytes
    numbers: tuple[int, ...]


class WatchedBlobs:
    """Another blob store, whose calls are noted."""

    def __init__(self, inner: BlobStore) -> None:
        self.inner = inner
        self.calls: list[BlobCall] = []
        self._failures: dict[str, tuple[int, Exception]] = {}
        self._answers: dict[str, object] = {}
        self.before_put: Callable[[], None] = lambda: None

    def fail(self, name: str, error: Exception, after: int = 0) -> None:
        """Let one call of that name fail, after so many that do not."""
        self._failures[name] = (after, error)

    def answer(self, name: str, answer: object) -> None:
        """Let calls of that name do nothing and answer so; an exception ends it."""
        self._answers[name] = answer

    def honest(self) -> None:
        """Answer as the other store does again."""
        self._answers.clear()

    def names(self) -> list[str]:
        """The names of the calls since the last time."""
        names = [call.name for call in self.calls]
        self.calls.clear()
        return names

    def begin_blob(self, address: Address, token: bytes, blob_id: bytes, size: int) -> int:
        answer = self._note(BlobCall("begin_blob", blob_id, (size,)))
        return answer or self.inner.begin_blob(address, token, blob_id, size)  # type: ignore[return-value]

    def put_blob(
        self, address: Address, token: bytes, blob_id: bytes, offset: int, data: bytes
    ) -> int:
        self.before_put()
        answer = self._note(BlobCall("put_blob", blob_id, (offset, len(data))))
        return answer or self.inner.put_blob(address, token, blob_id, offset, data)  # type: ignore[return-value]

    def get_blob(self, blob_id: bytes, offset: int, length: int) -> bytes:
        answer = self._note(BlobCall("get_blob", blob_id, (offset, length)))
        return answer or self.inner.get_blob(blob_id, offset, length)  # type: ignore[return-value]

    def delete_blob(self, address: Address, token: bytes, blob_id: bytes) -> None:
        answer = self._note(BlobCall("delete_blob", blob_id, ()))
        return answer or self.inner.delete_blob(address, token, blob_id)  # type: ignore[return-value, func-returns-value]

    def _note(self, call: BlobCall) -> object:
        self.calls.append(call)
        left, error = self._failures.get(call.name, (1, None))
        if error is not None:
            if not left:
                del self._failures[call.name]
                raise error
            self._failures[call.name] = (left - 1, error)
        return self._answers.get(call.name)
