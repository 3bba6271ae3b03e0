# SPDX-License-Identifier: Apache-2.0
"""Which machine this is, which versions are installed, and how much memory is in use."""

import importlib.metadata
import os
import platform
import sqlite3
import ssl
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

__all__ = ["PYTHON", "describe_machine", "python_build", "resident_bytes", "versions_of"]

PYTHON = "Python"
"""Among versions: the build of the interpreter."""


def describe_machine() -> dict[str, str]:
    """What the figures depend on: processor, memory, system, Python, and what was measured."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        PYTHON: python_build(),
        "OpenSSL of hashlib": ssl.OPENSSL_VERSION,
        "SQLite": sqlite3.sqlite_version,
        "revision": _revision(),
    }


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """The installed versions of packages of this environment, and of `PYTHON`."""
    return {package: _version(package) for package in packages}


def python_build() -> str:
    """Which Python this is, who compiled it, and how: one without PGO is about 10 % slower."""
    compiler = platform.python_compiler().strip()
    name = f"{platform.python_implementation()} {platform.python_version()}, {compiler}"
    given = sysconfig.get_config_var("CONFIG_ARGS")
    if given is None:  # there is no configure script where it is not told
        return f"{name}, PGO and LTO unknown"
    told = f"{given} {sysconfig.get_config_var('PY_CFLAGS')}"
    has_pgo = "--enable-optimizations" in told or "-fprofile-use" in told
    has_lto = ("--with-lto" in told and "--with-lto=no" not in told) or "-flto" in told
    return f"{name}, {'with' if has_pgo else 'no'} PGO, {'with' if has_lto else 'no'} LTO"


def resident_bytes() -> int:
    """How much memory this process occupies now.

    Raises:
        OSError: this system does not tell (only Linux does).
    """
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _version(package: str) -> str:
    return python_build() if package == PYTHON else importlib.metadata.version(package)


def _revision() -> str:
    """Which commit of this project was measured, and whether something was changed since."""
    command = ("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def _processor() -> str:
    return _line("/proc/cpuinfo", "model name") or platform.processor() or "unknown"


def _memory() -> str:
    kibibytes = _line("/proc/meminfo", "MemTotal").partition(" ")[0]
    return f"{int(kibibytes) / 2**20:.0f} GiB" if kibibytes else "unknown"


def _line(path: str, key: str) -> str:
    """The value of the first line of that key, or nothing: only Linux has these files."""
    if sys.platform != "linux":
        return ""
    for line in Path(path).read_text("utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""
