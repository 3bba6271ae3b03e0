# SPDX-License-Identifier: Apache-2.0
"""The options that `e2ecross relay` has; what they mean is read in `relay_options.py`."""

import argparse

from e2ecross.cli.conninfo import DATABASE

__all__ = ["add_relay_options"]


def add_relay_options(parser: argparse.ArgumentParser) -> None:
    """Tell the parser which options there are."""
    add = parser.add_argument
    add(
        "--db",
        metavar="PATH",
        help=f"the relay's file, or postgresql://…; by default that of {DATABASE}",
    )
    add(
        "--blob-dir",
        metavar="DIR",
        default="",
        help="keep files beside messages there; made if it is not there (default: keep none)",
    )
    add(
        "--listen",
        metavar="HOST:PORT",
        default="127.0.0.1:8080",
        help="or unix:PATH; port 0: any that is free (default: %(default)s)",
    )
    add("--tls-cert", metavar="FILE", default="", help="certificates, in PEM")
    add("--tls-key", metavar="FILE", default="", help="the private key of the first, in PEM")
    add(
        "--behind-proxy",
        metavar="IP[,IP]",
        default="",
        help="a proxy there terminates TLS: X-Forwarded-For is believed from these alone",
    )
    add(
        "--registration-key-file",
        metavar="FILE",
        default="",
        help="32 bytes or 64 hexadecimal digits: who registers needs a credential",
    )
    add("--open-registration", action="store_true", help="anybody may register, from anywhere")
    add(
        "--limit",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a limit: a field of RelayLimits, ServiceLimits or Rates; may be repeated",
    )
    add("--metrics-listen", metavar="HOST:PORT", default="", help="answer Prometheus there")
    add("--log", metavar="FILE", default="-", help="the log; - for stderr (the default)")
