# SPDX-License-Identifier: Apache-2.0
"""How `relay-schema-2.sqlite` was made; kept so that nobody has to guess. Never run again.

Run once, from the repository's root, with the code of schema 2. The file is frozen: every later
release must open it (tests/relay/test_schema.py).
"""

from pathlib import Path

from e2ecross.relay import Relay
from tests.relay.support import ANA, BUDI, TOKO, FakeClock, envelope, published, register, token

HERE = Path(__file__).parent


def main() -> None:
    with Relay(HERE / "relay-schema-2.sqlite", clock=FakeClock()) as relay:
        register(relay, ANA, BUDI, TOKO)
        relay.publish(token(ANA), published(ANA, range(1, 5)), epoch=3)
        relay.publish(token(ANA), published(ANA, range(5, 7)), epoch=4)
        relay.fetch_bundle(BUDI, token(BUDI), ANA)  # 1 is handed out
        relay.publish(token(BUDI), published(BUDI, range(1, 4)), epoch=1)
        relay.publish(token(BUDI), published(BUDI, [3, 4]), epoch=9, replace=True)
        relay.deposit(token(BUDI), envelope(BUDI, ANA, 1).encode(), epoch=10)


if __name__ == "__main__":
    main()
