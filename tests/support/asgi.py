# SPDX-License-Identifier: Apache-2.0
"""An ASGI application called without a network: what no client would send can be sent.

with Caller(app) as caller:
    assert caller.post("/v1/fetch", body, token=TOKEN).status == 200
"""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from e2ecross.wire.service_errors import ErrorBody

__all__ = ["Caller", "Came", "bearer"]

Header = tuple[bytes, bytes]


def bearer(token: bytes) -> Header:
    text = base64.urlsafe_b64encode(token).rstrip(b"=")
    return (b"authorization", b"Bearer " + text)


@dataclass(frozen=True)
class Came:
    """What was answered."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def error(self) -> ErrorBody:
        return ErrorBody.decode(self.body)


class Caller:
    """Calls an application in a loop of its own."""

    def __init__(self, app: Any, client: str = "192.0.2.1") -> None:  # noqa: ANN401
        self._app = app
        self._client = client
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._runner.close()

    def post(
        self,
        path: str,
        body: bytes = b"",
        *,
        token: bytes = b"",
        headers: Sequence[Header] = (),
        client: str = "",
    ) -> Came:
        """Ask as a client does."""
        usual = [
            (b"content-type", b"application/x-protobuf"),
            (b"content-length", str(len(body)).encode()),
        ]
        if token:
            usual.append(bearer(token))
        return self.ask("POST", path, [*usual, *headers], [body], client=client)

    def ask(
        self,
        method: str,
        path: str,
        headers: Sequence[Header] = (),
        parts: Sequence[bytes] = (b"",),
        *,
        client: str = "",
    ) -> Came:
        """Ask as anybody may; the body comes in parts."""
        return self._runner.run(self._ask(method, path, headers, parts, client or self._client))

    async def _ask(
        self,
        method: str,
        path: str,
        headers: Sequence[Header],
        parts: Sequence[bytes],
        client: str,
    ) -> Came:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": list(headers),
            "client": (client, 1234),
            "server": ("127.0.0.1", 80),
        }
        left = [
            {"type": "http.request", "body": part, "more_body": at < len(parts)}
            for at, part in enumerate(parts, 1)
        ]
        sent: list[Any] = []

        async def receive() -> Any:  # noqa: ANN401
            if left:
                return left.pop(0)
            await asyncio.sleep(3600)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:  # noqa: ANN401
            sent.append(message)

        await self._app(scope, receive, send)
        start, *bodies = sent
        body = b"".join(message.get("body", b"") for message in bodies)
        return Came(start["status"], dict(start["headers"]), body)
