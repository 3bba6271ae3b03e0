# SPDX-License-Identifier: Apache-2.0
"""A chat in a terminal, with QR codes (segno) to verify, for a phone that may be lost.

python chat.py --url http://127.0.0.1:8080 --store ana.db [--restore ana.backup] whatsapp:ana
"""

import argparse
import getpass
import sys
import threading
from pathlib import Path

import segno

from e2ecross import Address, Client, Device, FailedMessage, InboxItem, Message, Notice, Text
from e2ecross.errors import E2ECrossError, NoDevice
from e2ecross.service import HTTPBackend
from e2ecross.stores import SQLiteStore

HELP = """USER TEXT          send it: instagram:budi halo
/verify USER       show your code and the digits; they do the same
/scan USER FILE    compare with what your scanner has read of their code
/same USER         the digits are the same, on both phones
/backup FILE       for when this phone is lost
/quit"""


def open_device(store: SQLiteStore, address: Address, backup: str | None, secret: str) -> Device:
    if backup is not None:
        return Device.import_identity(Path(backup).read_bytes(), secret, store)
    try:
        return Device.open(store)
    except NoDevice:
        return Device.create(address, store)


def show(item: InboxItem) -> str:
    match item:
        case Message(content=Text(text=text)):
            return f"{item.sender.user_id}: {text}{' (under a new key!)' * item.identity_changed}"
        case Message():
            return f"{item.sender.user_id}: something that this app does not show"
        case FailedMessage():
            return f"* a message of {item.sender} cannot be read: {item.error.code}"
        case Notice():
            return f"* {item.kind} {item.user or ''}"


def listen(client: Client, ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            items = client.receive()
            for item in items:
                print(show(item), flush=True)
            client.confirm(items)
        except E2ECrossError as error:
            print(f"* {error}", flush=True)
            ended.wait(5)


def trust(device: Device, user: str) -> str:
    identity = device.remote_identity(user)
    assert identity is not None  # they have a safety number
    key = identity.pending_key or identity.identity_key  # the one that was compared
    device.accept_identity(user, key)
    device.mark_verified(user, key)
    return f"{user} is verified"


def do(client: Client, words: list[str], secret: str) -> str:
    match words:
        case ["/verify", user]:
            number = client.device.safety_number(user)
            segno.make(number.scannable).terminal(compact=True)
            return " ".join(number.digits[i : i + 5] for i in range(0, 60, 5))
        case ["/scan", user, file]:
            is_same = client.device.safety_number(user).matches(Path(file).read_bytes())
            return trust(client.device, user) if is_same else f"this is NOT the code of {user}"
        case ["/same", user] if client.device.remote_identity(user):
            return trust(client.device, user)
        case ["/backup", file]:
            Path(file).write_bytes(client.device.export_identity(secret))
            return f"kept in {file}: put it where the phone is not"
        case [user, *text] if text and not user.startswith("/"):
            client.send(user, Text(" ".join(text)))
            return "sent"
    return HELP


def main() -> None:
    parser = argparse.ArgumentParser()
    for option, required in {"--url": True, "--store": True, "--restore": False}.items():
        parser.add_argument(option, required=required)
    parser.add_argument("user", type=Address.parse)
    options = parser.parse_args()
    # It opens the store and backups; where there is a terminal it is not shown.
    secret = getpass.getpass() if sys.stdin.isatty() else input()
    with SQLiteStore(options.store, passphrase=secret) as store:
        device = open_device(store, options.user, options.restore, secret)
        client = Client(device, HTTPBackend(options.url), wait_ms=1_000)
        client.register()
        if options.restore and (others := client.devices().devices[1:]):
            yours = [each for each in others if input(f"Is {each.address} yours? [y/n] ") == "y"]
            client.restore_devices([each.address.device for each in yours])
        ended = threading.Event()
        listener = threading.Thread(target=listen, args=(client.for_thread(), ended), daemon=True)
        listener.start()
        print(f"You are {device.address.user_id}. Enter shows what you can do.", flush=True)
        while (line := input()) != "/quit":
            try:
                print(do(client, line.split(), secret), flush=True)
            except (E2ECrossError, OSError) as error:
                print(error, flush=True)
        ended.set()
        listener.join()


if __name__ == "__main__":
    main()
