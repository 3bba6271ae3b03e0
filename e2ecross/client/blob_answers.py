# SPDX-License-Identifier: Apache-2.0
"""A blob store whose answers are checked: nothing that it returns is trusted.

Rules:
- A number is one that the call can have led to; what makes no headway is an error, so no loop goes
  on for ever.
- What was fetched is only bytes here: who reads them verifies them.
- An error keeps no token and no id of a blob, which is what allows to read it.
"""

import inspect
from typing import Final, NoReturn, SupportsIndex

from e2ecross.address import Address
from e2ecross.arguments import forgets_secrets, require_methods
from e2ecross.client.blob_store import BlobStore
from e2ecross.device.registering import Token
from e2ecross.errors import BackendError, InvalidArgument

__all__ = ["CheckedBlobs", "find_blobs"]

_METHODS: Final = [name for name in vars(BlobStore) if not name.startswith("_")]


class CheckedBlobs:
    """A blob store as `Client` uses it; made once for each client."""

    __slots__ = ("_blobs",)

    def __init__(self, blobs: BlobStore) -> None:
        """Use this store.

        Raises:
            InvalidArgument: it lacks a method, or has one that is a coroutine function.
        """
        require_methods("blobs", blobs, *_METHODS)
        for name in _METHODS:
            if inspect.iscoroutinefunction(getattr(blobs, name)):
                raise InvalidArgument(
                    f"blobs must be synchronous, and its {name} is a coroutine function"
                )
        self._blobs = blobs

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a CheckedBlobs belongs to its client and is not pickled or copied")

    @forgets_secrets
    def begin(self, address: Address, token: Token, blob_id: bytes, size: int) -> int:
        """See `BlobStore.begin_blob`: how many bytes are there, 0 to `size`."""
        answer = self._blobs.begin_blob(address, token.value, blob_id, size)
        return _count("begin_blob", answer, size)

    @forgets_secrets
    def put(
        self, address: Address, token: Token, blob_id: bytes, size: int, offset: int, data: bytes
    ) -> int:
        """See `BlobStore.put_blob`: how many bytes are there, more than before, up to `size`."""
        answer = self._blobs.put_blob(address, token.value, blob_id, offset, data)
        stored = _count("put_blob", answer, size)
        if stored <= offset:
            raise BackendError("the blob store has taken nothing of what it was given: try again")
        return stored

    @forgets_secrets
    def get(self, blob_id: bytes, offset: int, length: int) -> bytes:
        """See `BlobStore.get_blob`; how many bytes they are is not looked at."""
        answer: object = self._blobs.get_blob(blob_id, offset, length)
        if type(answer) is not bytes:
            raise _no_answer("get_blob", answer)
        return answer

    @forgets_secrets
    def delete(self, address: Address, token: Token, blob_id: bytes) -> None:
        """See `BlobStore.delete_blob`."""
        answer: object = self._blobs.delete_blob(address, token.value, blob_id)  # type: ignore[func-returns-value]
        if answer is not None:
            raise _no_answer("delete_blob", answer)


def find_blobs(blobs: BlobStore | None, backend: object) -> CheckedBlobs | None:
    """Return the store that was given, or the back end itself if it is one, or None.

    Raises:
        InvalidArgument: the one that was given lacks a method.
    """
    if blobs is not None:
        return CheckedBlobs(blobs)
    if all(callable(getattr(backend, name, None)) for name in _METHODS):
        return CheckedBlobs(backend)  # type: ignore[arg-type] # it has the methods
    return None


def _count(method: str, answer: object, size: int) -> int:
    if type(answer) is not int or not 0 <= answer <= size:
        raise _no_answer(method, answer)
    return answer


def _no_answer(method: str, answer: object) -> BackendError:
    if inspect.iscoroutine(answer):
        answer.close()  # else it complains, when it is collected, that nobody has waited for it
    return BackendError(f"the blob store answered {method} with something else than it may")
