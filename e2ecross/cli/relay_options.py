# SPDX-License-Identifier: Apache-2.0
"""The options of `e2ecross relay`: read, and refused where they contradict each other.

Rules:
- What would be open to a network by mistake is refused: no TLS, or anybody may register.
- The address of a database may hold a password, and is never shown.
"""

import argparse
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

from e2ecross.cli.conninfo import DATABASE, is_conninfo
from e2ecross.errors import InvalidArgument
from e2ecross.relay import RelayLimits
from e2ecross.relay.relay_file import POSTGRES
from e2ecross.service.limits import Rates, ServiceLimits

__all__ = ["RelayOptions", "WrongOptions", "read_relay_options"]

_MAX_PORT: Final = 65_535
_SOCKET: Final = "unix:"
_MOST_DIGITS: Final = 19


class WrongOptions(InvalidArgument):
    """The options contradict each other, or one is none."""


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """What `e2ecross relay` is to do.

    Attributes:
        database: the file of the relay; or the address of a PostgreSQL database, secret.
        blob_folder: where it keeps files; or empty: it keeps none.
        host: where to listen; empty for a socket of the file system.
        port: likewise; 0: any that is free.
        path: of a socket of the file system; or empty.
        certificate: a file; or empty.
        key: a file; or empty.
        proxies: who is believed who asks.
        registration_key: a file; or empty: anybody may register.
        metrics: host and port for Prometheus; or None.
        log: a file; `-`: stderr.
        relay_limits: what is kept.
        limits: how much is taken from whom.
        rates: how much a device may ask.
    """

    database: str = field(repr=False)
    blob_folder: str
    host: str
    port: int
    path: str
    certificate: str
    key: str
    proxies: tuple[str, ...]
    registration_key: str
    metrics: tuple[str, int] | None
    log: str
    relay_limits: RelayLimits
    limits: ServiceLimits
    rates: Rates


def read_relay_options(found: argparse.Namespace) -> RelayOptions:
    """Read what the parser has found.

    Raises:
        WrongOptions: something is missing, contradicts itself, or would be open by mistake.
    """
    host, port, path = _place(found.listen)
    proxies = tuple(_address(each) for each in found.behind_proxy.split(",") if each)
    is_private = (bool(path) or _is_this_machine(host)) and not proxies
    if bool(found.tls_cert) != bool(found.tls_key):
        raise WrongOptions("--tls-cert and --tls-key come together or not")
    if not (is_private or found.tls_cert or proxies):
        raise WrongOptions(
            f"{found.listen} is open to a network: give --tls-cert and --tls-key, or "
            f"--behind-proxy with the address of what terminates TLS"
        )
    if not (is_private or found.registration_key_file or found.open_registration):
        raise WrongOptions(
            "anybody could register: give --registration-key-file, or --open-registration"
        )
    metrics = None
    if found.metrics_listen:
        metrics = _host_and_port("--metrics-listen", found.metrics_listen)
    relay_limits, limits, rates = _limits(found.limit)
    return RelayOptions(
        _database(found.db),
        found.blob_dir,
        host,
        port,
        path,
        found.tls_cert,
        found.tls_key,
        proxies,
        found.registration_key_file,
        metrics,
        found.log,
        relay_limits,
        limits,
        rates,
    )


def _database(given: str | None) -> str:
    name = given or os.environ.get(DATABASE, "")
    if not name:
        raise WrongOptions(
            f"name the relay's database: --db PATH or postgresql://…, or the variable {DATABASE}"
        )
    if is_conninfo(name) and not name.startswith(POSTGRES):
        raise WrongOptions("the database is neither a file nor postgresql://…")
    return name


def _place(listen: str) -> tuple[str, int, str]:
    if listen.startswith(_SOCKET):
        path = listen.removeprefix(_SOCKET)
        if not path:
            raise WrongOptions("--listen unix:PATH needs a path")
        return "", 0, path
    return (*_host_and_port("--listen", listen), "")


def _host_and_port(option: str, text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    is_number = port.isascii() and port.isdigit() and len(port) <= _MOST_DIGITS
    if not host or not is_number or int(port) > _MAX_PORT:
        raise WrongOptions(f"{option} must be HOST:PORT, with a port up to {_MAX_PORT}")
    try:
        host.encode("idna")  # as the system will
    except UnicodeError:
        raise WrongOptions(f"{option} must be HOST:PORT, with the name of a host") from None
    return host, int(port)


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        raise WrongOptions("--behind-proxy must be IP addresses, with commas between") from None


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _limits(given: Sequence[str]) -> tuple[RelayLimits, ServiceLimits, Rates]:
    kinds: tuple[type[Any], ...] = (RelayLimits, ServiceLimits, Rates)
    home = {field.name: kind for kind in kinds for field in fields(kind)}
    chosen: dict[type[Any], dict[str, int]] = {kind: {} for kind in kinds}
    for text in given:
        name, _, value = text.partition("=")
        if name not in home:
            raise WrongOptions(f"--limit knows no {name!r}; it knows {', '.join(sorted(home))}")
        if not value.isascii() or not value.isdigit() or len(value) > _MOST_DIGITS:
            raise WrongOptions(f"--limit {name} must be a whole number")
        chosen[home[name]][name] = int(value)
    try:
        relay, service, rates = (kind(**values) for kind, values in chosen.items())
    except InvalidArgument as error:
        raise WrongOptions(f"--limit: {error}") from error
    return relay, service, rates
