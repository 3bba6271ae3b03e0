# SPDX-License-Identifier: Apache-2.0
"""A connection that comes to an end: uvicorn by itself waits for ever for some of its peers.

Rules:
- A head without end is refused, before it fills the memory.
- Who does not read an answer in its time, or does not end TLS when the service stops, is cut off.

Source: docs/service.md, limits.
"""

from typing import Final

from e2ecross.service.extras import missing_extra

try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError as error:
    raise missing_extra(__name__, "server") from error

__all__ = ["ServedConnection"]

_MAX_HEAD_BYTES: Final = 64 * 1024
"""Of all that is no body: first line, headers, trailers."""
_TLS_END_SECONDS: Final = 1.0


class ServedConnection(HttpToolsProtocol):
    """A connection. A request's scope has a function `e2ecross.abort` that cuts it off."""

    _head_bytes = 0
    _is_last = False

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > _MAX_HEAD_BYTES and not self.transport.is_closing():
            self.logger.warning("A request with a head that is too large.")
            self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        """Count anew; what has come together with the beginning is not counted."""
        self._head_bytes = 0
        super().on_message_begin()
        self.scope["e2ecross.abort"] = self.transport.abort  # type: ignore[typeddict-unknown-key]

    def on_body(self, body: bytes) -> None:
        """Count no body."""
        self._head_bytes -= len(body)
        super().on_body(body)

    def shutdown(self) -> None:
        """End what is idle, now that the service stops; else after the answer."""
        super().shutdown()
        self._is_last = True
        self._end_tls()

    def on_response_complete(self) -> None:
        """Go on to the next request, or end."""
        super().on_response_complete()
        self._end_tls()

    def _end_tls(self) -> None:
        """Wait for the client's end of TLS, not for long: who keeps a connection does not look."""
        if self._is_last and self.scheme == "https" and self.transport.is_closing():
            self.loop.call_later(_TLS_END_SECONDS, self.transport.abort)
