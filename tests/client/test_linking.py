# SPDX-License-Identifier: Apache-2.0
"""One attempt at one end: it goes on step by step, each step once, and when it is over it stays so.

Any states will do here: they are texts.
"""

import pytest

from e2ecross import LinkState
from e2ecross.client.linking import Attempt
from e2ecross.errors import BackendError, DeviceExists, InvalidArgument, LinkFailed, RemoteError


@pytest.fixture
def attempt() -> Attempt[str]:
    return Attempt("first")


def step(text: str) -> str:
    """The step of a thread that should have nothing to do."""
    raise AssertionError(text)


def unreachable() -> None:
    """The check of a thread that should have nothing to do."""
    raise AssertionError


def fail(error: Exception) -> str:
    raise error


def test_it_goes_from_state_to_state(attempt: Attempt[str]) -> None:
    assert attempt.state() == attempt.found == "first"
    assert attempt.advance("first", lambda: "second") == "second"
    assert attempt.state() == "second"


def test_a_step_that_was_done_is_not_done_again(attempt: Attempt[str]) -> None:
    attempt.advance("first", lambda: "second")
    assert attempt.advance("first", lambda: step("again")) == "second"


def test_what_is_impossible_ends_it(attempt: Attempt[str]) -> None:
    for error in (RemoteError("forged"), LinkFailed("wrong"), DeviceExists("full")):
        attempt = Attempt("first")
        with pytest.raises(type(error)):
            attempt.advance("first", lambda error=error: fail(error))  # type: ignore[misc]
        assert attempt.found is None
        with pytest.raises(LinkFailed, match="over"):
            attempt.state()
        with pytest.raises(LinkFailed, match="over"):
            attempt.advance("first", lambda: step("over"))


def test_what_fails_on_the_way_ends_nothing(attempt: Attempt[str]) -> None:
    for error in (BackendError("lost"), InvalidArgument("no room"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            attempt.advance("first", lambda error=error: fail(error))  # type: ignore[misc]
        assert attempt.state() == "first"
    assert attempt.advance("first", lambda: "second") == "second"


def test_a_check_changes_nothing_or_ends_it(attempt: Attempt[str]) -> None:
    attempt.stay("first", lambda: None)
    assert attempt.state() == "first"
    with pytest.raises(LinkFailed, match="late"):
        attempt.stay("first", lambda: (_ for _ in ()).throw(LinkFailed("too late")))
    assert attempt.found is None


def test_a_check_of_a_state_that_is_left_is_not_made(attempt: Attempt[str]) -> None:
    attempt.advance("first", lambda: "second")
    attempt.stay("first", unreachable)
    assert attempt.state() == "second"


def test_it_is_ended_if_that_is_allowed(attempt: Attempt[str]) -> None:
    seen: list[str] = []

    def refuse(state: str) -> None:
        seen.append(state)
        raise InvalidArgument("not now")

    with pytest.raises(InvalidArgument):
        attempt.end(refuse)
    assert attempt.state() == "first"
    attempt.end(seen.append)
    assert seen == ["first"] * 2
    attempt.end(seen.append)  # over already
    assert seen == ["first"] * 2
    assert attempt.found is None


def test_it_fails_in_the_state_that_was_seen(attempt: Attempt[str]) -> None:
    assert str(attempt.fail("another", "why")) == "why"
    assert attempt.state() == "first"
    assert isinstance(attempt.fail("first", "why"), LinkFailed)
    assert attempt.found is None


def test_waiting_asks_before_it_pauses(attempt: Attempt[str]) -> None:
    answers = [LinkState.WAITING, LinkState.WAITING, LinkState.LINKED]
    pauses: list[float] = []
    state = attempt.wait(lambda: answers.pop(0), LinkState.WAITING, pauses.append)
    assert state is LinkState.LINKED
    assert pauses == [1.0, 1.0]


def test_waiting_is_bounded_and_ends_it(attempt: Attempt[str]) -> None:
    pauses: list[float] = []
    with pytest.raises(LinkFailed, match="too long"):
        attempt.wait(lambda: LinkState.WAITING, LinkState.WAITING, pauses.append)
    assert len(pauses) == 601
    assert attempt.found is None


def test_states_have_names_for_apps() -> None:
    assert [state.value for state in LinkState] == [
        "waiting",
        "wants_digits",
        "wants_confirmation",
        "shows_digits",
        "linked",
    ]
