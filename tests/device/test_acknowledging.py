# SPDX-License-Identifier: Apache-2.0
"""What the back end has to hear of: at once, or after it was asked, or not at all."""

import pytest

from e2ecross.device import acknowledging as module
from e2ecross.device.acknowledging import Acknowledging, Unsure
from e2ecross.errors import BackendError, StoreBusy
from e2ecross.state.context import Context
from e2ecross.state.inbox_holds import HOLD_MS
from e2ecross.state.receipt import Receipt
from tests.support.devices import ANA, FakeClock, make_device

HASH, OTHER = bytes(32), bytes(range(32))


@pytest.fixture
def context(clock: FakeClock) -> Context:
    return make_device(ANA, clock=clock)._context


def receipt(number: int, backend_number: int) -> Receipt:
    return Receipt(bytes(32), number, backend_number)


def told(acknowledging: Acknowledging) -> list[int]:
    with acknowledging.telling() as numbers:
        return numbers


def tell_in_vain(acknowledging: Acknowledging) -> None:
    with acknowledging.telling() as numbers:
        raise BackendError(f"out of reach: {numbers}")


def test_what_was_shown_lately_is_told_once_without_a_question(
    context: Context, clock: FakeClock
) -> None:
    acknowledging, items = Acknowledging(), [receipt(2, 12), receipt(1, 11), receipt(3, 0)]
    acknowledging.note_shown(context, [1, 2, 3])
    clock.advance(HOLD_MS - 1)
    assert acknowledging.take_shown(context, [*items, receipt(4, 14)]) == [11, 12]
    assert acknowledging.take_shown(context, items) == []


@pytest.mark.parametrize("later_ms", [HOLD_MS, -1])
def test_what_was_shown_a_minute_ago_or_by_another_clock_is_not(
    later_ms: int, context: Context, clock: FakeClock
) -> None:
    acknowledging = Acknowledging()
    acknowledging.note_shown(context, [1])
    clock.advance(later_ms)
    assert acknowledging.take_shown(context, [receipt(1, 11)]) == []


def test_what_is_remembered_as_shown_is_bounded(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_SHOWN", 2)
    acknowledging = Acknowledging()
    acknowledging.note_shown(context, [1, 2])
    acknowledging.note_shown(context, [1, 3])
    items = [receipt(number, number) for number in (1, 2, 3)]
    assert acknowledging.take_shown(context, items) == [1, 3]


def test_what_could_not_be_told_is_asked_for_before_it_is_told_again() -> None:
    acknowledging = Acknowledging()
    acknowledging.note_due(19, {7: HASH, 5: OTHER})
    with pytest.raises(BackendError, match=r"\[5, 7\]"):
        tell_in_vain(acknowledging)
    assert told(acknowledging) == []
    acknowledging.note_unsure(3, {6: b""})
    unsure = [Unsure(5, 19, OTHER), Unsure(6, 3, b""), Unsure(7, 19, HASH)]
    assert acknowledging.unsure(2) == unsure[:2]
    for each in unsure:
        acknowledging.note_answer(each, is_there=each.number == 7)
    assert acknowledging.unsure(10) == []
    assert told(acknowledging) == [7]
    assert told(acknowledging) == []


def test_what_was_heard_is_forgotten_with_a_later_commit_if_one_fails(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[list[int]] = []
    monkeypatch.setattr(module, "forget_arrivals", lambda _, numbers: forgotten.append([*numbers]))
    acknowledging = Acknowledging()
    acknowledging.note_heard(19, [7])

    def fail() -> None:
        with acknowledging.going(19) as forget, context.store.transaction() as tx:
            forget(tx)
            raise StoreBusy("not now")

    with pytest.raises(StoreBusy):
        fail()
    for _ in range(2):
        with acknowledging.going(19) as forget, context.store.transaction() as tx:
            forget(tx)
    assert forgotten == [[7], [7], []]
