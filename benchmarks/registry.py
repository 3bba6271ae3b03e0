# SPDX-License-Identifier: Apache-2.0
"""The columns of the table: who is measured, how each is started, and how to install it."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.contestants import imports
from benchmarks.contestants.imports import import_node, import_python, third_party_modules
from benchmarks.engine import ROOT, Engine, EngineFailed, LocalEngine, ProcessEngine
from benchmarks.machine import PYTHON, versions_of

__all__ = ["CONTESTANTS", "OURS", "REVISION", "Contestant"]

OURS: Final = "device"
"""The column that the ratios of others are to, if they name none."""

_BENCH: Final = 'python -m pip install -e ".[bench]"'
_PEERS: Final = "benchmarks/peers/install.sh"
_BOTH_NEED: Final = ("cryptography", "PyNaCl", "protobuf")
_INTEROP: Final = ROOT / "tests" / "interop"
_NODE: Final = ROOT / "benchmarks" / "peers" / "node"
_AXOLOTL: Final = str(_INTEROP / "axolotl" / ".venv" / "bin" / "python")
_CLIENT: Final = "@signalapp/libsignal-client"
_BEFORE: Final = ROOT / "benchmarks" / "peers" / "before"

REVISION: Final = (_BEFORE / "revision").read_text("ascii")[:7]
"""The commit that the columns of before are the build of, shortened."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A column.

    Attributes:
        name: in the results.
        title: in the table.
        start: starts it for a whole run; raises `EngineFailed` if it is not there.
        start_fresh: the same for one sample, in a process of its own.
        import_command: what times its import; None where that says nothing new.
        install: the command that installs it; empty if it is always there.
        pace: how many times fewer steps than others it does, because it is slow.
        note: what has to be known to compare it.
        beside: the column that its ratios are to.
    """

    name: str
    title: str
    start: Callable[[], Engine]
    start_fresh: Callable[[], Engine]
    import_command: Callable[[], Sequence[str]] | None = None
    install: str = ""
    pace: int = 1
    note: str = ""
    beside: str = OURS


def _python(module: str, name: str, python: str = sys.executable) -> Engine:
    return ProcessEngine((python, "-m", "benchmarks.implementation", module, name))


def _before(name: str) -> Engine:
    """The build of before; its environment comes first, and brings our benchmarks itself."""
    python = str(_BEFORE / ".venv" / "bin" / "python")
    module = "benchmarks.implementation"
    engine = ProcessEngine((python, "-I", "-m", module, "before", name), {"revision": REVISION})
    ours = versions_of((*_BOTH_NEED, PYTHON))
    for package, version in ours.items():
        if (theirs := engine.versions[package]) != version:
            engine.close()
            raise EngineFailed(f"beside {package} {version} it has {theirs}: install it again")
    return engine


def _node(driver: str, package: str, folder: Path, *arguments: str) -> Engine:
    manifest = folder / "node_modules" / package / "package.json"
    try:
        version = json.loads(manifest.read_text("utf-8"))["version"]
    except OSError as error:
        raise EngineFailed("the package is not installed") from error
    command = ("node", "--expose-gc", str(_NODE / driver), str(folder), *arguments)
    return ProcessEngine(command, {package: version})


def _import_third_party() -> Sequence[str]:
    return import_python(sys.executable, *third_party_modules())


CONTESTANTS: Final = (
    Contestant(
        "floor",
        "floor",
        partial(LocalEngine, "ours", "floor"),
        partial(_python, "ours", "floor"),
        _import_third_party,
        note="the primitives of the operation alone, arranged well: no state, no checks but the "
        "MAC, no code of chunks; its import is that of the same modules of cryptography, nacl and "
        "google.protobuf; of a timeline: a dict that keeps the message; of clients: the commits "
        "that must happen, and `encrypt_many` and `decrypt_many` between them",
    ),
    Contestant(
        "floor-sealed",
        "floor, sealed",
        partial(LocalEngine, "ours", "floor-sealed"),
        partial(_python, "ours", "floor-sealed"),
        pace=10,
        note="that of clients, where the device is on a `SQLiteStore` with a key",
        beside="sealed",
    ),
    Contestant(
        "protocol",
        "e2ecross protocol",
        partial(LocalEngine, "ours", "protocol"),
        partial(_python, "ours", "protocol"),
        note="the protocol layer: states are values, nothing is stored",
    ),
    Contestant(
        "device",
        "e2ecross",
        partial(LocalEngine, "ours", "device"),
        partial(_python, "ours", "device"),
        partial(import_python, sys.executable, *imports.OURS),
        note="`Device` on a `MemoryStore`, by `encrypt_raw` and `decrypt_raw`",
    ),
    Contestant(
        "sqlite",
        "e2ecross SQLite",
        partial(LocalEngine, "ours", "sqlite"),
        partial(_python, "ours", "sqlite"),
        pace=10,
        note="the same on a `SQLiteStore`: every message is a commit",
    ),
    Contestant(
        "sealed",
        "e2ecross sealed",
        partial(LocalEngine, "ours", "sealed"),
        partial(_python, "ours", "sealed"),
        pace=10,
        note="the same on a `SQLiteStore` with a key",
    ),
    Contestant(
        "before",
        f"e2ecross {REVISION}",
        partial(_before, "before"),
        partial(_before, "before"),
        install=_PEERS,
        note="an earlier build of ours, which sends to many in a loop of `send`",
    ),
    Contestant(
        "before-sealed",
        f"{REVISION} sealed",
        partial(_before, "before-sealed"),
        partial(_before, "before-sealed"),
        install=_PEERS,
        pace=10,
        note="the same on a `SQLiteStore` with a key",
        beside="sealed",
    ),
    Contestant(
        "two-threads",
        "e2ecross, two threads",
        partial(LocalEngine, "ours", "two-threads"),
        partial(_python, "ours", "two-threads"),
        note="of files: every other span of chunks is worked on in a second thread",
    ),
    Contestant(
        "signal-media",
        "format of Signal's files",
        partial(LocalEngine, "ours", "signal-media"),
        partial(_python, "ours", "signal-media"),
        note="AES-256-CBC, HMAC, SHA-256, written here with the primitives of the floor: one pass, "
        "in which the file is released before it is verified",
    ),
    Contestant(
        "whatsapp-media",
        "format of WhatsApp's files",
        partial(LocalEngine, "ours", "whatsapp-media"),
        partial(_python, "ours", "whatsapp-media"),
        note="likewise, with two SHA-256; without its sidecar, one more HMAC",
    ),
    Contestant(
        "matrix-nio",
        "matrix-nio",
        partial(_python, "matrix_nio", "matrix-nio"),
        partial(_python, "matrix_nio", "matrix-nio"),
        install=_BENCH,
        note="its own functions for files, which take one as a whole: AES-256-CTR, and one SHA-256 "
        "of all, so nothing is verified before the end",
    ),
    Contestant(
        "vodozemac",
        "vodozemac",
        partial(_python, "vodozemac", "vodozemac"),
        partial(_python, "vodozemac", "vodozemac"),
        partial(import_python, sys.executable, "vodozemac"),
        install=_BENCH,
        note="Olm, not Signal's protocol: three agreements, no signed prekey, at most 40 skipped "
        "keys of a chain are kept; a turn is made when sending",
    ),
    Contestant(
        "vodozemac-sqlite",
        "vodozemac SQLite",
        partial(_python, "vodozemac", "vodozemac-sqlite"),
        partial(_python, "vodozemac", "vodozemac-sqlite"),
        install=_BENCH,
        pace=10,
        note="the session stays in memory, and its encrypted pickle is committed with each message",
    ),
    Contestant(
        "doubleratchet",
        "DoubleRatchet",
        partial(_python, "double_ratchet", "doubleratchet"),
        partial(_python, "double_ratchet", "doubleratchet"),
        partial(import_python, sys.executable, "doubleratchet", "x3dh"),
        install=_BENCH,
        pace=2,
        note="with X3DH; it has no wire format, so messages are handed over as objects",
    ),
    Contestant(
        "axolotl",
        "python-axolotl",
        partial(_python, "axolotl", "axolotl", _AXOLOTL),
        partial(_python, "axolotl", "axolotl", _AXOLOTL),
        partial(import_python, _AXOLOTL, "axolotl.sessioncipher", "axolotl.sessionbuilder"),
        install=_PEERS,
        pace=4,
    ),
    Contestant(
        "libsignal-node",
        "libsignal-node",
        partial(_node, "libsignal_node.mjs", "libsignal-node", _INTEROP / "node"),
        partial(_node, "libsignal_node.mjs", "libsignal-node", _INTEROP / "node"),
        partial(import_node, str(_INTEROP / "node"), "libsignal-node"),
        install=_PEERS,
        pace=4,
        note="it ignores the result of a bundle's signature check",
    ),
    Contestant(
        "libsignal-0.22",
        "libsignal 0.22",
        partial(_node, "libsignal_client.mjs", _CLIENT, _INTEROP / "node", "x3dh"),
        partial(_node, "libsignal_client.mjs", _CLIENT, _INTEROP / "node", "x3dh"),
        partial(import_node, str(_INTEROP / "node"), _CLIENT),
        install=_PEERS,
        note="Rust through Node, the last generation that begins sessions of version 3",
    ),
    Contestant(
        "libsignal-0.103",
        "libsignal 0.103",
        partial(_node, "libsignal_client.mjs", _CLIENT, _NODE, "pqxdh"),
        partial(_node, "libsignal_client.mjs", _CLIENT, _NODE, "pqxdh"),
        partial(import_node, str(_NODE), _CLIENT),
        install=_PEERS,
        note="Rust through Node; its sessions are of version 4 in every row, so it is like for "
        "like in those of version 4 and of accounts alone",
    ),
)
