# SPDX-License-Identifier: Apache-2.0
"""How `store-schema-2-*.sqlite` were made; kept so that nobody has to guess. Never run again.

Run once, from the repository's root, with the code of schema 2, before there were Kyber prekeys.
The files are frozen: every later release must open them (tests/device/test_old_stores.py).

Ana and budi have exchanged messages and closed their apps. Ana's publication is not confirmed, a
message to budi waits in her outbox, and toko's session is held by her alone. Budi's store is
sealed, and has registered and published.
"""

from pathlib import Path

from e2ecross import Device, Text
from e2ecross.state.outbox import put_into_outbox
from e2ecross.stores import SQLiteStore
from tests.support.devices import (
    ANA,
    BUDI,
    STORE_KEY,
    TOKO,
    FakeClock,
    make_device,
    new_bundle,
    say,
)

HERE = Path(__file__).parent


def main() -> None:
    clock = FakeClock()
    plain = SQLiteStore(HERE / "store-schema-2-plain.sqlite")
    sealed = SQLiteStore(HERE / "store-schema-2-sealed.sqlite", key=STORE_KEY)
    ana: Device = make_device(ANA, plain, clock=clock)
    budi: Device = make_device(BUDI, sealed, clock=clock)
    ana.start_session(new_bundle(budi))
    say(ana, budi, "halo")
    say(budi, ana, "halo juga")
    late = budi.encrypt(ANA, Text("late"))
    say(budi, ana, "in time")  # so that a message key of `late` is kept
    ana.start_session(new_bundle(make_device(TOKO, clock=clock), one_time=False))
    envelope = ana.encrypt(BUDI, Text("waits"))
    with plain.transaction() as tx:
        put_into_outbox(tx, envelope)
    ana.publish(3)  # not confirmed
    (HERE / "store-schema-2-late.bin").write_bytes(late.encode())
    plain.close()
    sealed.close()


if __name__ == "__main__":
    main()
