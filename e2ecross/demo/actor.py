# SPDX-License-Identifier: Apache-2.0
"""One app of the demo, in a process of its own: `python -m e2ecross.demo.actor`.

Arguments: the address, the store's file, the relay's file or the URL of its service, and the
relay's folder for files. Stage directions come in on stdin, one JSON object per line, and each is
answered by one on stdout. What the app says to others goes through the relay only. A device with
another number than 1 has to be linked before it can do anything else.

Rules:
- An error of the library is an answer; any other exception ends the process.
- The end of stdin ends the process.

The store is not sealed (`SQLiteStore(key=...)`), so that a reader of the demo can look into it.
"""

import json
import os
import sys
from contextlib import ExitStack

from e2ecross.address import Address
from e2ecross.client.client import Client
from e2ecross.demo.app import App, Direction, choose_policy, reach
from e2ecross.demo.directions import follow, introduce
from e2ecross.device.device import Device
from e2ecross.errors import E2ECrossError, NoDevice
from e2ecross.stores import SQLiteStore
from e2ecross.stores.base import Store
from e2ecross.wire.device_list import PRIMARY

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Play one app until the director lets it go."""
    address, store_file, back_end, blob_folder = arguments
    try:
        with SQLiteStore(store_file) as store, ExitStack() as ways:
            folder, relay = os.path.dirname(store_file), reach(ways, back_end, blob_folder)
            app = App(Address.parse(address), store, ways, relay, folder)
            if app.own.device == PRIMARY:
                device = _open_or_create(store, app.own)
                app.found = Client(device, relay, spool_dir=app.folder)
                app.found.register()
            _answer({"process_id": os.getpid(), **introduce(app)})
            for line in sys.stdin:
                _answer(follow(app, json.loads(line)))
    except KeyboardInterrupt:
        return 130
    except E2ECrossError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _open_or_create(store: Store, address: Address) -> Device:
    policy = choose_policy(address.app)
    try:
        return Device.open(store, policy=policy)
    except NoDevice:
        return Device.create(address, store, policy=policy)


def _answer(answer: Direction) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
