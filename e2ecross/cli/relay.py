# SPDX-License-Identifier: Apache-2.0
"""`e2ecross relay`: runs the reference back end as a service, until a signal ends it.

Rules:
- The first line on stdout says where it listens, when it answers.
- Exit code 0 after SIGTERM or SIGINT; 1 if it cannot start, with one line on stderr; 2 for wrong
  usage.
"""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

from e2ecross.address import Address
from e2ecross.cli.key_files import BadKeyFile, read_key
from e2ecross.cli.relay_options import RelayOptions, WrongOptions, read_relay_options
from e2ecross.errors import E2ECrossError
from e2ecross.relay import Relay
from e2ecross.service.credentials import CredentialCheck

__all__ = ["run_relay"]


def run_relay(found: argparse.Namespace) -> int:
    """Serve; return the exit code.

    Args:
        found: the options, as the parser has found them.
    """
    try:
        options = read_relay_options(found)
    except WrongOptions as error:
        print(f"e2ecross relay: {error}", file=sys.stderr)
        return 2
    try:
        _serve(options)
    except BadKeyFile as error:
        return _fail(f"{options.registration_key} {error}")
    except (E2ECrossError, OSError, ImportError) as error:
        return _fail(str(error))
    return 0


def _serve(options: RelayOptions) -> None:
    from e2ecross.service.asgi import create_app
    from e2ecross.service.metrics import Metrics
    from e2ecross.service.request_log import RequestLog
    from e2ecross.service.serving import Listening, bind, serve

    listening = Listening(
        options.host,
        options.port,
        options.path,
        options.certificate,
        options.key,
        options.proxies,
    )
    with contextlib.ExitStack() as stack:
        relay = stack.enter_context(
            Relay(
                options.database,
                authorise=_authorise(options),
                blob_dir=options.blob_folder or None,
                limits=options.relay_limits,
            )
        )
        log = RequestLog(stack.enter_context(_log_stream(options.log)))
        stack.callback(log.close)
        metrics = None
        if options.metrics is not None:
            metrics = Metrics()
            with _about(_place(*options.metrics)):
                metrics.listen(*options.metrics)
            stack.callback(metrics.close)
        app = create_app(
            relay,
            limits=options.limits,
            rates=lambda address: options.rates,
            metrics=metrics,
            log=log,
        )
        with _about(options.path or _place(options.host, options.port)):
            bound, place = bind(listening)
        serve(
            app,
            bound,
            listening,
            limits=options.limits,
            ready=lambda: print(f"listening on {place}", flush=True),
            log=log,
        )


@contextlib.contextmanager
def _about(what: str) -> Iterator[None]:
    """Let what the system says of an error name what it is about."""
    try:
        yield
    except OSError as error:
        raise OSError(f"{what}: {error.strerror or error}") from error


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _authorise(options: RelayOptions) -> Callable[[Address, bool, bytes], bool] | None:
    if not options.registration_key:
        return None
    return CredentialCheck(read_key(options.registration_key))


@contextlib.contextmanager
def _log_stream(name: str) -> Iterator[TextIO]:
    if name == "-":
        yield sys.stderr
    else:
        with open(name, "a", encoding="ascii") as stream:
            yield stream


def _fail(why: str) -> int:
    print("e2ecross relay:", " ".join(why.split()), file=sys.stderr)
    return 1
