# SPDX-License-Identifier: Apache-2.0
r"""A business behind FastAPI: a webhook for its shop system, encrypted messages for customers.

SHOP_URL=http://127.0.0.1:8080 SHOP_ADDRESS=whatsapp:toko SHOP_STORE=shop.db \
    SHOP_KEY_FILE=shop.key HOOK_SECRET=... uvicorn webhook:app

Needs the extra `http`, fastapi and uvicorn. What customers write is answered here, too.
"""

import asyncio
import hashlib
import hmac
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Header, HTTPException, Request
from pydantic import BaseModel

from e2ecross import Address, Client, Device, Message, Text
from e2ecross.errors import BackendError, E2ECrossError, NoDevice, UnknownRecipient
from e2ecross.service import AsyncClient, HTTPBackend
from e2ecross.stores import SQLiteStore

HOOK_SECRET = os.environ["HOOK_SECRET"].encode()
orders: dict[str, str] = {}
"""What is known of the order of each customer; a shop has a database."""


class Event(BaseModel):
    """What the shop system tells: it may tell the same event twice."""

    id: str
    customer: str
    order: int
    status: str


def open_client() -> tuple[SQLiteStore, Client]:
    key = Path(os.environ["SHOP_KEY_FILE"]).read_bytes()
    store = SQLiteStore(os.environ["SHOP_STORE"], key=key)
    try:
        device = Device.open(store)
    except NoDevice:
        device = Device.create(Address.parse(os.environ["SHOP_ADDRESS"]), store)
    return store, Client(device, HTTPBackend(os.environ["SHOP_URL"]), wait_ms=2_000)


async def answer_customers(client: AsyncClient) -> None:
    """Tell whoever writes how their order stands."""
    async for item in client.items():
        if isinstance(item, Message) and isinstance(item.content, Text) and not item.own_copy:
            status = orders.get(str(item.sender.user_id), "there is no order of yours")
            with suppress(E2ECrossError):  # it waits, or they are gone; a shop would note it
                await client.send(item.sender, Text(status))
        await client.confirm([item])


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    store, opened = open_client()
    with store:
        async with AsyncClient(opened) as client:
            await client.register()
            app.state.client = client
            answering = asyncio.create_task(answer_customers(client))
            yield
            answering.cancel()
            await asyncio.wait([answering])


app = FastAPI(lifespan=lifespan)


@app.post("/hooks/orders")
async def order_changed(
    request: Request, signature: Annotated[str, Header(alias="X-Signature")]
) -> dict[str, str]:
    body = await request.body()
    expected = hmac.new(HOOK_SECRET, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise HTTPException(401, "not signed by the shop system")
    event = Event.model_validate_json(body)
    text = orders[event.customer] = f"order {event.order}: {event.status}"
    # The id follows from the event's: however often it is told, the customer gets one message.
    message_id = hashlib.sha256(event.id.encode()).digest()[:16]
    try:
        await request.app.state.client.send(event.customer, Text(text), message_id=message_id)
    except UnknownRecipient as error:
        raise HTTPException(404, "the customer has no app that reads this") from error
    except BackendError:
        return {"message": "waits"}  # in the outbox: it leaves with what is sent or received next
    except E2ECrossError as error:
        raise HTTPException(409, error.code) from error
    return {"message": "sent"}
