# SPDX-License-Identifier: Apache-2.0
"""A back end whose answers are checked: nothing that it returns is trusted.

Rules:
- What is due is returned, and nothing else: an awaitable in the place of None would mean that
  nothing was done, and that nobody hears of it.
- No frame holds a token as it is: errors of the back end go to the app, with their frames.
- Every answer that is none is a `BackendError`: what was asked may have been done, or not.
"""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, NoReturn, SupportsIndex

from e2ecross.address import Address, UserId
from e2ecross.arguments import require_methods
from e2ecross.client.backend import Backend
from e2ecross.device.holder import Hold
from e2ecross.device.registering import Token
from e2ecross.errors import (
    BackendError,
    E2ECrossError,
    EnvelopeMismatch,
    InvalidArgument,
    UnknownRecipient,
)
from e2ecross.wire.bundle import PreKeyBundle, PublishedKeys
from e2ecross.wire.exchange import Deposited, KeysWanted, UserKeys, Waiting
from e2ecross.wire.limits import (
    MAX_LINK_MESSAGE_BYTES,
    MAX_LISTED_DEVICES,
    MAX_SIGNED_DEVICE_LIST_BYTES,
)

__all__ = ["CheckedBackend", "CheckedDeposit"]

_METHODS: Final = [name for name in vars(Backend) if not name.startswith("_")]
_MAX_NUMBER: Final = 2**64 - 1
"""The highest number that a record has room for."""
_MAX_COUNT: Final = 2**31
_MAX_SEQ: Final = 2**63 - 1
_MAX_STRIPES: Final = 65_537
"""Of the largest store, with that of the device itself."""


class CheckedDeposit(NamedTuple):
    """What a back end says of a deposit.

    Attributes:
        refused: by place, why which envelopes were not taken.
        epochs: of the stripes that were told now, the highest that the device had told before; 0
            if the back end does not say.
        seqs: by account, which is its newest list of devices, 0 to 2^63-1; 0: it has none. Of which
            accounts is for the back end to say.
    """

    refused: Mapping[int, BackendError]
    epochs: Mapping[int, int]
    seqs: Mapping[UserId, int]


class CheckedBackend:
    """A back end as `Client` uses it; made once for each client."""

    __slots__ = ("_backend",)

    def __init__(self, backend: Backend) -> None:
        """Use this back end.

        Raises:
            InvalidArgument: it lacks a method, or has one that is a coroutine function.
        """
        require_methods("backend", backend, *_METHODS)
        for name in _METHODS:
            if inspect.iscoroutinefunction(getattr(backend, name)):
                raise InvalidArgument(
                    f"backend must be synchronous, and its {name} is a coroutine function"
                )
        self._backend = backend

    @property
    def backend(self) -> Backend:
        """The back end itself."""
        return self._backend

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a CheckedBackend belongs to its client and is not pickled or copied")

    def register(self, address: Address, token: Token, replaces: Token) -> None:
        """See `Backend.register`."""
        answer = self._any.register(address, token.value, replaces=replaces.value)
        _nothing("register", answer)

    def publish(self, token: Token, published: PublishedKeys, epoch: int, *, replace: bool) -> None:
        """See `Backend.publish`."""
        answer = self._any.publish(token.value, published, epoch=epoch, replace=replace)
        _nothing("publish", answer)

    def epochs(self, address: Address, token: Token) -> dict[int, int]:
        """Return by stripe the highest epoch that the device has told; where it is not, none."""
        answer: object = self._backend.epochs(address, token.value)
        if not isinstance(answer, Mapping) or len(answer) > _MAX_STRIPES:
            raise _no_answer("epochs", answer, "no epochs")
        for stripe, epoch in answer.items():
            if type(stripe) is not int or type(epoch) is not int or stripe < 0 or epoch < 0:
                raise _no_answer("epochs", answer, "no epochs")
        return dict(answer)

    def one_time_prekey_count(self, address: Address, token: Token) -> int:
        """See `Backend.one_time_prekey_count`."""
        left = self._backend.one_time_prekey_count(address, token.value)
        if type(left) is not int:
            raise _no_answer("one_time_prekey_count", left, "no number of prekeys")
        return min(max(left, 0), _MAX_COUNT)

    def publish_devices(
        self, token: Token, signed: bytes, tokens: Mapping[int, bytes], epoch: int
    ) -> None:
        """See `Backend.publish_devices`."""
        answer = self._any.publish_devices(token.value, signed, tokens, epoch=epoch)
        _nothing("publish_devices", answer)

    def fetch_keys(
        self, requester: Address, token: Token, wanted: Sequence[KeysWanted]
    ) -> list[UserKeys | E2ECrossError]:
        """Return for each user its list of devices and keys, or why there are none.

        Each bundle is of another device of that user; which of them were wanted is not looked at.
        The list is not decoded here.

        UnknownRecipient: nobody is registered. EnvelopeMismatch: there is a bundle of somebody
        else. BackendError: this is no answer.
        """
        answer: object = self._backend.fetch_keys(requester, token.value, wanted)
        if not isinstance(answer, Sequence) or len(answer) != len(wanted):
            raise _no_answer("fetch_keys", answer, "no keys of the users that were asked for")
        return [_keys(keys, asked.user) for keys, asked in zip(answer, wanted, strict=True)]

    def deposit_all(
        self,
        token: Token,
        envelopes: Sequence[bytes],
        epochs: Mapping[int, int],
        consents: Sequence[bytes] = (),
    ) -> CheckedDeposit:
        """See `Backend.deposit_all`."""
        answer: object = self._backend.deposit_all(
            token.value, envelopes, epochs=epochs, consents=consents
        )
        return _deposited("deposit_all", answer, epochs)

    def deposit_copies(
        self, token: Token, copies: bytes, epochs: Mapping[int, int]
    ) -> CheckedDeposit:
        """See `Backend.deposit_copies`."""
        answer: object = self._backend.deposit_copies(token.value, copies, epochs=epochs)
        return _deposited("deposit_copies", answer, epochs)

    def fetch(
        self,
        address: Address,
        token: Token,
        limit: int,
        after: int,
        wait_ms: int = 0,
        hold: Hold | None = None,
    ) -> list[Waiting]:
        """Return what waits, as far as it is what a back end may answer.

        Numbers ascend: a back end that repeats itself is not followed.
        """
        asked: dict[str, Any] = {} if hold is None else hold._asdict()
        if wait_ms:
            asked["wait_ms"] = wait_ms
        answer: object = self._backend.fetch(address, token.value, limit, after, **asked)
        items: list[Waiting] = []
        if not isinstance(answer, Sequence):
            raise _no_answer("fetch", answer, "no mailbox")
        for item in answer:
            if len(items) == limit:
                break
            if not isinstance(item, Waiting):
                raise _no_answer("fetch", answer, "no mailbox")
            number, data = item
            if type(number) is not int or number > _MAX_NUMBER or type(data) is not bytes:
                raise _no_answer("fetch", answer, "no mailbox")
            if number > after:
                items.append(item)
                after = number
        return items

    def acknowledge(self, address: Address, token: Token, numbers: Sequence[int]) -> None:
        """See `Backend.acknowledge`."""
        _nothing("acknowledge", self._any.acknowledge(address, token.value, numbers))

    def put_link(
        self,
        link_id: bytes,
        slot: int,
        data: bytes,
        *,
        address: Address | None = None,
        token: Token | None = None,
    ) -> None:
        """See `Backend.put_link`."""
        shown = b"" if token is None else token.value
        answer = self._any.put_link(link_id, slot, data, address=address, token=shown)
        _nothing("put_link", answer)

    def get_link(self, link_id: bytes, slot: int) -> bytes | None:
        """See `Backend.get_link`."""
        answer: object = self._backend.get_link(link_id, slot)
        if answer is None:
            return None
        if type(answer) is not bytes or len(answer) > MAX_LINK_MESSAGE_BYTES:
            raise _no_answer("get_link", answer, "no message of linking")
        return answer

    @property
    def _any(self) -> Any:  # noqa: ANN401 - the answer has to be None, and may be anything
        return self._backend


def _keys(keys: object, user: UserId) -> UserKeys | E2ECrossError:
    if isinstance(keys, UnknownRecipient):
        return keys
    if (
        not isinstance(keys, UserKeys)
        or type(keys.device_list) is not bytes
        or len(keys.device_list) > MAX_SIGNED_DEVICE_LIST_BYTES
        or not isinstance(keys.bundles, tuple)
        or len(keys.bundles) > MAX_LISTED_DEVICES
    ):
        return _no_answer("fetch_keys", keys, "no keys of one user")
    devices: set[int] = set()
    for bundle in keys.bundles:
        if not isinstance(bundle, PreKeyBundle):
            return _no_answer("fetch_keys", keys, "no keys of one user")
        address = bundle.address
        if address.user_id != user:
            return EnvelopeMismatch(f"the back end answered with keys of {address}")
        if address.device in devices:
            return _no_answer("fetch_keys", keys, f"keys of {address} twice")
        devices.add(address.device)
    return keys


def _deposited(method: str, answer: object, told: Iterable[int]) -> CheckedDeposit:
    if not isinstance(answer, Deposited) or not isinstance(answer.refused, Mapping):
        raise _no_answer(method, answer, "nothing that says what was refused")
    for place, error in answer.refused.items():
        if type(place) is not int or not isinstance(error, BackendError):
            raise _no_answer(method, answer, "nothing that says what was refused")
    epochs = {stripe: _epoch(method, answer.epochs, stripe) for stripe in told}
    return CheckedDeposit(answer.refused, epochs, _seqs(method, answer.seqs))


def _seqs(method: str, answer: object) -> dict[UserId, int]:
    seqs: dict[UserId, int] = {}
    for user, seq in answer.items() if isinstance(answer, Mapping) else [(None, None)]:
        if not isinstance(user, UserId) or type(seq) is not int:
            raise _no_answer(method, answer, "no numbers of lists of devices")
        seqs[user] = min(max(seq, 0), _MAX_SEQ)
    return seqs


def _epoch(method: str, answer: object, stripe: int) -> int:
    told = answer.get(stripe, 0) if isinstance(answer, Mapping) else None
    if type(told) is not int or told < 0:
        raise _no_answer(method, answer, "no epochs")
    return told


def _nothing(method: str, answer: object) -> None:
    if answer is not None:
        raise _no_answer(method, answer, "something where nothing is due")


def _no_answer(method: str, answer: object, what: str) -> BackendError:
    if inspect.iscoroutine(answer):
        answer.close()  # else it complains, when it is collected, that nobody has waited for it
    if inspect.isawaitable(answer):
        what = "an awaitable: a back end must be synchronous"
    return BackendError(f"the back end answered {method} with {what}")
