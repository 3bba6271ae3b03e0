# SPDX-License-Identifier: Apache-2.0
"""The address of a back end: `https://host[:port][/prefix]`; on this machine also `http://`."""

import ipaddress
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from e2ecross.errors import InvalidArgument

__all__ = ["Url", "parse_url"]

_PORTS: Final = {"http": 80, "https": 443}
_WANTED: Final = (
    "url must be https://host[:port][/prefix], without a user, a query or a fragment; http:// is "
    "for localhost, 127.0.0.0/8 and [::1] alone"
)


class Url(NamedTuple):
    """Where a back end is.

    Attributes:
        scheme: `http` or `https`.
        host: a name, or an address without brackets.
        port: 1 to 65,535.
        prefix: of every path, without a slash at its end; or empty.
    """

    scheme: str
    host: str
    port: int
    prefix: str

    @property
    def place(self) -> str:
        """Host and port, as they are shown."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_url(url: object) -> Url:
    """Read the address of a back end.

    Raises:
        InvalidArgument: it is none; the message does not show it.
    """
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidArgument(_WANTED)
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
        host.encode("idna")  # as it will be looked for
    except ValueError:  # UnicodeError is one
        raise InvalidArgument(_WANTED) from None
    if (
        parts.scheme not in _PORTS
        or not host
        or port == 0
        or "@" in parts.netloc
        or "?" in url
        or "#" in url
        or "\\" in url
    ):
        raise InvalidArgument(_WANTED)
    if parts.scheme == "http" and not _is_this_machine(host):
        raise InvalidArgument(_WANTED)
    return Url(parts.scheme, host, port or _PORTS[parts.scheme], parts.path.rstrip("/"))


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
