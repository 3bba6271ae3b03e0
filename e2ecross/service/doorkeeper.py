# SPDX-License-Identifier: Apache-2.0
"""Who may ask now: tokens that are known, and how much each device and IP address has asked.

Rules:
- A device is found by the SHA-256 of its token, before anything of the body is read. That the token
  is that of the address which a call is about, the relay decides, in the transaction of the call.
- Somebody without a valid token costs a reading transaction, and only so many of them a minute.
- Everything here runs in the loop of the service, and is bounded.
"""

import base64
import binascii
import hashlib
import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from e2ecross.address import Address
from e2ecross.service.limits import Rates, ServiceLimits
from e2ecross.service.rates import Bucket, LeastUsed, PerKey
from e2ecross.wire.limits import TOKEN_BYTES

__all__ = ["Device", "Doorkeeper", "network_of", "read_token"]

_SCHEME: Final = b"Bearer "
_TOKEN_CHARS: Final = 43
_MINUTE: Final = 60.0
_IPV6_PREFIX: Final = 64


@dataclass(slots=True)
class Device:
    """A device that has asked with a valid token.

    Attributes:
        address: one that the token is of.
        requests: how often it may ask.
        envelopes: how many it may deposit.
    """

    address: Address
    requests: Bucket
    envelopes: Bucket


class Doorkeeper:
    """What is remembered of who asks.

    Args:
        limits: of the service.
        rates: how much a device may ask.
    """

    def __init__(self, limits: ServiceLimits, rates: Callable[[Address], Rates]) -> None:
        most = limits.buckets
        self._rates = rates
        self._devices: LeastUsed[bytes, Device] = LeastUsed(most)
        failures = limits.failures_per_minute
        self.failures = PerKey(failures / _MINUTE, failures, most)
        self.open = PerKey(limits.open_per_second, limits.open_burst, most)
        self.registrations = PerKey(limits.register_per_second, limits.register_burst, most)

    def known(self, token: bytes) -> Device | None:
        """Return the device that has shown this token (32 bytes, secret) before."""
        return self._devices.get(hashlib.sha256(token).digest())

    def welcome(self, token: bytes, address: Address) -> Device:
        """Remember a device, whose token is valid."""
        rates = self._rates(address)
        device = Device(
            address,
            Bucket(rates.requests_per_second, rates.requests_burst),
            Bucket(rates.envelopes_per_second, rates.envelopes_burst),
        )
        self._devices.put(hashlib.sha256(token).digest(), device)
        return device

    def forget(self, token: bytes) -> None:
        """Ask the relay again for whom this token is."""
        self._devices.drop(hashlib.sha256(token).digest())

    @staticmethod
    def now() -> float:
        """Return the time that buckets fill by, seconds."""
        return time.monotonic()


def read_token(header: bytes | None) -> bytes | None:
    """Return the token in an `Authorization` header, 32 bytes, secret; None: there is none."""
    if header is None or not header.startswith(_SCHEME):
        return None
    text = header[len(_SCHEME) :]
    if len(text) != _TOKEN_CHARS:
        return None
    try:
        token = base64.b64decode(text + b"=", altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    # One spelling: the last character has two bits that say nothing.
    is_plain = base64.urlsafe_b64encode(token).rstrip(b"=") == text
    return token if is_plain and len(token) == TOKEN_BYTES else None


def network_of(host: str | None) -> str:
    """Return what requests of one caller are counted under: its IP address; of IPv6 the /64."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:  # a socket of the file system
        return "local"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))
