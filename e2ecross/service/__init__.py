# SPDX-License-Identifier: Apache-2.0
"""A back end over a network: the relay as a service, the way to it, and clients in asyncio.

A name is imported when it is first used (PEP 562): the service needs the extra `server`,
`HTTPBackend` needs the extra `http`, and the others need none.
"""

from typing import TYPE_CHECKING, Final

from e2ecross.lazy import lazy_names

if TYPE_CHECKING:
    from e2ecross.service.aio import AsyncClient
    from e2ecross.service.asgi import create_app
    from e2ecross.service.async_group import AsyncGroup
    from e2ecross.service.credentials import CredentialCheck, make_credential
    from e2ecross.service.http_backend import HTTPBackend
    from e2ecross.service.limits import Rates, ServiceLimits
    from e2ecross.service.metrics import Metrics
    from e2ecross.service.request_log import RequestLog

__all__ = [
    "AsyncClient",
    "AsyncGroup",
    "CredentialCheck",
    "HTTPBackend",
    "Metrics",
    "Rates",
    "RequestLog",
    "ServiceLimits",
    "create_app",
    "make_credential",
]

_HOMES: Final = {
    "AsyncClient": "e2ecross.service.aio",
    "AsyncGroup": "e2ecross.service.async_group",
    "CredentialCheck": "e2ecross.service.credentials",
    "HTTPBackend": "e2ecross.service.http_backend",
    "Metrics": "e2ecross.service.metrics",
    "Rates": "e2ecross.service.limits",
    "RequestLog": "e2ecross.service.request_log",
    "ServiceLimits": "e2ecross.service.limits",
    "create_app": "e2ecross.service.asgi",
    "make_credential": "e2ecross.service.credentials",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
