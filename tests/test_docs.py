# SPDX-License-Identifier: Apache-2.0
"""What the documents say is true: their code runs, their links lead somewhere, their lists match.

The Python blocks of one document build on each other. Those of the README stand alone
(test_readme.py).
"""

import argparse
import ast
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from e2ecross import (
    AccountDevice,
    AccountDevices,
    DeviceLink,
    LinkState,
    Pairing,
    Policy,
    errors,
)
from e2ecross.cli.relay_parser import add_relay_options
from e2ecross.client.account_calls import AccountCalls
from e2ecross.client.backend import Backend
from e2ecross.crypto import (
    account_kdf,
    attachment_kdf,
    commitment_kdf,
    group_kdf,
    kdf,
    link_kdf,
    spqr_kdf,
)
from e2ecross.crypto.passphrase import MAX_PASSPHRASE_BYTES, PassphraseCost
from e2ecross.device import identity_backup
from e2ecross.protocol import safety_number
from e2ecross.relay import RelayLimits
from e2ecross.service.limits import Rates, ServiceLimits
from e2ecross.stores import Table, sealing_header
from e2ecross.stores.checks import DEFAULT_BUSY_TIMEOUT_MS
from e2ecross.stores.sqlite import LARGE_WAL_BYTES, RESTART_EVERY, TRUNCATE_EVERY
from e2ecross.wire import limits
from e2ecross.wire._pb.e2ecross.v1 import (
    address_pb2,
    backup_pb2,
    bundle_pb2,
    content_pb2,
    devices_pb2,
    envelope_pb2,
    group_pb2,
    storage_pb2,
    timeline_pb2,
)
from e2ecross.wire._pb.signal import wire_pb2
from tests.support.documents import (
    DOCUMENTS,
    ROOT,
    anchors,
    blocks,
    check_command,
    commands,
    headings,
    links,
    name,
    prose,
    run_python,
    section,
    table,
)
from tests.support.postgres import require_postgres
from tests.support.postgres_stores import address_of_stores
from tests.support.service import require_extras

DOCS = ROOT / "docs"
PACKAGE = ROOT / "e2ecross"
ARCHITECTURE = DOCS / "architecture.md"
WIRE_FORMAT = DOCS / "wire-format.md"
HOW_TO = DOCS / "how-to.md"
STORAGE = DOCS / "storage.md"
SERVICE = DOCS / "service.md"
INDEXES = [DOCS / folder / "README.md" for folder in (".", "adr", "examples", "reference")]
FLEET = DOCS / "fleet.md"
METRICS = DOCS / "metrics.md"

with_code = [path for path in DOCUMENTS if path.parent != ROOT and blocks(path, "python")]
all_commands = sorted({command for path in DOCUMENTS for command in commands(path)})


def plain(number: str) -> int:
    """Read a number that is written with commas."""
    return int(number.replace(",", ""))


# --- Code, commands, links ------------------------------------------------------------------


@pytest.mark.parametrize("path", with_code, ids=name)
def test_the_python_blocks_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if path == SERVICE:
        require_extras("fastapi")
    if path == FLEET:
        require_postgres()
        monkeypatch.setenv("E2ECROSS_DATABASE", address_of_stores())
    if path == METRICS:
        require_extras()
    run_python("\n".join(blocks(path, "python")), tmp_path)


def test_blocks_are_python_or_shell() -> None:
    for path in DOCUMENTS:
        fences = re.findall(r"^```(\w*)$", path.read_text("utf-8"), re.MULTILINE)
        assert {*fences[::2]} <= {"python", "sh"}, name(path)


@pytest.mark.parametrize("command", all_commands)
def test_a_command_exists(command: str) -> None:
    if "benchmarks.service" in command:
        require_extras()
    if "benchmarks.fleet" in command:
        require_extras("psycopg")
    check_command(command)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in links(path):
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        assert file.is_relative_to(ROOT), f"{name(path)}: {link}"
        assert file.exists(), f"{name(path)}: {link}"
        assert not anchor or anchor in anchors(file), f"{name(path)}: {link}"


@pytest.mark.parametrize("index", INDEXES, ids=name)
def test_an_index_has_every_document_of_its_folder(index: Path) -> None:
    named = {link.partition("#")[0] for link in links(index)}
    assert {path.name for path in index.parent.glob("*.md")} - named == {"README.md"}


def sources() -> Iterator[tuple[Path, str]]:
    for folder in ("e2ecross", "proto", "tests", "benchmarks", ".ci"):
        for path in sorted(ROOT.joinpath(folder).rglob("*")):
            vendored = {"node_modules", ".venv", "__pycache__"} & {*path.parts}
            if path.suffix in {".py", ".proto", ".sql", ".js", ".sh"} and not vendored:
                yield path, path.read_text("utf-8")


def test_documents_cited_in_the_code_exist() -> None:
    cited = []
    for path, text in sources():
        for match in re.finditer(r"\bdocs/([\w/-]+\.md)(?:,\s+([A-Za-z][A-Za-z -]*))?", text):
            document, cited_section = DOCS / match[1], match[2]
            cited.append(match[0])
            assert document.is_file(), f"{name(path)}: {match[0]}"
            if cited_section is not None:
                known = {heading.casefold() for heading in headings(document)}
                assert cited_section.strip().casefold() in known, f"{name(path)}: {match[0]}"
    assert len(cited) > 10


def test_files_named_in_the_documents_exist() -> None:
    named = re.compile(r"`((?:e2ecross|proto|tests|docs|\.ci)/[\w./-]*)`")
    for path in DOCUMENTS:
        for match in named.findall(prose(path)):
            assert ROOT.joinpath(match).exists(), f"{name(path)}: {match}"


def test_nothing_outside_of_the_project_is_referred_to() -> None:
    for path in DOCUMENTS:
        assert "../shared" not in path.read_text("utf-8"), name(path)


# --- docs/architecture.md -------------------------------------------------------------------

FLOORS = ["errors/", "arguments.py", "lazy.py", "metrics.py", "address.py"]
FLOORS += ["crypto/", "wire/", "stores/", "protocol/", "conversation/", "relay/"]
FLOORS += ["state/", "demo/", "device/", "client/", "service/", "cli/"]


def modules() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if "_pb" not in path.parts]


def imports(path: Path) -> set[str]:
    """The modules that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.module is not None
            assert not node.level, f"{name(path)} imports relatively"
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found


def floor(path: Path) -> str:
    first, *rest = path.relative_to(PACKAGE).parts
    return f"{first}/" if rest else first


def test_the_rooms_are_those_of_the_tree() -> None:
    listed = [row[0].strip("`") for row in table(section(ARCHITECTURE, "Rooms"))]
    assert sorted(listed) == sorted(name(path) for path in modules() if path.name != "__init__.py")


def test_the_floors_import_what_the_table_allows() -> None:
    allowed = {
        row[0].strip("`"): {*re.findall(r"`(\w+)`", row[1])}
        for row in table(section(ARCHITECTURE, "Floors"))
    }
    assert sorted(allowed) == sorted(FLOORS)
    for path in modules():
        here = floor(path)
        if here not in allowed:  # __init__.py and __main__.py of the package
            continue
        own = here.strip("/").removesuffix(".py")
        for module in imports(path):
            package, _, rest = module.partition(".")
            if package == "e2ecross" and rest not in ("", "__version__"):
                assert rest.split(".")[0] in allowed[here] | {own}, f"{name(path)}: {module}"


def test_the_narrower_rules_of_the_floors_hold() -> None:
    for path in modules():
        here, found = floor(path), imports(path)
        roots = {module.partition(".")[0] for module in found}
        assert here == "crypto/" or not roots & {"cryptography", "nacl"}, name(path)
        assert here == "wire/" or "google" not in roots, name(path)
        assert here == "wire/" or not any("._pb" in module for module in found), name(path)
        crypto = any(module.startswith("e2ecross.crypto") for module in found)
        sealing = path.name in {"sealing.py", "sealing_header.py", "postgres_sealing.py"}
        assert here != "stores/" or sealing or not crypto, name(path)
        stores = {module for module in found if module.startswith("e2ecross.stores")}
        base = all(module.startswith("e2ecross.stores.base") for module in stores)
        assert here not in {"state/", "device/", "client/"} or base, name(path)
        wire = {module.split(".")[2] for module in found if module.startswith("e2ecross.wire.")}
        public = {"envelope", "bundle", "call_arguments", "device_list", "exchange", "limits"}
        assert here != "relay/" or wire <= public, name(path)


# --- docs/wire-format.md --------------------------------------------------------------------

MESSAGES = {
    message.DESCRIPTOR.name: message
    for module in (
        address_pb2,
        backup_pb2,
        bundle_pb2,
        content_pb2,
        devices_pb2,
        envelope_pb2,
        group_pb2,
        storage_pb2,
        timeline_pb2,
        wire_pb2,
    )
    for message in vars(module).values()
    if inspect.isclass(message) and issubclass(message, Message)
}

TYPES = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
}


# Any: each implementation of protobuf has a descriptor class of its own.
def type_of(field: Any) -> str:  # noqa: ANN401
    kind = TYPES[field.type] if field.message_type is None else field.message_type.name
    return f"repeated {kind}" if isinstance(field.default_value, list) else kind


@pytest.mark.parametrize("message", MESSAGES)
def test_every_field_is_described(message: str) -> None:
    described = [tuple(row[:3]) for row in table(section(WIRE_FORMAT, f"Fields of {message}"))]
    assert described == [
        (field.name, str(field.number), type_of(field))
        for field in MESSAGES[message].DESCRIPTOR.fields
    ]


def test_the_limits_are_those_of_the_code() -> None:
    rows = table(section(WIRE_FORMAT, "Limits"))
    assert {row[0].strip("`"): plain(row[1]) for row in rows} == {
        limit: getattr(limits, limit) for limit in limits.__all__
    }


def test_the_limits_within_sentences_are_those_of_the_code() -> None:
    text = " ".join(WIRE_FORMAT.read_text("utf-8").split())
    for sentence in (
        f"up to {limits.MAX_ARCHIVED_SESSIONS} *archived* ones",
        f"the held session has read {limits.MAX_HELD_MESSAGES} messages",
        f"more than {limits.MAX_CLOSING_GAP:,} keys would have to be derived",
        f"at most {limits.MAX_CONTENT_BODY_BYTES:,} bytes",
        f"at most {limits.MAX_CONTENT_BYTES:,} bytes",
        f"up to i = {safety_number._ITERATIONS}",
    ):
        assert sentence in text
    assert limits.MAX_RECEIVING_CHAINS == 5
    assert "At most five receiving chains" in text


def test_the_labels_are_those_of_the_code() -> None:
    text = WIRE_FORMAT.read_text("utf-8")
    for label in (
        kdf._X3DH_INFO,
        kdf._ROOT_INFO,
        kdf._MESSAGE_INFO,
        kdf._BASE_KEY_HASH_PREFIX,
    ):
        assert f'"{label.decode()}"' in text
    for label in (
        spqr_kdf._PQXDH_INFO,
        spqr_kdf._UPDATE_INFO,
        spqr_kdf._HEADER_LABEL,
        spqr_kdf._CIPHERTEXT_LABEL,
        spqr_kdf._SECRET_INFO,
        spqr_kdf._START_INFO,
        spqr_kdf._EPOCH_INFO,
        spqr_kdf._LINK_INFO,
        link_kdf._KEYS_INFO,
        link_kdf._DIGITS_LABEL,
    ):
        assert f'"{label.decode()}"' in text
    modules_ = (account_kdf, attachment_kdf, commitment_kdf, group_kdf, link_kdf)
    labelled = "".join(map(inspect.getsource, modules_))
    prefixes = {*re.findall(r'prefixed\("([^"]+)"\)', labelled)}
    assert prefixes == {*re.findall(r'PFX\("([^"]+)"\)', text)}
    assert len(prefixes) >= 6
    assert f'"{identity_backup._LABEL.decode()}"' in text
    for label in (sealing_header._SEALING_INFO, sealing_header._BLINDING_INFO):
        assert f"`{label.decode()}`" in STORAGE.read_text("utf-8")


def test_the_tables_of_a_store_are_all_described() -> None:
    rows = table(section(WIRE_FORMAT, "Records at rest"))
    assert [row[0].strip("`") for row in rows] == [kind.value for kind in Table]
    records = {record for row in rows for record in row[3].split("; ")}
    plain = {"the byte `01` alone", "a KEM ciphertext, 1569 bytes", "an address key"}
    assert records - plain <= MESSAGES.keys()
    assert plain <= records


# --- docs/how-to.md and docs/storage.md -----------------------------------------------------


def test_the_settings_are_those_of_the_policy() -> None:
    rows = table(section(HOW_TO, "Settings"))
    policy = Policy()
    assert [(row[0].strip("`"), row[1].replace(",", "")) for row in rows] == [
        (field.name, str(getattr(policy, field.name))) for field in fields(policy)
    ]


def test_the_bounds_of_a_relay_are_those_of_the_code() -> None:
    rows = table(section(HOW_TO, "Run the reference back end"))
    relay_limits = RelayLimits()
    assert [(row[0].strip("`"), plain(row[1])) for row in rows] == [
        (field.name, getattr(relay_limits, field.name)) for field in fields(relay_limits)
    ]


def test_the_limits_of_the_service_are_those_of_the_code() -> None:
    rows = table(section(SERVICE, "Limits"))
    kinds = (ServiceLimits(), Rates())
    assert [(row[0].strip("`"), plain(row[1])) for row in rows] == [
        (field.name, getattr(limits, field.name)) for limits in kinds for field in fields(limits)
    ]


def test_the_options_of_the_service_are_those_of_the_command() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    add_relay_options(parser)
    text = SERVICE.read_text("utf-8")
    for action in parser._actions:
        assert any(f"`{option}" in text for option in action.option_strings), action.dest


def test_the_errors_are_those_of_the_tree() -> None:
    branches = (errors.LocalError, errors.RemoteError, errors.StoreError, errors.BackendError)
    rows = table(section(HOW_TO, "Errors"))
    assert [(row[0].strip("`"), row[1].strip("`"), row[2].strip("`")) for row in rows] == [
        (error.__name__, error.code, branch.__name__)
        for branch in branches
        for error in vars(sys.modules[branch.__module__]).values()
        if inspect.isclass(error) and issubclass(error, branch) and error not in branches
    ]


def test_a_device_is_linked_in_less_than_twenty_lines_at_both_ends_together() -> None:
    ends = [block for block in blocks(HOW_TO, "python") if re.search(r"^def link_", block, re.M)]
    assert [re.findall(r"^def (\w+)", block, re.M) for block in ends] == [
        ["link_this_device"],
        ["link_another_device"],
    ]
    assert sum(bool(line) for block in ends for line in block.splitlines()) < 20


def test_all_that_can_be_done_about_accounts_is_told() -> None:
    told = set(re.findall(r"`(\w+)(?:\(.*?\))?`", section(DOCS / "devices.md", "Calls")))
    for owner in (AccountCalls, AccountDevice, AccountDevices, DeviceLink, Pairing):
        assert {name for name in vars(owner) if not name.startswith("_")} <= told, owner.__name__
    assert {state.value for state in LinkState} <= told


def test_the_methods_of_a_backend_are_as_many_as_it_says() -> None:
    methods = [method for method in vars(Backend) if not method.startswith("_")]
    assert len(methods) == 12
    assert "the twelve methods of the `Backend` protocol" in HOW_TO.read_text("utf-8")


def test_the_numbers_of_the_stores_are_those_of_the_code() -> None:
    text = " ".join(STORAGE.read_text("utf-8").split())
    assert f"`busy_timeout_ms` ({DEFAULT_BUSY_TIMEOUT_MS:,} by default)" in text
    assert f"written back every {RESTART_EVERY} commits" in text
    assert f"truncated every {TRUNCATE_EVERY} commits" in text
    assert f"the states of the last {TRUNCATE_EVERY} commits" in text
    assert f"more than {LARGE_WAL_BYTES:,} bytes" in text
    model = " ".join((DOCS / "security-model.md").read_text("utf-8").split())
    assert f"after {TRUNCATE_EVERY} commits to the file" in model
    assert f"more than {LARGE_WAL_BYTES:,} bytes" in model
    assert f"keeps {sealing_header._HEADER_BYTES} bytes by which it knows its key" in text
    assert f"keeps {sealing_header._PASSPHRASE_HEADER_BYTES} bytes: kind 2" in text
    assert f"1 to {MAX_PASSPHRASE_BYTES:,} bytes" in text


def test_the_costs_of_a_passphrase_are_those_of_the_code() -> None:
    rows = table(section(STORAGE, "Passphrases"))
    assert [(row[0].strip('`"'), plain(row[1]), plain(row[2])) for row in rows] == [
        (cost.value, cost.work.passes, cost.work.memory_kib // 1_024) for cost in PassphraseCost
    ]


def test_names_in_the_glossary_are_in_the_code() -> None:
    source = "\n".join(path.read_text("utf-8") for path in modules())
    for row in table(section(DOCS / "glossary.md", "Symbols of the specifications")):
        for word in re.findall(r"`(\w+)`", row[1]):
            assert re.search(rf"\b{word}\b", source), word
