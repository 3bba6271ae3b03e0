# SPDX-License-Identifier: Apache-2.0
"""A bot in asyncio: it answers commands, reminds people later, and ends well on Ctrl-C or SIGTERM.

python bot.py --url http://127.0.0.1:8080 --store bot.db --key-file bot.key messenger:bot

Needs the extra `http`. The key file has 32 random bytes, and is not where backups of the store are.
"""

import argparse
import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

from e2ecross import Address, Client, Device, FailedMessage, InboxItem, Message, Notice, Text
from e2ecross.errors import E2ECrossError, NoDevice
from e2ecross.service import AsyncClient, HTTPBackend
from e2ecross.stores import SQLiteStore

HELP = "roll: a die. remind SECONDS TEXT: say it later. help: this."

Send = Callable[[str], Awaitable[object]]


class Bot:
    """Answers who writes; each reminder is a task of its own."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self.reminders: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Answer until it is cancelled. An item is confirmed when its answer has left."""
        async for item in self.client.items():
            try:
                await self.handle(item)
            except E2ECrossError as error:
                print(f"no answer: {error}", flush=True)
            await self.client.confirm([item])

    async def handle(self, item: InboxItem) -> None:
        match item:
            case Message(content=Text(text=text)) if item.group is None and not item.own_copy:

                async def send(answer: str) -> None:
                    await self.client.send(item.sender, Text(answer))

                await self.answer(text.split(), send)
            case FailedMessage(error=error):
                print(f"not read: {error.code}", flush=True)
            case Notice(kind=kind, user=user):
                print(f"notice: {kind} {user}", flush=True)

    async def answer(self, words: list[str], send: Send) -> None:
        match words:
            case ["roll"]:
                await send(str(random.randint(1, 6)))  # noqa: S311 - a die, not a key
            case ["remind", seconds, *text] if seconds.isdecimal() and text:
                task = asyncio.create_task(self.remind(int(seconds), " ".join(text), send))
                self.reminders.add(task)
                task.add_done_callback(self.reminders.discard)
                await send("I will")
            case _:
                await send(HELP)

    async def remind(self, seconds: int, text: str, send: Send) -> None:
        await asyncio.sleep(seconds)
        try:
            await send(text)
        except E2ECrossError as error:
            print(f"no reminder: {error}", flush=True)


def open_device(store: SQLiteStore, address: Address) -> Device:
    try:
        return Device.open(store)
    except NoDevice:
        return Device.create(address, store)


async def main() -> None:
    parser = argparse.ArgumentParser(description="A bot that answers.")
    for option in ("--url", "--store", "--key-file"):
        parser.add_argument(option, required=True)
    parser.add_argument("user", type=Address.parse)
    options = parser.parse_args()
    with SQLiteStore(options.store, key=Path(options.key_file).read_bytes()) as store:
        device = open_device(store, options.user)
        async with AsyncClient(Client(device, HTTPBackend(options.url), wait_ms=2_000)) as client:
            await client.register()
            running = asyncio.create_task(Bot(client).run())
            for ending in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(ending, running.cancel)
            print(f"{device.address.user_id} answers", flush=True)
            await asyncio.wait([running])
    if not running.cancelled():
        running.result()  # what has ended it


if __name__ == "__main__":
    asyncio.run(main())
