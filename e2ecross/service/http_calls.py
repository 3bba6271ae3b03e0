# SPDX-License-Identifier: Apache-2.0
"""What the calls of `HTTPBackend` have in common: asking, and reading what is answered."""

from collections.abc import Callable
from typing import TypeVar

from e2ecross.address import Address
from e2ecross.errors import BackendError, DecodeError, NotRegistered
from e2ecross.service.transport import Transport

__all__ = ["HTTPCalls", "fitting"]

T = TypeVar("T")


class HTTPCalls:
    """Calls to one back end.

    Args:
        transport: the way there.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _ask(
        self, address: Address | None, name: str, token: bytes, body: bytes, wait_ms: int = 0
    ) -> bytes:
        """Ask for an address, which the service does not name when it does not know the token."""
        try:
            return self._transport.ask(name, token, body, wait_ms)
        except NotRegistered as error:
            raise NotRegistered(
                f"{address} is not registered with this token: register it, or use the token that "
                f"it was registered with"
            ) from error


def fitting(read: Callable[[], T]) -> T:
    """Read an answer.

    Raises:
        BackendError: it does not decode, or does not fit what was asked.
    """
    try:
        return read()
    except DecodeError as error:
        raise BackendError(f"the back end answered with what does not fit: {error}") from error
