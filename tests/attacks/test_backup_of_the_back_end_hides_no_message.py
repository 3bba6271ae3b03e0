# SPDX-License-Identifier: Apache-2.0
"""Of a back end put back to a backup, no message that it still has is taken for an old one.

The attacker: a back end that forgets what it has given out, and gives its numbers a second time, to
other envelopes; between any two steps of a device that receives, also one that is killed there.
"""

from collections.abc import Callable

import pytest

from e2ecross.errors import BackendError
from e2ecross.stores import MemoryStore
from tests.attacks.hostile_backend import HostileBackend, Party, party
from tests.attacks.support import ANA, BUDI

Scene = tuple[HostileBackend, Party, Party]


@pytest.fixture(params=[0, 64], ids=["no stripes", "stripes"])
def scene(request: pytest.FixtureRequest) -> Scene:
    """They have talked, and two messages were read and confirmed."""
    backend = HostileBackend()
    ana, budi = party(ANA, backend), party(BUDI, backend, MemoryStore(request.param))
    for text in ("one", "two"):
        ana.send(budi, text)
    assert budi.receive() == ["one", "two"]
    return backend, ana, budi


def put_back(backend: HostileBackend) -> None:
    """Let the mailboxes be as they were before anything came: empty, and numbers from 1 on."""
    for account in backend._accounts.values():
        account.mailbox.clear()
    backend.holds.clear()
    backend._next_number = 1


def test_new_messages_under_old_numbers(scene: Scene) -> None:
    backend, ana, budi = scene
    put_back(backend)
    for text in ("three", "four", "five"):
        ana.send(budi, text)
    assert budi.receive() == ["three", "four", "five"]
    before = budi.rest()
    assert budi.receive() == []
    assert budi.rest() == before


def _acknowledgement_lost(backend: HostileBackend) -> None:
    backend.fail("acknowledge")


def _answer_lost(backend: HostileBackend) -> None:
    backend.lose_answer("acknowledge")


@pytest.mark.parametrize("fault", [_acknowledgement_lost, _answer_lost])
@pytest.mark.parametrize("restart", [False, True], ids=["goes on", "killed"])
def test_where_it_is_not_known_whether_the_back_end_has_heard_of_the_arrival(
    scene: Scene, fault: Callable[[HostileBackend], None], restart: bool
) -> None:
    """The number of what has arrived is remembered then; with its bytes, not alone."""
    backend, ana, budi = scene
    ana.send(budi, "three")
    fault(backend)
    items = budi.client.receive()
    budi.client.confirm(items)
    assert len(items) == 1
    if restart:
        budi.restart()
    put_back(backend)
    backend._next_number = 3  # that of the message whose arrival is remembered
    for text in ("four", "five"):
        ana.send(budi, text)
    assert budi.receive() == ["four", "five"]


def test_what_is_delivered_again_is_no_message_and_no_loss(scene: Scene) -> None:
    """The backup still has what was read, and what came after it comes under the next numbers."""
    backend, ana, budi = scene
    ana.send(budi, "three")
    ana.send(budi, "four")
    kept = backend.mailbox(BUDI)
    assert budi.receive() == ["three", "four"]
    put_back(backend)
    backend.plant(BUDI, kept)
    before = budi.rest()
    assert set(budi.receive()) <= {"duplicate_message"}
    assert budi.rest() == before
    ana.send(budi, "five")
    assert budi.receive() == ["five"]


def test_another_envelope_in_the_moment_of_the_acknowledgement(scene: Scene) -> None:
    """Put back between fetching and acknowledging: what is acknowledged was read before."""
    backend, ana, budi = scene
    ana.send(budi, "three")
    genuine = backend.acknowledge

    def acknowledge(*arguments: object) -> None:
        backend.acknowledge = genuine  # type: ignore[method-assign]
        raise BackendError("it is put back just now")

    backend.acknowledge = acknowledge  # type: ignore[method-assign, assignment]
    assert budi.receive() == ["three"]
    put_back(backend)
    backend._next_number = 3
    ana.send(budi, "four")
    assert budi.receive() == ["four"]
    assert backend.waiting(BUDI) == []


@pytest.mark.parametrize("restart", [False, True], ids=["a minute later", "by another process"])
def test_another_envelope_under_the_number_of_what_the_app_still_handles(
    scene: Scene, restart: bool
) -> None:
    """It confirms after the back end was put back, and before anything new was fetched."""
    backend, ana, budi = scene
    ana.send(budi, "three")
    items = budi.client.receive()
    assert len(items) == 1
    put_back(backend)
    backend._next_number = 3
    ana.send(budi, "four")
    if restart:
        budi.restart()
    else:
        budi.person.clock.now_ms += 60_000
    budi.client.confirm(items)
    assert budi.receive() == ["four"]
