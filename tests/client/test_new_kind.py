# SPDX-License-Identifier: Apache-2.0
"""A kind of content that was added as CONTRIBUTING.md says is sent, planned for and received."""

from typing import Any

import pytest

from e2ecross import Client, Expiry, Message, Policy, Text, UnsupportedContent
from e2ecross.errors import LossyContent
from tests.support.devices import ANA, BUDI, BackendSimulator, make_client
from tests.support.new_kind import DRAWING_ID, add_drawing

ALL = frozenset({10, DRAWING_ID, 32, 33})


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    return add_drawing(monkeypatch)


def clients(announced: frozenset[int]) -> tuple[Client, Client]:
    backend = BackendSimulator()
    ana = make_client(ANA, backend, policy=Policy(capabilities=ALL))
    return ana, make_client(BUDI, backend, policy=Policy(capabilities=announced))


def received(client: Client) -> Message:
    (item,) = client.receive()
    assert isinstance(item, Message)
    return item


def test_who_announces_it_gets_it(drawing: Any) -> None:  # noqa: ANN401
    ana, budi = clients(ALL)
    content = drawing(b"strokes")
    assert ana.send(BUDI, content, expiry=Expiry(60), view_once=True).plan.outcome == "loss_free"
    message = received(budi)
    assert (message.content, message.expiry, message.view_once) == (content, Expiry(60), True)


@pytest.mark.parametrize("announced", [frozenset[int](), frozenset({10})])
def test_who_does_not_gets_a_text_in_its_place(drawing: Any, announced: frozenset[int]) -> None:  # noqa: ANN401
    ana, budi = clients(announced)
    content = drawing(b"strokes")
    with pytest.raises(LossyContent) as raised:
        ana.send(BUDI, content)
    assert raised.value.plan.fallback == "[drawing]"
    ana.send(BUDI, content, allow_lossy=True)
    message = received(budi)
    if announced:
        assert isinstance(message.content, UnsupportedContent)
        assert message.content.frame is not None
        assert message.content.frame.fallback == "[drawing]"
    else:
        assert message.content == Text("[drawing]")
