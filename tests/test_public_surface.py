# SPDX-License-Identifier: Apache-2.0
"""What a public signature names is public, too, and nothing private is reached by a public name."""

import inspect
import typing
from collections.abc import Iterator
from types import ModuleType

import pytest

import e2ecross
from e2ecross import errors, relay, service, stores
from tests.support.service import require_extras

require_extras("psycopg")

PACKAGES = [e2ecross, relay, service, stores, errors]
PUBLIC = {
    id(getattr(package, name)): f"{package.__name__}.{name}"
    for package in PACKAGES
    for name in package.__all__
}

# Nobody has to name these.
OPAQUE = {
    # What users are given, and do not make.
    "e2ecross.client.blob_answers.CheckedBlobs",
    "e2ecross.client.group_ways.GroupWays",
    "e2ecross.client.link.Link",
    "e2ecross.client.spool.Spool",
    "e2ecross.protocol.linking.PrimaryOffered",
    "e2ecross.state.context.Context",
    "e2ecross.wire.upload_records.UploadRecord",
    # What `confirm` finds an item by.
    "e2ecross.state.receipt.Receipt",
    # What is anything with a `write`.
    "e2ecross.protocol.attachment_chunks.Sink",
    # What a service asks a relay.
    "e2ecross.relay.depositing.DepositCall",
    # What clients tell each other: who has a `Device` alone drops a `ControlMessage`.
    "e2ecross.wire.content.conversation_states.ConversationStates",
    "e2ecross.wire.content.device_list_push.DeviceListPush",
    "e2ecross.wire.content.device_request.DeviceRequest",
    "e2ecross.wire.content.group_commits.GroupCommits",
    "e2ecross.wire.content.group_resent.GroupResent",
    "e2ecross.wire.content.group_retry_request.GroupRetryRequest",
    "e2ecross.wire.content.history.History",
    "e2ecross.wire.content.pins.Pins",
    "e2ecross.wire.content.read_marks.ReadMarks",
    "e2ecross.wire.content.sender_key_grant.SenderKeyGrant",
    "e2ecross.wire.content.typing_state.Typing",
}


# object, Any: an annotation may be anything.
def classes_in(annotation: object) -> Iterator[str]:
    """Those of the package that an annotation names and that are not public."""
    if id(annotation) in PUBLIC:
        return
    for part in typing.get_args(annotation):
        for each in part if isinstance(part, list) else [part]:
            yield from classes_in(each)
    origin = typing.get_origin(annotation)
    if isinstance(origin, type):
        yield from classes_in(origin)
    elif isinstance(annotation, type) and annotation.__module__.startswith("e2ecross"):
        yield f"{annotation.__module__}.{annotation.__qualname__}"


def signatures(value: typing.Any) -> Iterator[typing.Any]:  # noqa: ANN401
    """A function; or a class, and what of it is public."""
    yield value
    for name in dir(value) if isinstance(value, type) else ():
        if name == "__init__" or not name.startswith("_"):
            member = inspect.getattr_static(value, name)
            member = member.fget if isinstance(member, property) else member
            member = getattr(member, "__func__", member)
            if inspect.isfunction(member):
                yield inspect.unwrap(member)


def hints(value: typing.Any) -> dict[str, object]:  # noqa: ANN401
    """The annotations of a signature, of a class without those of private fields."""
    given = vars(inspect.getmodule(value))
    hidden = {"Executor": object, "Metrics": object, "RequestLog": object}  # for type checkers only
    found = typing.get_type_hints(value, {**hidden, **given})
    return {name: hint for name, hint in found.items() if not name.startswith("_")}


def test_what_a_public_signature_names_is_public() -> None:
    named = {
        each
        for package in PACKAGES
        for name in package.__all__
        if callable(value := getattr(package, name))
        for signature in signatures(value)
        for hint in hints(signature).values()
        for each in classes_in(hint)
    }
    assert named == OPAQUE


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_a_public_name_is_there_and_listed(package: ModuleType) -> None:
    for name in package.__all__:
        assert getattr(package, name) is not None
        assert name in dir(package)
    assert sorted(set(package.__all__)) == sorted(package.__all__)


@pytest.mark.parametrize("name", ["Device", "Client", "Group", "Timeline"])
def test_nothing_private_is_reached_by_a_public_name(name: str) -> None:
    kind = getattr(e2ecross, name)
    public = {attribute for attribute in dir(kind) if not attribute.startswith("_")}
    assert not public & {"backend", "context", "entropy", "link", "policy", "store", "token"}
