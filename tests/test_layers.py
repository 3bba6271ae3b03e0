# SPDX-License-Identifier: Apache-2.0
"""The allow-list of docs/architecture.md: who may import whom, and who may do what."""

import ast
import importlib
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

import e2ecross
import e2ecross.stores

ROOT = Path(__file__).parents[1] / "e2ecross"
PACKAGE = "e2ecross"

# What each part may import of the package. "wire" and the like stand for every module in it,
# except generated code, which has an entry of its own; a part may always import itself.
_BELOW_PROTOCOL = {"errors", "arguments", "address", "crypto", "wire"}
_BELOW_DEMO = {
    *_BELOW_PROTOCOL,
    "protocol",
    "state",
    "device",
    "client",
    "stores",
    "relay",
    "service",
}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "arguments": {"errors"},
    "lazy": set(),
    "metrics": {"arguments"},
    "address": {"errors"},
    "crypto": {"errors"},
    "wire": {"errors", "arguments", "address", "crypto.keys", "crypto.secret", "wire._pb"},
    "protocol": _BELOW_PROTOCOL,
    "conversation": {"errors", "arguments", "address", "wire"},
    "relay": {
        "errors",
        "arguments",
        "address",
        "wire.envelope",
        "wire.bundle",
        "wire.call_arguments",
        "wire.device_list",
        "wire.exchange",
        "wire.limits",
    },
    "stores": {"errors", "arguments", "address", "lazy", "metrics"},
    "state": {*_BELOW_PROTOCOL, "protocol", "stores.base"},
    "device": {*_BELOW_PROTOCOL, "protocol", "conversation", "state", "stores.base"},
    "client": {
        *{*_BELOW_PROTOCOL, "metrics", "protocol", "conversation", "state", "device"},
        "stores.base",
    },
    "service": {"errors", "arguments", "lazy", "address", "wire", "relay"},
    # What `inspect` shows of an envelope, how a database is reached, how things are counted.
    # And what an app of the page makes of its messages.
    "demo": {*_BELOW_DEMO, "conversation", "cli.describe", "cli.conninfo", "cli.doctor_finding"},
    "cli": {*_BELOW_DEMO, "demo", ""},
    "__main__": {"cli"},
    "": {
        *{"lazy", "errors", "metrics", "address", "wire", "protocol", "conversation"},
        *{"state", "device", "client", "crypto.entropy"},
    },
}
# Rooms that may import less than their floor: what an app loads for a back end over a network holds
# no relay and no client, and the other way round.
_WAY: set[str] = {
    *{"errors", "arguments", "address", "wire"},
    *{"service.transport", "service.connections", "service.urls", "service.extras"},
    *{"service.http_blobs", "service.http_calls"},
}
NARROW: dict[str, set[str]] = {
    "service.http_backend": _WAY,
    "service.http_blobs": _WAY,
    "service.http_calls": _WAY,
    "service.transport": _WAY,
    "service.connections": _WAY,
    "service.urls": _WAY,
    "service.aio": {
        *{"errors", "arguments", "address", "client.client", "client.groups", "state.inbox"},
        *{"wire.group", "service.async_group", "client.handing_out"},
    },
    "service.async_group": {"client.groups", "wire.group"},
}
# Narrow exceptions, each with its reason.
ALLOWED_BY_MODULE: dict[str, set[str]] = {
    # The length of a private key and of a signature, the sizes of a block and a MAC, the form of a
    # KEM ciphertext, the length of a KEM seed, the check of a KEM public key, the type of a message
    # key.
    "wire.bundle": {"crypto.kem", "crypto.xeddsa"},
    "wire.content.group_retry_request": {"crypto.group_kdf"},
    "wire.device_list": {"crypto.xeddsa"},
    "wire.group_commit": {"crypto.xeddsa"},
    "wire.linking": {"crypto.xeddsa"},
    "wire.person_link": {"crypto.xeddsa"},
    "wire.identity_backup": {"crypto.aead", "crypto.passphrase"},
    "wire.records": {"crypto.kem", "crypto.xeddsa"},
    "wire.session_records": {"crypto.kdf"},
    "wire.sender_key_message": {"crypto.kdf", "crypto.xeddsa"},
    "wire.signal_message": {"crypto.cipher", "crypto.kem"},
    # Records encrypted at rest.
    "stores.sealing": {"crypto"},
    "stores.sealing_header": {"crypto"},
    "stores.postgres_sealing": {"crypto"},
}

# Libraries and parts of the standard library that belong to some floors only.
RESERVED: dict[str, set[str]] = {
    "cryptography": {"crypto"},
    "nacl": {"crypto"},
    "google": {"wire"},
    "sqlite3": {"stores", "relay", "demo"},  # which shows what the relay's file holds
    "rich": {"demo"},
    "segno": {"demo"},
    "argparse": {"cli"},
    "starlette": {"service", "demo"},  # whose page is a service of its own
    "uvicorn": {"service", "demo"},
    "uvloop": {"service"},
    "prometheus_client": {"service"},
    "urllib3": {"service"},
    "psycopg": {"relay", "stores"},
    "psycopg_pool": {"relay"},
}
# What type checkers bring along, behind `if TYPE_CHECKING`: it is not installed.
FOR_TYPE_CHECKERS = {"state.message": {"typing_extensions"}}
_WORLD = {"time", "datetime", "os", "logging", "random", "secrets", "asyncio", "threading"}
_WORLD |= {"socket", "pathlib", "io", "sqlite3", "tempfile", "subprocess", "uuid", "warnings"}
FORBIDDEN: dict[str, set[str]] = {
    "protocol": _WORLD,
    "conversation": _WORLD,
    "wire": _WORLD,
    "crypto": _WORLD - {"secrets"},  # crypto.entropy is where randomness comes from
    "errors": _WORLD,
    "address": _WORLD,
}


def _modules() -> list[tuple[str, Path]]:
    """Name below the package, and file, of every module that a person wrote."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if "_pb" not in parts:
            found.append((".".join(part for part in parts if part != "__init__"), path))
    return found


MODULES = _modules()
everywhere = pytest.mark.parametrize(("name", "path"), MODULES, ids=[n or "." for n, _ in MODULES])


def _part(name: str) -> str:
    return name.partition(".")[0]


def _imports(name: str, path: Path) -> Iterator[str]:
    """Full name of every module, or of the name taken from it, that is imported anywhere."""
    package = [PACKAGE, *name.split(".")] if name else [PACKAGE]
    if path.name != "__init__.py":
        del package[-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                base = package[: len(package) - node.level + 1]
                module = ".".join([*base, *filter(None, [module])])
            below = module.removeprefix(PACKAGE).removeprefix(".").replace(".", "/")
            if _part(module) == PACKAGE and (ROOT / below).is_dir():
                yield from (f"{module}.{alias.name}" for alias in node.names)
            else:
                yield module


def _internal(name: str, path: Path) -> set[str]:
    """What a module imports of the package: names of modules that exist."""
    known = {module for module, _ in MODULES}
    found = set()
    for imported in _imports(name, path):
        if imported != PACKAGE and not imported.startswith(PACKAGE + "."):
            continue
        target = imported.removeprefix(PACKAGE).removeprefix(".")
        while target and target not in known and not target.startswith("wire._pb"):
            target = target.rpartition(".")[0]
        found.add(target)
    return found


def _is_allowed(name: str, target: str) -> bool:
    part = _part(name)
    if name in NARROW:
        return target == "" or any(
            target == entry or target.startswith(entry + ".") for entry in NARROW[name]
        )
    allowed = ALLOWED[part] | ALLOWED_BY_MODULE.get(name, set())
    if target.startswith("wire._pb"):
        return "wire._pb" in allowed
    if target == part or target.startswith(part + ".") if part else False:
        return True
    return any(target == entry or (entry and target.startswith(entry + ".")) for entry in allowed)


@everywhere
def test_module_imports_only_what_its_floor_may(name: str, path: Path) -> None:
    forbidden = {target for target in _internal(name, path) if not _is_allowed(name, target)}
    assert not forbidden


def test_every_part_of_the_package_is_on_the_list() -> None:
    assert {_part(name) for name, _ in MODULES} <= set(ALLOWED)


def test_there_is_no_cycle() -> None:
    # A package's own __init__ runs first, whatever of it is imported.
    graph = {name: _internal(name, path) for name, path in MODULES}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"cycle: {' -> '.join((*trail, name))}"
        if name not in done:
            for target in graph.get(name, ()):
                visit(target, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@everywhere
def test_libraries_are_used_on_their_floor_only(name: str, path: Path) -> None:
    for imported in _imports(name, path):
        top = _part(imported)
        if top in RESERVED:
            assert _part(name) in RESERVED[top], imported
        elif top != PACKAGE and imported not in FOR_TYPE_CHECKERS.get(name, set()):
            assert top in sys.stdlib_module_names, imported


@everywhere
def test_core_does_not_reach_into_the_world(name: str, path: Path) -> None:
    forbidden = FORBIDDEN.get(_part(name), set())
    if _part(name) == "crypto":
        forbidden = forbidden | {"secrets"}
    if name == "crypto.entropy":  # os.urandom; `secrets` takes 4 ms to import
        forbidden = forbidden - {"os"}
    assert not {_part(imported) for imported in _imports(name, path)} & forbidden
    if forbidden:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            assert not isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncWith)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"open", "print", "input", "exec", "eval", "__import__"}


@everywhere
def test_modules_and_functions_can_be_read_at_once(name: str, path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= 60, f"{node.name} has {lines} lines"


def test_half_of_the_modules_are_short() -> None:
    lengths = sorted(path.read_text("utf-8").count("\n") for _, path in MODULES)
    assert lengths[len(lengths) // 2] <= 180


@everywhere
def test_clients_leave_transactions_clock_and_randomness_to_the_device(
    name: str, path: Path
) -> None:
    if _part(name) == "client":
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute):
                assert node.attr not in {"transaction", "clock", "entropy"}, node.lineno
            elif isinstance(node, ast.Name):
                assert node.id not in {"tx", "Transaction", "Table"}, node.lineno


@everywhere
def test_nothing_is_checked_by_assert(name: str, path: Path) -> None:
    lines = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Assert)
    ]
    assert not lines


def _all_of(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets):
                assert node.value is not None
                names = ast.literal_eval(node.value)
                assert isinstance(names, list | tuple)
                return [str(item) for item in names]
    return None


def _defined(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {t.id for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


@everywhere
def test_public_module_says_what_is_public(name: str, path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    if path.name in {"__init__.py", "__main__.py"} and not _defined(tree):
        return
    public = _all_of(tree)
    if path.name == "__init__.py":  # what is imported on first use is declared in a block
        for node in tree.body:
            if isinstance(node, ast.If):
                tree.body = [*tree.body, *node.body]
    if path.name == "__main__.py" and public is None:
        return
    assert public is not None
    assert sorted(public) == sorted(set(public))
    assert set(public) <= _defined(tree) | {"__version__"}
    assert not [item for item in public if item.startswith("_") and item != "__version__"]


@everywhere
def test_init_files_only_reexport(name: str, path: Path) -> None:
    if path.name != "__init__.py":
        return
    for node in ast.parse(path.read_text("utf-8")).body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_all = isinstance(node, ast.Assign | ast.AnnAssign) and ast.unparse(node).startswith(
            ("__all__", "__version__")
        )
        is_import = isinstance(node, ast.ImportFrom | ast.Import)
        is_lazy = (
            (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
            or (isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "_HOMES")
            or (ast.unparse(node) == "__getattr__, __dir__ = lazy_names(__name__, _HOMES)")
        )
        assert is_docstring or is_all or is_import or is_lazy, ast.unparse(node)


@pytest.mark.parametrize("package", [e2ecross, e2ecross.stores])
def test_names_that_are_imported_on_first_use(package: types.ModuleType) -> None:
    tree = ast.parse(Path(package.__file__ or "").read_text("utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    declared = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert declared == vars(package)["_HOMES"]
    assert sorted(declared) == sorted({*package.__all__} - {"__version__"})
    for name, home in declared.items():
        assert name in dir(package)
        try:
            module = importlib.import_module(str(home))
        except ImportError:
            with pytest.raises(ImportError, match="needs the extra"):
                getattr(package, name)
        else:
            assert getattr(package, name) is getattr(module, name)
    with pytest.raises(AttributeError, match="no attribute 'Devise'"):
        package.Devise  # noqa: B018


@everywhere
def test_module_begins_with_its_licence_and_a_docstring(name: str, path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.startswith("# SPDX-License-Identifier: Apache-2.0\n")
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("protocol.ratchet", "wire.signal_message", True),
        ("protocol.ratchet", "wire._pb.signal.wire_pb2", False),
        ("protocol.ratchet", "device.device", False),
        ("wire.content", "wire._pb.e2ecross.v1.content_pb2", True),
        ("wire.content", "crypto.cipher", False),
        ("wire.content", "protocol.session", False),
        ("crypto.keys", "address", False),
        ("crypto.keys", "crypto.entropy", True),
        ("relay.relay", "crypto.keys", False),
        ("relay.relay", "wire.records", False),
        ("relay.relay", "wire.envelope", True),
        ("relay.devices", "wire.device_list", True),
        ("relay.devices", "protocol.device_list", False),
        ("stores.sqlite", "crypto.aead", False),
        ("stores.sealing", "crypto.aead", True),
        ("device.device", "stores.sqlite", False),
        ("device.device", "stores.base", True),
        ("state.trust", "device.sending", False),
        ("device.sending", "state.trust", True),
        ("device.sending", "client.link", False),
        ("client.link", "device.sending", True),
        ("client.link", "relay.relay", False),
        ("errors", "address", False),
        ("address", "errors", True),
        ("arguments", "errors", True),
        ("arguments", "address", False),
        ("lazy", "errors", False),
        ("crypto.kdf", "wire.limits", False),
        ("protocol.x3dh", "stores.base", False),
        ("protocol.session", "state.trust", False),
        ("stores.memory", "wire.records", False),
        ("stores.sqlite", "protocol.session", False),
        ("stores.sqlite", "state.trust", False),
        ("relay.relay", "wire.exchange", True),
        ("relay.relay", "protocol.session", False),
        ("relay.relay", "stores.base", False),
        ("relay.relay", "client.backend", False),
        ("state.inbox", "protocol.session", True),
        ("state.inbox", "wire._pb.e2ecross.v1.storage_pb2", False),
        ("state.inbox", "stores.memory", False),
        ("state.inbox", "client.client", False),
        ("state.inbox", "relay.relay", False),
        ("device.posting", "state.outbox", True),
        ("device.posting", "relay.relay", False),
        ("client.client", "wire._pb.e2ecross.v1.storage_pb2", False),
        ("client.client", "stores.sqlite", False),
        ("demo.script", "client.client", True),
        ("conversation.join", "wire.content", True),
        ("conversation.join", "crypto.keys", False),
        ("conversation.storage", "stores.base", False),
        ("conversation.storage", "wire._pb.e2ecross.v1.timeline_pb2", False),
        ("conversation.entry", "state.message", False),
        ("device.sending", "conversation.negotiation", True),
        ("protocol.session", "conversation.join", False),
        ("client.client", "demo.script", False),
        ("client.client", "service.aio", False),
        ("relay.relay", "service.mail_bell", False),
        ("service.asgi", "relay.relay", True),
        ("service.asgi", "crypto.keys", False),
        ("service.http_backend", "relay.relay", False),
        ("service.http_backend", "client.client", False),
        ("service.http_backend", "wire.exchange", True),
        ("service.asgi", "client.client", False),
        ("service.aio", "client.client", True),
        ("service.aio", "relay.relay", False),
        ("cli.relay", "service.serving", True),
    ],
)
def test_the_list_itself(name: str, target: str, expected: bool) -> None:
    assert _is_allowed(name, target) is expected
