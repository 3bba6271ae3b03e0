# SPDX-License-Identifier: Apache-2.0
"""How long an import takes, in a process that has imported nothing else.

What is imported is said as `module` or `module:name`: packages that import a name when it is first
used, as e2ecross does, are not through before.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from typing import Final

from benchmarks.job import Job

__all__ = [
    "OURS",
    "import_node",
    "import_package",
    "import_python",
    "third_party_modules",
    "time_import",
]

_PYTHON: Final = """\
import importlib, sys, time
start = time.perf_counter()
for place in sys.argv[1:]:
    module, _, name = place.partition(":")
    found = importlib.import_module(module)
    if name:
        getattr(found, name)
print(time.perf_counter() - start)
"""

_NO_BYTECODE: Final = "PYTHONDONTWRITEBYTECODE"

_NODE: Final = """\
const { createRequire } = require("node:module");
const { pathToFileURL } = require("node:url");
const [folder, name] = process.argv.slice(1);
const path = createRequire(folder + "/package.json").resolve(name);
const start = process.hrtime.bigint();
import(pathToFileURL(path)).then(() =>
  console.log(Number(process.hrtime.bigint() - start) / 1e9));
"""


OURS: Final = ("e2ecross:Device", "e2ecross.stores:MemoryStore")
"""What it takes to have a device."""

_LISTING: Final = """\
import sys
from e2ecross import Device
from e2ecross.stores import MemoryStore
Device, MemoryStore
roots = ("cryptography", "nacl", "google")
print(*(name for name in sys.modules if name.partition(".")[0] in roots))
"""


def import_python(python: str, *places: str) -> Sequence[str]:
    """The command that times an import in that Python."""
    return (python, "-c", _PYTHON, *places)


def import_node(folder: str, package: str) -> Sequence[str]:
    """The command that times an import of a package in that folder's node_modules."""
    return ("node", "-e", _NODE, folder, package)


def import_package(job: Job) -> float:
    """Time `import e2ecross` alone: a name is imported when it is first used."""
    return time_import(import_python(sys.executable, "e2ecross"))


@cache
def third_party_modules() -> Sequence[str]:
    """The modules of cryptography, PyNaCl and protobuf that a device needs."""
    return tuple(_run((sys.executable, "-c", _LISTING)).split())


def time_import(command: Sequence[str]) -> float:
    """Run such a command; returns seconds.

    Raises:
        OSError, subprocess.CalledProcessError: it cannot be run.
    """
    return float(_run(command))


def _run(command: Sequence[str]) -> str:
    # Installed packages come with bytecode; a source tree gets its own in the first round, which
    # is not counted. Without this it would be compiled anew each time where that is set.
    environment = {name: value for name, value in os.environ.items() if name != _NO_BYTECODE}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return done.stdout
