# SPDX-License-Identifier: Apache-2.0
"""How much the service takes from whom, before the relay is asked.

Rules:
- Per process; what is counted of devices and of IP addresses is in memory, and bounded.
- What accounts may keep at the relay is in `RelayLimits`.

Source: docs/service.md, limits.
"""

from dataclasses import dataclass, fields
from typing import Final

from e2ecross.arguments import require_whole_number

__all__ = ["Rates", "ServiceLimits"]

_MOST: Final = 2**31


@dataclass(frozen=True, slots=True)
class Rates:
    """How much one device may ask.

    Attributes:
        requests_per_second: calls, whatever they do.
        requests_burst: calls at once, after a pause.
        envelopes_per_second: envelopes that it deposits.
        envelopes_burst: envelopes at once, after a pause: two of the largest calls.

    Raises:
        InvalidArgument: one is not a whole number from 1 to 2^31.
    """

    requests_per_second: int = 50
    requests_burst: int = 200
    envelopes_per_second: int = 50
    envelopes_burst: int = 2_048

    def __post_init__(self) -> None:
        for field in fields(self):
            require_whole_number(field.name, getattr(self, field.name), 1, _MOST)


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """The bounds of one process of the service.

    Attributes:
        failures_per_minute: requests without a valid token from one IP address; of IPv6 from one
            network of 64 bits, likewise below.
        open_per_second: requests that need no token, from one IP address.
        open_burst: the same at once, after a pause.
        register_per_second: registrations from one IP address.
        register_burst: the same at once, after a pause.
        connections: open at once; more are answered with 503.
        body_bytes: of requests that are being read or wait for their turn, all together.
        writer_queue: calls that wait for their turn to write.
        waiting_calls: calls that wait for mail.
        waiting_calls_per_device: the same of one device.
        buckets: devices, and IP addresses for each reason, that are remembered; the least used go.

    Raises:
        InvalidArgument: one is not a whole number from 1 to 2^31.
    """

    failures_per_minute: int = 10
    open_per_second: int = 5
    open_burst: int = 100
    register_per_second: int = 1
    register_burst: int = 20
    connections: int = 10_000
    body_bytes: int = 64 * 1024 * 1024
    writer_queue: int = 256
    waiting_calls: int = 20_000
    waiting_calls_per_device: int = 64
    buckets: int = 100_000

    def __post_init__(self) -> None:
        for field in fields(self):
            require_whole_number(field.name, getattr(self, field.name), 1, _MOST)
