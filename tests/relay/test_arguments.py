# SPDX-License-Identifier: Apache-2.0
"""Wrong arguments are `InvalidArgument` that names the argument, and change nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from e2ecross.errors import InvalidArgument
from e2ecross.relay import Relay
from tests.relay.support import ANA, BUDI, envelope, published, token

KEY = token(ANA)
WRONG: list[tuple[str, Callable[[Any], object]]] = [
    ("address", lambda relay: relay.register("whatsapp:ana.1", KEY)),
    ("token", lambda relay: relay.register(ANA, KEY.hex())),
    ("token", lambda relay: relay.register(ANA, bytearray(KEY))),
    ("token", lambda relay: relay.register(ANA, KEY[:-1])),
    ("token", lambda relay: relay.register(ANA, KEY + b"\0")),
    ("token", lambda relay: relay.publish(None, published(ANA))),
    ("published", lambda relay: relay.publish(KEY, published(ANA).encode())),
    ("address", lambda relay: relay.one_time_prekey_count(str(ANA), KEY)),
    ("token", lambda relay: relay.one_time_prekey_count(ANA, 5)),
    ("requester", lambda relay: relay.fetch_bundle(None, KEY, BUDI)),
    ("token", lambda relay: relay.fetch_bundle(ANA, b"", BUDI)),
    ("address", lambda relay: relay.fetch_bundle(ANA, KEY, BUDI.user_id)),
    ("token", lambda relay: relay.deposit("", envelope(ANA, BUDI).encode())),
    ("envelope", lambda relay: relay.deposit(KEY, envelope(ANA, BUDI))),
    ("envelope", lambda relay: relay.deposit(KEY, memoryview(envelope(ANA, BUDI).encode()))),
    ("address", lambda relay: relay.fetch(1, KEY, 1)),
    ("token", lambda relay: relay.fetch(ANA, 1, 1)),
    ("limit", lambda relay: relay.fetch(ANA, KEY, 0)),
    ("limit", lambda relay: relay.fetch(ANA, KEY, 1001)),
    ("limit", lambda relay: relay.fetch(ANA, KEY, True)),
    ("limit", lambda relay: relay.fetch(ANA, KEY, "5")),
    ("after", lambda relay: relay.fetch(ANA, KEY, 1, -1)),
    ("after", lambda relay: relay.fetch(ANA, KEY, 1, 2**63)),
    ("after", lambda relay: relay.fetch(ANA, KEY, 1, None)),
    ("address", lambda relay: relay.acknowledge(None, KEY, [1])),
    ("token", lambda relay: relay.acknowledge(ANA, None, [1])),
    ("numbers", lambda relay: relay.acknowledge(ANA, KEY, 1)),
    ("numbers", lambda relay: relay.acknowledge(ANA, KEY, b"\x01")),
    ("numbers", lambda relay: relay.acknowledge(ANA, KEY, {1})),
    ("numbers", lambda relay: relay.acknowledge(ANA, KEY, [1, "2"])),
    ("numbers", lambda relay: relay.acknowledge(ANA, KEY, [True])),
    ("address", lambda relay: relay.waiting("whatsapp:ana.1")),
]


@pytest.mark.parametrize(("name", "call"), WRONG)
def test_wrong_arguments_are_named(relay: Relay, name: str, call: Callable[[Any], object]) -> None:
    with pytest.raises(InvalidArgument, match=rf"^{name} must ") as caught:
        call(relay)
    assert KEY.hex() not in str(caught.value)
    assert repr(KEY) not in str(caught.value)


def test_the_bounds_of_fetch_are_allowed(relay: Relay) -> None:
    assert relay.fetch(ANA, KEY, 1000) == []
    assert relay.fetch(ANA, KEY, 1, 2**63 - 1) == []


@pytest.mark.parametrize(
    "path", ["", ":memory:", "a\0b", b"relay.db", None, 5, pytest.param(Path, id="class")]
)
def test_a_path_that_names_no_file_is_refused(path: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument, match=r"^path must "):
        Relay(path)


@pytest.mark.parametrize("name", ["authorise", "limits", "clock"])
def test_wrong_settings_are_named(tmp_path: Path, name: str) -> None:
    wrong: Any = {name: 5}
    with pytest.raises(InvalidArgument, match=rf"^{name} must "):
        Relay(tmp_path / "relay.db", **wrong)
    assert list(tmp_path.iterdir()) == []
