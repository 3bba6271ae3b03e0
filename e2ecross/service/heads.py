# SPDX-License-Identifier: Apache-2.0
"""Requests whose head has an end: uvicorn by itself keeps all of it that comes.

Source: docs/service.md, limits.
"""

from typing import Final

from e2ecross.service.extras import missing_extra

try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError as error:
    raise missing_extra(__name__, "server") from error

__all__ = ["BoundedHeads"]

_MAX_BYTES: Final = 64 * 1024
"""Of all that is no body: first line, headers, trailers."""


class BoundedHeads(HttpToolsProtocol):
    """A connection, which ends with status 400 when a head has no end."""

    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > _MAX_BYTES and not self.transport.is_closing():
            self.logger.warning("A request with a head that is too large.")
            self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        """Count anew; what has come together with the beginning is not counted."""
        self._head_bytes = 0
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """Count no body."""
        self._head_bytes -= len(body)
        super().on_body(body)
