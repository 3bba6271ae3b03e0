# SPDX-License-Identifier: Apache-2.0
"""The page of the demo over HTTP: its files, its events, and what it may ask for.

Rules:
- Who has not got the token of this run is told that there is nothing here, whatever they ask for.
- A request must name this host, and one that changes something must come from the page itself: no
  other page of the same browser gets anywhere.
- The browser loads nothing from elsewhere, and runs nothing that is not a file of the package.
- What is read of a request, and how many are answered at once, is bounded.
"""

import asyncio
import hmac
import importlib.resources
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from e2ecross.demo.web.actions import Actions, Malformed
from e2ecross.demo.web.journal import Journal
from e2ecross.demo.web.pictures import Pictures

__all__ = ["Page"]

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_MAX_BODY: Final = 2 * 1024 * 1024
_MOST_STREAMS: Final = 16
_MOST_ACTIONS: Final = 16
_ACTIONS_AT_ONCE: Final = 8
_COMMENT_SECONDS: Final = 15.0
_BODY_SECONDS: Final = 20.0
"""How long a request may take to come, from this machine: one that does not end holds a place."""
_FILES: Final[Mapping[str, tuple[str, str]]] = {
    "": ("index.html", "text/html; charset=utf-8"),
    "page.css": ("page.css", "text/css; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Page:
    """The page as an ASGI application.

    Args:
        token: of this run; secret.
        port: on which it is served.
        journal: what has happened.
        pictures: what phones show.
        actions: what may be asked for.
    """

    def __init__(
        self, token: str, port: int, journal: Journal, pictures: Pictures, actions: Actions
    ) -> None:
        self._token = token.encode()
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._origins = {f"http://{host}" for host in self._hosts}
        self._journal = journal
        self._pictures = pictures
        self._actions = actions
        self._workers = ThreadPoolExecutor(_ACTIONS_AT_ONCE, "e2ecross-page")
        self._streams = 0
        self._waiting = 0

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Answer."""
        request = Request(scope, receive)
        response = await self._answer(request)
        response.headers.update(_HEADERS)
        await response(scope, receive, send)

    def close(self) -> None:
        """Do nothing more that was asked for."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, request: Request) -> Response:
        token, slash, rest = request.scope["path"].removeprefix("/").partition("/")
        # Of a text with other characters the bytes are other ones, too: no exception.
        given = token.encode(errors="surrogatepass")
        if not hmac.compare_digest(given, self._token) or not slash:
            return _plain(404, "nothing here")
        if request.headers.getlist("host")[:2] not in [[host] for host in self._hosts]:
            return _plain(403, "this is not the host that the page is on")
        if rest == "do":
            return await self._do(request) if request.method == "POST" else _not_allowed("POST")
        if request.method != "GET":
            return _not_allowed("GET") if self._is_there(rest) else _plain(404, "nothing here")
        if rest == "events":
            return self._events(request)
        if rest in _FILES:
            return _file(*_FILES[rest])
        picture = self._pictures.find(rest.removeprefix("picture/"))
        if picture is None or not rest.startswith("picture/"):
            return _plain(404, "nothing here")
        return Response(picture.data, media_type=picture.media_type)

    def _is_there(self, rest: str) -> bool:
        return rest == "events" or rest in _FILES or rest.startswith("picture/")

    # --- Events ---------------------------------------------------------------------------------

    def _events(self, request: Request) -> Response:
        if self._streams >= _MOST_STREAMS:
            return _plain(503, "too many pages are open")
        seen = request.headers.get("last-event-id", "")
        after = int(seen) if seen.isdecimal() and seen.isascii() and len(seen) < 16 else 0
        self._streams += 1
        return _Stream(self._stream(after), self._note_ended)

    def _note_ended(self) -> None:
        self._streams -= 1

    async def _stream(self, after: int) -> AsyncIterator[str]:
        with self._journal.listen() as changed:
            while True:
                changed.clear()
                for number, text in self._journal.after(after):
                    yield f"id: {number}\ndata: {text}\n\n" if number else f"data: {text}\n\n"
                    after = max(after, number)
                if self._journal.is_closed:
                    return
                try:
                    await asyncio.wait_for(changed.wait(), _COMMENT_SECONDS)
                except TimeoutError:
                    yield ": still here\n\n"

    # --- Actions --------------------------------------------------------------------------------

    async def _do(self, request: Request) -> Response:
        origins = request.headers.getlist("origin")
        if origins and not (len(origins) == 1 and origins[0] in self._origins):
            return _plain(403, "only the page itself may ask for that")
        content_type = request.headers.get("content-type", "").partition(";")[0].strip()
        if content_type.lower() != "application/json":
            return _plain(415, "what is asked for is application/json")
        if self._waiting >= _MOST_ACTIONS:
            return JSONResponse({"ok": False, "error": "Too much at once: wait a moment."})
        self._waiting += 1
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await _read(request)
            if body is None:
                return _plain(413, f"at most {_MAX_BODY} bytes may be asked for")
            loop = asyncio.get_running_loop()
            return JSONResponse(await loop.run_in_executor(self._workers, self._work, body))
        except Malformed as error:
            return _plain(400, str(error))
        except TimeoutError:
            return _plain(408, "the request does not end")
        except ClientDisconnect:
            return _plain(400, "the request has no end")
        finally:
            self._waiting -= 1

    def _work(self, body: bytes) -> dict[str, Any]:
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError):
            raise Malformed("this is no JSON") from None
        return self._actions.do(asked)


class _Stream(StreamingResponse):
    """Events; it tells when it has ended, also if it has never begun."""

    def __init__(self, events: AsyncIterator[str], note_ended: Callable[[], None]) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._note_ended = note_ended

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._note_ended()


async def _read(request: Request) -> bytes | None:
    """Return the body; None: it is too large."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MAX_BODY:
            return None
    return bytes(body)


def _file(name: str, media_type: str) -> Response:
    data = (importlib.resources.files("e2ecross.demo.web") / "static" / name).read_bytes()
    return Response(data, media_type=media_type)


def _plain(status: int, why: str) -> Response:
    return Response(f"{why}\n", status, media_type="text/plain")


def _not_allowed(method: str) -> Response:
    response = _plain(405, f"only {method} is allowed here")
    response.headers["Allow"] = method
    return response
