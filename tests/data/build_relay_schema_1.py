# SPDX-License-Identifier: Apache-2.0
"""How `relay-schema-1.sqlite` was made; kept so that nobody has to guess. Never run again.

Run once, from the repository's root, with the code of schema 1. The file is frozen: every later
release must open it (tests/relay/test_schema.py).
"""

import sqlite3
from pathlib import Path

from e2ecross.relay import Relay
from tests.relay.support import ANA, BUDI, TOKO, FakeClock, envelope, published, register, token

HERE = Path(__file__).parent


def main() -> None:
    path = HERE / "relay-schema-1.sqlite"
    with Relay(path, clock=FakeClock()) as relay:
        register(relay, ANA, BUDI, TOKO)
        relay.publish(token(ANA), published(ANA, range(1, 5)))
        relay.fetch_bundle(BUDI, token(BUDI), ANA)  # 1 is handed out
        relay.publish(token(BUDI), published(BUDI))
        for number in range(4):
            relay.deposit(token(BUDI), envelope(BUDI, ANA, number).encode())
        relay.deposit(token(TOKO), envelope(TOKO, ANA, 9).encode())
        relay.deposit(token(ANA), envelope(ANA, BUDI, 5).encode())
        (first, _), *_ = relay.fetch(ANA, token(ANA), 1)
        relay.acknowledge(ANA, token(ANA), [first])
    operator = sqlite3.connect(path)
    with operator:  # what a hostile operator may have put there: no envelope
        put = "INSERT INTO mailbox (recipient, envelope) VALUES (?, ?)"
        operator.execute(put, (str(TOKO), b"not an envelope"))
    operator.close()


if __name__ == "__main__":
    main()
