# SPDX-License-Identifier: Apache-2.0
"""One request while it is answered: its head, its body, and what is noted of it."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

from e2ecross.address import Address
from e2ecross.service import replies
from e2ecross.service.doorkeeper import network_of
from e2ecross.service.replies import Reply
from e2ecross.wire.service_calls import CONTENT_TYPE

__all__ = ["BodyBudget", "Exchange", "Receive", "Scope", "Send"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_BODY_SECONDS: Final = 10.0
_ID_BYTES: Final = 8
_MAX_DIGITS: Final = 12


class BodyBudget:
    """Bytes of all bodies of a kind that are in memory: requests, or what is read of files.

    Args:
        most: of them together.
        whole: that of all requests, if this is a part of it.
    """

    def __init__(self, most: int, whole: "BodyBudget | None" = None) -> None:
        self._left = most
        self._whole = whole

    def take(self, size: int) -> bool:
        """Take so many bytes, if they are left."""
        if size > self._left or not (self._whole is None or self._whole.take(size)):
            return False
        self._left -= size
        return True

    def give_back(self, size: int) -> None:
        """Return what was taken."""
        self._left += size
        if self._whole is not None:
            self._whole.give_back(size)


@dataclass(slots=True)
class Exchange:
    """A request.

    Attributes:
        method: of the back end, or `other`.
        scope: its head, by ASGI.
        receive: gives its body.
        id: names it in the log and in its answer, 16 hexadecimal digits.
        network: which callers it is counted with.
        started: when it came, in seconds of the loop.
        waited: for how many seconds it has waited for mail.
        size: of its body, bytes.
        answering: bytes that its answer has of those that all may have.
        who: the device that asks.
    """

    method: str
    scope: Scope
    receive: Receive
    id: str = field(default_factory=lambda: os.urandom(_ID_BYTES).hex())
    started: float = field(default_factory=time.perf_counter)
    waited: float = 0.0
    size: int = 0
    answering: int = 0
    who: Address | None = None

    @property
    def network(self) -> str:
        """Which callers it is counted with."""
        client = self.scope.get("client")
        return network_of(client[0] if client else None)

    def header(self, name: bytes) -> bytes | None:
        """Return a header, or None if it is not there or is there twice."""
        found = [value for key, value in self.scope["headers"] if key == name]
        return found[0] if len(found) == 1 else None

    def abort(self) -> None:
        """Cut the caller off; a server that cannot ends the connection when all is read."""
        self.scope.get("e2ecross.abort", lambda: None)()

    def check_head(self, largest: int) -> Reply | None:
        """Look at all but the token; note the size of the body. None: it is as it must be."""
        if self.scope["method"] != "POST":
            return replies.wrong_method()
        kind = (self.header(b"content-type") or b"").decode("latin-1")
        if kind.partition(";")[0].strip().lower() != CONTENT_TYPE:
            return replies.bad_content_type()
        length = self.header(b"content-length") or b""
        if not length.isdigit() or len(length) > _MAX_DIGITS:
            return replies.no_length()
        self.size = int(length)
        return replies.too_large(largest) if self.size > largest else None

    async def read_body(self) -> bytes | Reply | None:
        """Return the body; an answer if it does not come; None if the caller has gone away."""
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                while True:
                    event = await self.receive()
                    if event["type"] != "http.request":
                        return None
                    part = event.get("body", b"")
                    size += len(part)
                    if size > self.size:
                        return replies.too_large(self.size)
                    parts.append(part)
                    if not event.get("more_body", False):
                        return b"".join(parts) if size == self.size else replies.too_short()
        except TimeoutError:
            return replies.too_slow()
