# SPDX-License-Identifier: Apache-2.0
"""The command `e2ecross`: reads its arguments and calls what does the work.

Rules:
- Exit codes: 0 it worked, 1 it did not (one clear line on stderr), 2 wrong usage, 130 interrupted;
  `doctor` has its own meaning of 1 and 2.
- Output never fails on its encoding: what a terminal cannot show is replaced.
- A subcommand is imported when it is called.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import Final, NoReturn, TypeAlias

from e2ecross import __version__
from e2ecross.cli.conninfo import without_conninfo
from e2ecross.cli.relay_parser import add_relay_options

__all__ = ["main"]

_INTERRUPTED: Final = 130
_HIGHEST_PORT: Final = 65_535
_UNABLE: Final = ("strict", "surrogateescape")
"""What a stream does with a sign that it lacks: it raises; the second in the C locale."""
_NAMED: Final = (
    "sender-key-message-uuid",
    "sender-key-message-key-id",
    "distribution-uuid",
    "distribution-key-id",
)
"""Of `inspect.py`."""


class _Parser(argparse.ArgumentParser):
    """Shows no conninfo where an argument is refused."""

    def error(self, message: str) -> NoReturn:
        super().error(without_conninfo(message))


_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments, without the program's name; by default those of the process.

    Returns:
        The exit code. Wrong usage, `--help` and `--version` leave by `SystemExit`, as argparse
        does.
    """
    _replace_what_cannot_be_shown()
    try:
        try:
            return _call(argv)
        finally:
            # Here, also after help: at exit the interpreter would print its own error.
            if sys.stdout is not None:
                sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        _leave_stdout_alone()
        return 1
    except OSError as error:  # of the output alone: each command reports those of its own files
        _leave_stdout_alone()
        print(f"e2ecross: the output cannot be written: {error.strerror}", file=sys.stderr)
        return 1


def _call(argv: Sequence[str] | None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command == "demo":
        return _demo(arguments)
    if arguments.command == "inspect":
        return _inspect(arguments)
    if arguments.command == "doctor":
        return _doctor(arguments)
    if arguments.command == "relay":
        return _relay(arguments)
    if arguments.command == "migrate":
        return _migrate(arguments)
    parser.print_help()
    return 2


def _demo(arguments: argparse.Namespace) -> int:
    wrong = _wrong_with_demo(arguments)
    if wrong is not None:
        print(f"e2ecross demo: {wrong}", file=sys.stderr)
        return 2
    if arguments.web:
        from e2ecross.demo.web.run import run_web_demo

        return run_web_demo(port=arguments.port or 0, browser=not arguments.no_browser)
    if arguments.fleet:
        from e2ecross.demo.fleet.run import run_fleet_demo

        return run_fleet_demo(plain=arguments.plain, json=arguments.json, step=arguments.step)
    from e2ecross.demo.run import run_demo

    return run_demo(
        folder=arguments.dir,
        plain=arguments.plain,
        json=arguments.json,
        network=arguments.network,
        step=arguments.step,
    )


def _wrong_with_demo(arguments: argparse.Namespace) -> str | None:
    """Say which options of it do not fit together, or to where it runs."""
    from e2ecross.demo.step import can_step

    kept = arguments.dir is not None
    if arguments.web and (arguments.json or kept or arguments.step):
        return "--web has no --json, no --dir and no --step: leave them out"
    if not arguments.web and (arguments.port is not None or arguments.no_browser):
        return "--port and --no-browser go with --web"
    if arguments.fleet and kept:
        return "--fleet keeps no files: leave --dir out"
    if arguments.step and arguments.json:
        return "--step is for reading, and --json is not: leave one of them out"
    if arguments.step and not can_step():
        return "--step waits for a key, but the input is no terminal: leave it out"
    return None


def _inspect(arguments: argparse.Namespace) -> int:
    from e2ecross.cli.inspect import run_inspect

    return run_inspect(arguments.file, json=arguments.json, named=arguments.named)


def _doctor(arguments: argparse.Namespace) -> int:
    from e2ecross.cli.doctor_call import call_doctor

    return call_doctor(
        arguments.store,
        name=arguments.name,
        key_files=arguments.key_file,
        passphrase_file=arguments.passphrase_file,
        json=arguments.json,
    )


def _relay(arguments: argparse.Namespace) -> int:
    from e2ecross.cli.relay import run_relay

    return run_relay(arguments)


def _migrate(arguments: argparse.Namespace) -> int:
    from e2ecross.cli.migrate import run_migrate

    return run_migrate(arguments.conninfo)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="e2ecross",
        description="End-to-end encryption between messaging apps.",
    )
    parser.add_argument("--version", action="version", version=f"e2ecross {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    demo = commands.add_parser(
        "demo",
        help="play a conversation between three apps over a back end that attacks it",
        description="Play a real conversation between WhatsApp, Instagram and Messenger accounts: "
        "a process for each device, a relay that reads nothing, and attacks that are refused.",
    )
    demo.add_argument("--dir", metavar="D", help="keep the stores and the relay's file in folder D")
    demo.add_argument("--plain", action="store_true", help="print plain text, without colour")
    demo.add_argument("--json", action="store_true", help="print the facts as one JSON document")
    demo.add_argument(
        "--step", action="store_true", help="wait for a key before each scene; needs a terminal"
    )
    where = demo.add_mutually_exclusive_group()
    where.add_argument(
        "--network", action="store_true", help="all of it over a service in its own process"
    )
    where.add_argument(
        "--fleet",
        action="store_true",
        help="another play: three workers of one shop over a PostgreSQL server that is started for "
        "it, and one is killed; keeps no files",
    )
    where.add_argument(
        "--web",
        action="store_true",
        help="a page of this machine instead: phones that you type into, and a back end that "
        "attacks them at the press of a button",
    )
    demo.add_argument("--port", metavar="N", type=_port, help="of the page (default: a free one)")
    demo.add_argument("--no-browser", action="store_true", help="do not open the page in a browser")
    inspect = commands.add_parser(
        "inspect",
        help="show what a relay could learn from an envelope, from keys, from a list of devices",
        description="Show what a relay could learn from an encoded envelope, copies of one for "
        "several devices, a bundle, a publication of keys or a signed list of devices: no key is "
        "needed, and none would help, this is all that is readable. Of the text of a link code all "
        "but its secret is shown, of the descriptor of an attachment all but its key and its blob "
        "id; of groups commits, what clients tell each other and payloads, without chain keys and "
        "what users sent.",
    )
    _add_inspect_options(inspect)
    _add_doctor(commands)
    relay = commands.add_parser(
        "relay",
        help="run the reference back end as a service",
        description="Run the reference back end as a service for clients anywhere, until SIGTERM "
        "or SIGINT; needs the extra [server]. Exit code 0: ended by a signal; 1: it cannot start; "
        "2: wrong usage.",
    )
    add_relay_options(relay)
    _add_migrate(commands)
    return parser


def _add_doctor(commands: _Commands) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="check a device's store, and say what to do",
        description="Check the store of a device, a file or in a PostgreSQL database, without "
        "changing it: damage, prekeys, sessions, queues, uploads, groups; of a database also its "
        "server. Prints no keys, addresses or content. Exit code 0: no problems; 1: problems; "
        "2: the store cannot be opened.",
    )
    doctor.add_argument(
        "store",
        metavar="STORE",
        nargs="?",
        help="the store's file, or postgresql://...; by default what E2ECROSS_DATABASE has",
    )
    doctor.add_argument("--name", metavar="N", help="which store of a database (default: default)")
    secret = doctor.add_mutually_exclusive_group()
    secret.add_argument(
        "--key-file",
        metavar="FILE",
        action="append",
        default=[],
        help="the store key, if there is one: a file of exactly 32 bytes or 64 hexadecimal digits; "
        "of a database ID=FILE, once for each key",
    )
    secret.add_argument(
        "--passphrase-file",
        metavar="FILE",
        help="the passphrase of a file, if there is one: a file with one line in UTF-8",
    )
    doctor.add_argument("--json", action="store_true", help="print one JSON document")


def _add_migrate(commands: _Commands) -> None:
    migrate = commands.add_parser(
        "migrate",
        help="give a PostgreSQL database the tables of this release",
        description="Give a PostgreSQL database the tables of this release, as their owner; may be "
        "run again. Exit code 0: done, or nothing to do; 1: the database refuses.",
    )
    migrate.add_argument(
        "conninfo",
        metavar="CONNINFO",
        nargs="?",
        help="how it is reached; by default what E2ECROSS_DATABASE has",
    )


def _add_inspect_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="its bytes; - for standard input")
    parser.add_argument(
        "--as",
        dest="named",
        choices=_NAMED,
        help="what it is, where its bytes do not tell: a message of sender keys, of one form or "
        "the other",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _port(text: str) -> int:
    """Read the number of a port."""
    port = int(text)
    if not 0 <= port <= _HIGHEST_PORT:
        raise ValueError
    return port


def _replace_what_cannot_be_shown() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in _UNABLE:
            stream.reconfigure(errors="replace")


def _leave_stdout_alone() -> None:
    """Point stdout at nothing, or the interpreter complains when it flushes at exit."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
