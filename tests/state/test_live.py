# SPDX-License-Identifier: Apache-2.0
"""What a process knows of the moment: of messages that were looked at, no more than has room."""

from e2ecross.address import UserId
from e2ecross.state.live import Live

ANA, BUDI = UserId("whatsapp", "ana"), UserId("instagram", "budi")


def test_of_messages_that_were_looked_at_each_is_noted_once_and_at_most_10000() -> None:
    live = Live()
    ids = [number.to_bytes(16) for number in range(10_000)]
    live.note_opened(ANA, [*ids[:2], ids[0]])
    live.note_opened(BUDI, ids[:1])
    assert list(live.opened) == [(ANA, ids[0]), (ANA, ids[1]), (BUDI, ids[0])]
    live.note_opened(BUDI, ids)
    assert len(live.opened) == 10_000
    assert (BUDI, ids[9_997]) in live.opened
    assert (BUDI, ids[9_998]) not in live.opened
