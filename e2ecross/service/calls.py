# SPDX-License-Identifier: Apache-2.0
"""The calls of the service: how each is read, and what the relay is asked for it.

A call is one row of `SERVED`, and one of `wire/service_calls.py`. Waiting for mail is elsewhere.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from e2ecross.address import Address
from e2ecross.errors import InvalidArgument
from e2ecross.relay import Relay
from e2ecross.relay.depositing import DepositCall
from e2ecross.wire.bundle import PublishedKeys
from e2ecross.wire.exchange import MAX_BLOB_PIECE_BYTES, Deposited
from e2ecross.wire.service_accounts import (
    AddressRequest,
    PublishRequest,
    RegisterRequest,
    encode_count,
    encode_epochs,
)
from e2ecross.wire.service_blobs import BlobRequest, encode_blob, encode_stored
from e2ecross.wire.service_devices import LinkRequest, PublishDevicesRequest, encode_link
from e2ecross.wire.service_keys import FetchKeysRequest, encode_user_keys
from e2ecross.wire.service_mail import (
    AcknowledgeRequest,
    DepositCopiesRequest,
    DepositRequest,
    FetchRequest,
    encode_deposited,
    encode_waiting,
)

__all__ = ["SERVED", "Answer", "Asked", "Served"]

_ANSWER_SLOT: Final = 1


class Answer(NamedTuple):
    """What the relay has answered.

    Attributes:
        body: encoded.
        deposited: how many envelopes and copies were taken.
        delivered: how many were handed out.
    """

    body: bytes = b""
    deposited: int = 0
    delivered: int = 0


Asked = tuple[bytes, Any]
"""A token, 32 bytes, secret, and what is asked under it."""


class Served(NamedTuple):
    """One call.

    Attributes:
        decode: reads the body.
        run: asks the relay, under a token, empty if there is none.
        writes: whether that may write.
        is_for_device: whether only a device that is registered may ask.
        envelopes: how many envelopes and copies it deposits.
        file_bytes: how many bytes of a file its answer has.
        is_slow: whether it keeps others from writing for longer than they do.
        run_together: asks the relay for several callers at once, each under its token; None: it
            may not share a commit.
    """

    decode: Callable[[bytes], Any]
    run: Callable[[Relay, bytes, Any], Answer]
    writes: Callable[[Any], bool] = lambda request: True
    is_for_device: Callable[[Any], bool] = lambda request: True
    envelopes: Callable[[Any], int] = lambda request: 0
    file_bytes: Callable[[Any], int] = lambda request: 0
    is_slow: bool = False
    run_together: Callable[[Relay, Sequence[Asked]], list[Answer | Exception]] | None = None


def _register(relay: Relay, token: bytes, asked: RegisterRequest) -> Answer:
    relay.register(asked.address, token, replaces=asked.replaces, credential=asked.credential)
    return Answer()


def _publish(relay: Relay, token: bytes, asked: PublishRequest) -> Answer:
    published = PublishedKeys.decode(asked.published_keys)
    relay.publish(token, published, epoch=asked.epoch, replace=asked.replace)
    return Answer()


def _publish_devices(relay: Relay, token: bytes, asked: PublishDevicesRequest) -> Answer:
    relay.publish_devices(token, asked.signed_list, asked.tokens, epoch=asked.epoch)
    return Answer()


def _epochs(relay: Relay, token: bytes, asked: AddressRequest) -> Answer:
    return Answer(encode_epochs(relay.epochs(asked.address, token)))


def _count(relay: Relay, token: bytes, asked: AddressRequest) -> Answer:
    return Answer(encode_count(relay.one_time_prekey_count(asked.address, token)))


def _fetch_keys(relay: Relay, token: bytes, asked: FetchKeysRequest) -> Answer:
    return Answer(encode_user_keys(relay.fetch_keys(asked.requester, token, asked.wanted)))


def _deposit_all(relay: Relay, token: bytes, asked: DepositRequest) -> Answer:
    came = relay.deposit_all(token, asked.envelopes, epochs=asked.epochs, consents=asked.consents)
    return _deposited(asked, came)


def _deposit_together(relay: Relay, calls: Sequence[Asked]) -> list[Answer | Exception]:
    together = relay.deposit_together(
        [
            DepositCall(token, asked.envelopes, asked.epochs, asked.consents)
            for token, asked in calls
        ]
    )
    return [
        came if isinstance(came, Exception) else _deposited(asked, came)
        for (_, asked), came in zip(calls, together, strict=True)
    ]


def _deposited(asked: DepositRequest, came: Deposited) -> Answer:
    return Answer(encode_deposited(came), deposited=len(asked.envelopes) - len(came.refused))


def _deposit_copies(relay: Relay, token: bytes, asked: DepositCopiesRequest) -> Answer:
    came = relay.deposit_copies(token, asked.copies, epochs=asked.epochs)
    return Answer(encode_deposited(came), deposited=asked.count() - len(came.refused))


def _fetch(relay: Relay, token: bytes, asked: FetchRequest) -> Answer:
    held = {"hold_ms": asked.hold_ms, "holder": asked.holder}
    limit = min(asked.limit, relay.limits.fetch_messages)
    waiting = relay.fetch(asked.address, token, limit, asked.after, **held)  # type: ignore[arg-type]
    return Answer(encode_waiting(waiting), delivered=len(waiting))


def _acknowledge(relay: Relay, token: bytes, asked: AcknowledgeRequest) -> Answer:
    relay.acknowledge(asked.address, token, asked.numbers)
    return Answer()


def _put_link(relay: Relay, token: bytes, asked: LinkRequest) -> Answer:
    address: Address | None = asked.address
    relay.put_link(asked.link_id, asked.slot, asked.data, address=address, token=token)
    return Answer()


def _get_link(relay: Relay, token: bytes, asked: LinkRequest) -> Answer:
    return Answer(encode_link(relay.get_link(asked.link_id, asked.slot)))


def _begin_blob(relay: Relay, token: bytes, asked: BlobRequest) -> Answer:
    stored = relay.begin_blob(_uploader(asked), token, asked.blob_id, asked.length)
    return Answer(encode_stored(stored))


def _put_blob(relay: Relay, token: bytes, asked: BlobRequest) -> Answer:
    stored = relay.put_blob(_uploader(asked), token, asked.blob_id, asked.offset, asked.data)
    return Answer(encode_stored(stored))


def _get_blob(relay: Relay, token: bytes, asked: BlobRequest) -> Answer:
    return Answer(encode_blob(relay.get_blob(asked.blob_id, asked.offset, asked.length)))


def _delete_blob(relay: Relay, token: bytes, asked: BlobRequest) -> Answer:
    relay.delete_blob(_uploader(asked), token, asked.blob_id)
    return Answer()


def _uploader(asked: BlobRequest) -> Address:
    if asked.address is None:
        raise InvalidArgument("address must be that of the device that uploads")
    return asked.address


def _never(asked: object) -> bool:
    return False


SERVED: Final[dict[str, Served]] = {
    "register": Served(RegisterRequest.decode, _register),
    "publish": Served(PublishRequest.decode, _publish),
    "publish_devices": Served(PublishDevicesRequest.decode, _publish_devices),
    "epochs": Served(AddressRequest.decode, _epochs, writes=_never),
    "one_time_prekey_count": Served(AddressRequest.decode, _count, writes=_never),
    "fetch_keys": Served(FetchKeysRequest.decode, _fetch_keys),
    "deposit_all": Served(
        DepositRequest.decode,
        _deposit_all,
        envelopes=lambda asked: len(asked.envelopes),
        run_together=_deposit_together,
    ),
    "deposit_copies": Served(
        DepositCopiesRequest.decode, _deposit_copies, envelopes=DepositCopiesRequest.count
    ),
    "fetch": Served(FetchRequest.decode, _fetch, writes=lambda asked: asked.hold_ms > 0),
    "acknowledge": Served(AcknowledgeRequest.decode, _acknowledge),
    "put_link": Served(
        LinkRequest.decode, _put_link, is_for_device=lambda asked: asked.slot != _ANSWER_SLOT
    ),
    "get_link": Served(LinkRequest.decode, _get_link, writes=_never, is_for_device=_never),
    "begin_blob": Served(BlobRequest.decode, _begin_blob),
    "put_blob": Served(BlobRequest.decode, _put_blob, is_slow=True),
    "get_blob": Served(
        BlobRequest.decode,
        _get_blob,
        writes=_never,
        is_for_device=_never,
        file_bytes=lambda asked: min(asked.length, MAX_BLOB_PIECE_BYTES),
    ),
    "delete_blob": Served(BlobRequest.decode, _delete_blob),
}
"""By name."""
