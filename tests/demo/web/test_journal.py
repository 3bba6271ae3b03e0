# SPDX-License-Identifier: Apache-2.0
"""What has happened on the page: kept in order, within bounds, and heard at once."""

import asyncio
import json
import threading

from e2ecross.demo.web.journal import Event, Journal


def _texts(journal: Journal, after: int = 0) -> list[object]:
    return [json.loads(text) for _, text in journal.after(after)]


def _note(number: int) -> dict[str, object]:
    return {"type": "note", "number": number}


def test_events_are_numbered_from_one() -> None:
    journal = Journal()
    assert journal.after(0) == []
    for number in range(3):
        journal.add(_note(number))
    assert [number for number, _ in journal.after(0)] == [1, 2, 3]
    assert _texts(journal, 2) == [_note(2)]
    assert journal.after(3) == []
    assert journal.last == 3


def test_who_has_heard_of_another_run_begins_anew() -> None:
    journal = Journal()
    journal.add(_note(0))
    assert _texts(journal, 7) == [_note(0)]


def test_what_is_too_much_is_forgotten_and_said_to_be() -> None:
    journal = Journal(most=3)
    for number in range(5):
        journal.add(_note(number))
    assert journal.after(0)[0] == (0, '{"type": "truncated"}')
    assert _texts(journal)[1:] == [_note(2), _note(3), _note(4)]
    assert _texts(journal, 2) == [_note(2), _note(3), _note(4)]
    assert _texts(journal, 1)[0] == {"type": "truncated"}


def test_what_a_page_cannot_do_without_is_not_forgotten() -> None:
    journal = Journal(most=2)
    phone = {"type": "phone", "phone": "ana"}
    chats = [{"type": "chat", "phone": "ana", "chat": "x", "title": title} for title in "ab"]
    said: list[Event] = [phone, chats[0], {"type": "ready"}, chats[1], *map(_note, range(4))]
    for event in said:
        journal.add(event)
    kept = [{"type": "truncated"}, phone, {"type": "ready"}, chats[1], _note(2), _note(3)]
    assert _texts(journal) == kept


def test_somebody_waits_for_an_event() -> None:
    journal = Journal()
    journal.add(_note(1))
    assert journal.wait_for(lambda event: event["number"] == 1, 0, 0) == _note(1)
    assert journal.wait_for(lambda event: event["number"] == 1, 1, 0.01) is None
    timer = threading.Timer(0.05, journal.add, [_note(2)])
    timer.start()
    assert journal.wait_for(lambda event: event["number"] == 2, 0, 10) == _note(2)
    timer.join()


def test_nobody_waits_for_what_is_closed() -> None:
    journal = Journal()
    timer = threading.Timer(0.05, journal.close)
    timer.start()
    assert journal.wait_for(lambda event: True, 0, 10) is None
    timer.join()


def test_a_listener_hears_of_what_another_thread_says() -> None:
    journal = Journal()

    async def listen() -> list[object]:
        with journal.listen() as changed:
            threading.Timer(0.05, journal.add, [_note(1)]).start()
            await asyncio.wait_for(changed.wait(), 10)
            return _texts(journal)

    assert asyncio.run(listen()) == [_note(1)]
    journal.add(_note(2))  # nobody listens in a loop that is closed
