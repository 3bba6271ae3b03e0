# SPDX-License-Identifier: Apache-2.0
"""Which machine this is, which versions are installed, and how much memory is in use."""

import importlib.metadata
import os
import platform
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = ["describe_machine", "resident_bytes", "versions_of"]


def describe_machine() -> dict[str, str]:
    """What the figures depend on: processor, memory, system, Python, and what was measured."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "OpenSSL of hashlib": ssl.OPENSSL_VERSION,
        "SQLite": sqlite3.sqlite_version,
        "revision": _revision(),
    }


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """The installed versions of packages of this environment."""
    return {package: importlib.metadata.version(package) for package in packages}


def resident_bytes() -> int:
    """How much memory this process occupies now.

    Raises:
        OSError: this system does not tell (only Linux does).
    """
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


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
