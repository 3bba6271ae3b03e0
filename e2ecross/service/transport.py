# SPDX-License-Identifier: Apache-2.0
"""Asking a back end over HTTP: one request, one answer, and whatever goes wrong a `BackendError`.

Rules:
- Answers are read up to a bound, and for a time. None is followed, unpacked or kept.
- Nothing is asked twice, but for a kept connection that had been closed meanwhile: once.
- After an answer that says so, nothing is asked for a while.
- No error shows what was asked.

Source: docs/service.md, the way to it.
"""

import base64
import http.client
import os
import ssl
import threading
import time
from typing import Final

from e2ecross.errors import BackendError, E2ECrossError
from e2ecross.service.connections import Places, Pool, call_of, make_pool, was_stale
from e2ecross.service.extras import missing_extra
from e2ecross.service.urls import Url
from e2ecross.wire.service_calls import CALLS, CONTENT_TYPE
from e2ecross.wire.service_errors import MAX_ERROR_BYTES, exception_of

try:
    from urllib3 import BaseHTTPResponse, HTTPResponse, Timeout
    from urllib3 import exceptions as problems
except ImportError as error:
    raise missing_extra("e2ecross.service.http_backend", "http") from error

__all__ = ["Transport"]

_READ_AT_ONCE: Final = 64 * 1024
_MOST_PAUSE_SECONDS: Final = 60
_ANOTHER_SERVICE: Final = (404, 405, 415)
_WAIT: Final = (429, 503)
# ValueError: of what is read in an answer, for example of a chunk's size.
_NO_ANSWER: Final = (problems.HTTPError, OSError, http.client.HTTPException, ValueError)

# Pools of a process that has forked: closing them here would end connections of the parent.
_left_behind: list[Pool] = []


class Transport:
    """The way to one back end; for many threads.

    Args:
        url: where it is.
        ca_file: see `HTTPBackend`.
        connect_seconds: for a connection.
        answer_seconds: for all of a call after that.
        connections: how many at once.

    Raises:
        OSError: `ca_file` cannot be read, or holds no certificate.
    """

    def __init__(
        self,
        url: Url,
        ca_file: str | None,
        connect_seconds: float,
        answer_seconds: float,
        connections: int,
    ) -> None:
        self._url = url
        self._ca_file = ca_file
        self._connect_seconds = connect_seconds
        self._answer_seconds = answer_seconds
        self._connections = connections
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._pool = self._make_pool()
        self._places = Places(connections)
        self._paused_until = 0.0
        self._is_closed = False

    def ask(self, name: str, token: bytes, body: bytes, wait_ms: int = 0) -> bytes:
        """Ask for one thing; return the body of the answer.

        Args:
            name: of the call.
            token: 32 bytes, secret; or empty.
            body: of the request.
            wait_ms: how long the back end may wait before it answers, milliseconds.

        Raises:
            BackendError: no answer came, or it is none; or what the back end says went wrong.
            E2ECrossError: likewise.
        """
        self._require_time()
        headers = {
            "Content-Type": CONTENT_TYPE,
            "Accept-Encoding": "identity",
            "User-Agent": "e2ecross",
        }
        if token:
            text = base64.urlsafe_b64encode(token).rstrip(b"=").decode("ascii")
            headers["Authorization"] = f"Bearer {text}"
        seconds = self._answer_seconds + wait_ms / 1000
        pool = self._living_pool()
        with call_of(self._connect_seconds, seconds):
            place = self._places.take(seconds)
            try:
                if place is None:
                    raise BackendError(
                        f"{self._url.place} was not asked: all connections were in use for too long"
                    )
                try:
                    return self._exchange(pool, name, headers, body, seconds)
                except (problems.HTTPError, OSError):
                    if not was_stale():
                        raise
                return self._exchange(pool, name, headers, body, seconds)
            except _NO_ANSWER as error:
                raise BackendError(f"{self._url.place} {_what_happened(error)}") from error
            finally:
                del place  # a traceback may be kept

    def close(self) -> None:
        """Close the connections; calls that are made later fail."""
        self._is_closed = True
        if self._process == os.getpid():
            self._pool.close()

    def _exchange(
        self, pool: Pool, name: str, headers: dict[str, str], body: bytes, seconds: float
    ) -> bytes:
        response = pool.urlopen(
            "POST",
            f"{self._url.prefix}/v1/{name}",
            body,
            headers,
            retries=False,
            redirect=False,
            assert_same_host=False,
            timeout=Timeout(connect=self._connect_seconds, read=seconds),
            preload_content=False,
            decode_content=False,
        )
        try:
            answer = self._read(response, name)
        except BaseException:
            response.close()
            raise
        finally:
            response.release_conn()
        if isinstance(answer, E2ECrossError):
            raise answer
        return answer

    def _read(self, response: BaseHTTPResponse, name: str) -> bytes | E2ECrossError:
        """Return the answer, or the error that it stands for, if all of it was read."""
        status, headers = response.status, response.headers
        if "content-encoding" in headers:
            raise self._no_answer("an answer that is compressed, which was not asked for")
        if 300 <= status < 400:
            raise self._no_answer("a redirect: give HTTPBackend the address that it leads to")
        is_ours = headers.get("content-type", "").partition(";")[0].strip() == CONTENT_TYPE
        pause = self._pause(headers.get("retry-after", "")) if status in _WAIT else 0
        wait = f"; it has asked to wait {pause} s" if pause else ""
        if status in _ANOTHER_SERVICE or (status == 200 and not is_ours):
            raise self._no_answer(f"status {status}: no e2ecross back end is at this address")
        if not is_ours:
            raise self._no_answer(f"status {status}, and says nothing else{wait}")
        largest = CALLS[name].max_answer if status == 200 else MAX_ERROR_BYTES
        data = self._read_up_to(response, largest)
        if status == 200:
            return data
        error = exception_of(status, data)
        return BackendError(f"{error}{wait}") if wait else error

    def _read_up_to(self, response: BaseHTTPResponse, largest: int) -> bytes:
        length = response.length_remaining if isinstance(response, HTTPResponse) else None
        if length is None and not getattr(response, "chunked", False):
            # It would end with the connection: one that was cut would look like a whole one.
            raise self._no_answer("an answer without its length")
        if length is not None and length <= largest:
            data = response.read(length) if length else b""
            if len(data) < length:  # urllib3 notices only with the next read
                raise self._no_answer("an answer that was cut")
            return data
        parts: list[bytes] = []
        size = 0
        while length is None and size <= largest:
            part = response.read(_READ_AT_ONCE)
            if not part:
                return b"".join(parts)
            parts.append(part)
            size += len(part)
        raise self._no_answer(f"more than {largest} bytes")

    def _no_answer(self, what: str) -> BackendError:
        return BackendError(f"{self._url.place} answered with {what}")

    def _pause(self, seconds: str) -> int:
        if not (seconds.isascii() and seconds.isdigit()):
            return 0
        pause = min(int(seconds[:9]), _MOST_PAUSE_SECONDS)
        self._paused_until = max(self._paused_until, time.monotonic() + pause)
        return pause

    def _require_time(self) -> None:
        if self._is_closed:
            raise BackendError("the HTTPBackend has been closed: make another one")
        left = self._paused_until - time.monotonic()
        if left > 0:
            raise BackendError(
                f"{self._url.place} has asked to wait {left:.0f} s more: try again after that"
            )

    def _living_pool(self) -> Pool:
        if self._process != os.getpid():
            with self._lock:
                if self._process != os.getpid():
                    _left_behind.append(self._pool)
                    self._pool = self._make_pool()
                    self._places = Places(self._connections)
                    self._process = os.getpid()
        return self._pool

    def _make_pool(self) -> Pool:
        scheme, host, port, _ = self._url
        return make_pool(scheme, host, port, self._connections, self._ca_file)


def _what_happened(error: BaseException) -> str:
    """Say what went wrong on the way, in our words; nothing of what a stranger said."""
    seen: list[object] = [error]
    for each in seen:  # grows while it is walked
        if isinstance(each, BaseException) and len(seen) < 10:
            seen += [each.__cause__, each.__context__, *each.args]
        if isinstance(each, ssl.SSLCertVerificationError):
            return f"cannot be trusted: its certificate is not valid ({each.verify_message})"
    if any(isinstance(each, problems.NameResolutionError) for each in seen):
        return "cannot be found: its name leads nowhere"
    if any(isinstance(each, problems.NewConnectionError) for each in seen):
        return "cannot be reached: it refuses connections, or no way leads there"
    if any(isinstance(each, problems.ClosedPoolError) for each in seen):
        return "was not asked: the HTTPBackend has been closed"
    if any(isinstance(each, problems.TimeoutError | TimeoutError) for each in seen):
        return "has not answered in time"
    if any(isinstance(each, problems.SSLError | ssl.SSLError) for each in seen):
        return "cannot be reached through TLS: another protocol, or a version that is too old"
    if any(isinstance(each, problems.IncompleteRead | ConnectionError) for each in seen):
        return "has ended the connection before its answer was complete"
    return "answered with what is no HTTP"
