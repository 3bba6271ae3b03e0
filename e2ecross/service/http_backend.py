# SPDX-License-Identifier: Apache-2.0
"""`HTTPBackend`: a back end for `Client` that is a service somewhere.

Rules:
- What a call may be given is checked as `Relay` checks it, before anything is sent.
- Nothing that is answered is believed further than it decodes and fits what was asked.
- Whatever goes wrong on the way is a `BackendError`.

Source: docs/service.md, the way to it.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, NoReturn, Self, SupportsIndex

from e2ecross.address import Address
from e2ecross.arguments import (
    forgets_secrets,
    require_bytes,
    require_callable,
    require_file_name,
    require_type,
    require_whole_number,
)
from e2ecross.errors import (
    BackendRefused,
    InvalidArgument,
    NotRegistered,
    UnknownRecipient,
)
from e2ecross.service.http_blobs import HTTPBlobs
from e2ecross.service.http_calls import fitting
from e2ecross.service.transport import Transport
from e2ecross.service.urls import parse_url
from e2ecross.wire import call_arguments as arguments
from e2ecross.wire.bundle import PublishedKeys
from e2ecross.wire.device_list import PRIMARY, SignedDeviceList
from e2ecross.wire.envelope import EnvelopeCopies
from e2ecross.wire.exchange import (
    MAX_ACKNOWLEDGED_IN_CALL,
    MAX_FETCHED_IN_CALL,
    MAX_NUMBER,
    Deposited,
    KeysWanted,
    UserKeys,
    Waiting,
)
from e2ecross.wire.limits import TOKEN_BYTES
from e2ecross.wire.service_accounts import (
    AddressRequest,
    PublishRequest,
    RegisterRequest,
    decode_count,
    decode_epochs,
)
from e2ecross.wire.service_devices import LinkRequest, PublishDevicesRequest, decode_link
from e2ecross.wire.service_keys import FetchKeysRequest, decode_user_keys
from e2ecross.wire.service_mail import (
    AcknowledgeRequest,
    DepositCopiesRequest,
    DepositRequest,
    FetchRequest,
    decode_deposited,
    decode_waiting,
)

__all__ = ["HTTPBackend"]

_MOST_TOGETHER_MS: Final = 30_000
_MOST_CONNECTIONS: Final = 1_000
_ANSWER_SLOT: Final = 1


class HTTPBackend(HTTPBlobs):
    """A service that `python -m e2ecross relay` runs; satisfies `e2ecross.Backend`.

    With a folder for files there it also satisfies `e2ecross.BlobStore`. For many threads, and
    across fork; to be closed, or used by `with`. Each method also raises `BackendError` when the
    way there does not work, or something else answers.

    Args:
        url: `https://host[:port][/prefix]`; `http://` to this machine alone.
        ca_file: certificates in PEM that vouch for the host, in the place of those of the system.
        connect_timeout_ms: for a connection to each address of the host, milliseconds.
        timeout_ms: for the whole of each call after that; for `fetch` and what it waits. Both
            together are at most 30,000.
        connections: how many at once, 1 to 1,000; a call that waits for mail takes one.
        credential: is asked for what `register` shows, where it is not given one.

    Raises:
        InvalidArgument: an argument has the wrong type or range, the URL is another one, or
            `ca_file` holds no certificate.
    """

    def __init__(
        self,
        url: str,
        *,
        ca_file: str | os.PathLike[str] | None = None,
        connect_timeout_ms: int = 5_000,
        timeout_ms: int = 20_000,
        connections: int = 16,
        credential: Callable[[Address], bytes] | None = None,
    ) -> None:
        parsed = parse_url(url)
        file = None if ca_file is None else require_file_name("ca_file", ca_file)
        require_whole_number("connect_timeout_ms", connect_timeout_ms, 1, _MOST_TOGETHER_MS)
        require_whole_number("timeout_ms", timeout_ms, 1, _MOST_TOGETHER_MS)
        if connect_timeout_ms + timeout_ms > _MOST_TOGETHER_MS:
            raise InvalidArgument(
                f"connect_timeout_ms and timeout_ms must be {_MOST_TOGETHER_MS} together at most"
            )
        require_whole_number("connections", connections, 1, _MOST_CONNECTIONS)
        if credential is not None:
            require_callable("credential", credential)
        self._credential = credential
        self._place = parsed.place
        try:
            transport = Transport(
                parsed, file, connect_timeout_ms / 1000, timeout_ms / 1000, connections
            )
        except OSError as error:  # ssl.SSLError is one
            raise InvalidArgument("ca_file must be a file with certificates in PEM") from error
        super().__init__(transport)

    def __repr__(self) -> str:
        return f"<HTTPBackend {self._place}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("an HTTPBackend cannot be pickled or copied: make another one")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; a second time does nothing."""
        self._transport.close()

    @forgets_secrets
    def register(
        self, address: Address, token: bytes, *, replaces: bytes = b"", credential: bytes = b""
    ) -> None:
        """See `e2ecross.Backend`; without a credential, the function that was given is asked."""
        require_type("address", address, Address)
        require_bytes("token", token, TOKEN_BYTES)
        if not credential and self._credential is not None:
            credential = self._credential(address)
        arguments.require_replaced_token(replaces, credential)
        body = RegisterRequest(address, credential, replaces).encode()
        try:
            self._transport.ask("register", token, body)
        except NotRegistered as error:  # nobody is registered yet: it is no answer to this
            raise BackendRefused(str(error)) from error

    @forgets_secrets
    def publish(
        self, token: bytes, published: PublishedKeys, *, epoch: int = 0, replace: bool = False
    ) -> None:
        """See `e2ecross.Backend`."""
        require_bytes("token", token, TOKEN_BYTES)
        require_type("published", published, PublishedKeys)
        require_whole_number("epoch", epoch, 0, MAX_NUMBER)
        require_type("replace", replace, bool)
        body = PublishRequest(published.encode(), epoch, replace).encode()
        self._ask(published.address, "publish", token, body)

    @forgets_secrets
    def publish_devices(
        self, token: bytes, signed_list: bytes, tokens: Mapping[int, bytes], *, epoch: int = 0
    ) -> None:
        """See `e2ecross.Backend`."""
        require_bytes("token", token, TOKEN_BYTES)
        require_bytes("signed_list", signed_list)
        companions = arguments.require_companion_tokens(tokens)
        require_whole_number("epoch", epoch, 0, MAX_NUMBER)
        user = SignedDeviceList.decode(signed_list).list.user
        primary = Address(user.app, user.user, PRIMARY)
        body = PublishDevicesRequest(signed_list, companions, epoch).encode()
        self._ask(primary, "publish_devices", token, body)

    @forgets_secrets
    def epochs(self, address: Address, token: bytes) -> dict[int, int]:
        """See `e2ecross.Backend`."""
        answer = self._ask_of("epochs", address, token)
        return {0: 0} | fitting(lambda: decode_epochs(answer))

    @forgets_secrets
    def one_time_prekey_count(self, address: Address, token: bytes) -> int:
        """See `e2ecross.Backend`."""
        answer = self._ask_of("one_time_prekey_count", address, token)
        return fitting(lambda: decode_count(answer))

    @forgets_secrets
    def fetch_keys(
        self, requester: Address, token: bytes, wanted: Sequence[KeysWanted]
    ) -> list[UserKeys | UnknownRecipient]:
        """See `e2ecross.Backend`."""
        require_type("requester", requester, Address)
        require_bytes("token", token, TOKEN_BYTES)
        asked = arguments.require_wanted(wanted)
        body = FetchKeysRequest(requester, tuple(asked)).encode()
        answer = self._ask(requester, "fetch_keys", token, body)
        return fitting(lambda: decode_user_keys(answer, len(asked)))

    @forgets_secrets
    def deposit_all(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        """See `e2ecross.Backend`."""
        require_bytes("token", token, TOKEN_BYTES)
        listed = arguments.require_envelopes(envelopes)
        told = arguments.require_told(epochs)
        tokens = arguments.require_consents(consents, len(listed))
        body = DepositRequest(listed, told, tokens).encode()
        answer = self._transport.ask("deposit_all", token, body)
        return fitting(lambda: decode_deposited(answer, len(listed), told))

    @forgets_secrets
    def deposit_copies(
        self, token: bytes, copies: bytes, *, epochs: Mapping[int, int] | None = None
    ) -> Deposited:
        """See `e2ecross.Backend`."""
        require_bytes("token", token, TOKEN_BYTES)
        arguments.require_copies(copies)
        told = arguments.require_told(epochs)
        decoded = EnvelopeCopies.decode(copies)
        body = DepositCopiesRequest(copies, told).encode()
        answer = self._ask(decoded.sender, "deposit_copies", token, body)
        return fitting(lambda: decode_deposited(answer, len(decoded.recipients), told))

    @forgets_secrets
    def fetch(
        self,
        address: Address,
        token: bytes,
        limit: int,
        after: int = 0,
        *,
        wait_ms: int = 0,
        hold_ms: int = 0,
        holder: bytes = b"",
    ) -> list[Waiting]:
        """See `e2ecross.Backend`; with `wait_ms` the service waits for mail."""
        require_type("address", address, Address)
        require_bytes("token", token, TOKEN_BYTES)
        arguments.require_waiting(wait_ms, hold_ms, holder)
        require_whole_number("limit", limit, 0 if hold_ms else 1, MAX_FETCHED_IN_CALL)
        require_whole_number("after", after, 0, MAX_NUMBER)
        body = FetchRequest(address, limit, after, wait_ms, hold_ms, holder).encode()
        answer = self._ask(address, "fetch", token, body, wait_ms)
        return fitting(lambda: decode_waiting(answer, limit, after))

    @forgets_secrets
    def acknowledge(self, address: Address, token: bytes, numbers: Sequence[int]) -> None:
        """See `e2ecross.Backend`."""
        require_type("address", address, Address)
        require_bytes("token", token, TOKEN_BYTES)
        possible = arguments.require_numbers(numbers)
        # At least one round, so that a wrong token is refused whatever the numbers are.
        for start in range(0, max(len(possible), 1), MAX_ACKNOWLEDGED_IN_CALL):
            part = possible[start : start + MAX_ACKNOWLEDGED_IN_CALL]
            body = AcknowledgeRequest(address, part).encode()
            self._ask(address, "acknowledge", token, body)

    @forgets_secrets
    def put_link(
        self,
        link_id: bytes,
        slot: int,
        data: bytes,
        *,
        address: Address | None = None,
        token: bytes = b"",
    ) -> None:
        """See `e2ecross.Backend`."""
        arguments.require_link(link_id, slot)
        arguments.require_link_message(data)
        if slot == _ANSWER_SLOT:
            address, token = None, b""
        else:
            require_type("address", address, Address)
            require_bytes("token", token, TOKEN_BYTES)
        body = LinkRequest(link_id, slot, data, address).encode()
        self._ask(address, "put_link", token, body)

    @forgets_secrets
    def get_link(self, link_id: bytes, slot: int) -> bytes | None:
        """See `e2ecross.Backend`."""
        arguments.require_link(link_id, slot)
        answer = self._transport.ask("get_link", b"", LinkRequest(link_id, slot).encode())
        return fitting(lambda: decode_link(answer))

    def _ask_of(self, name: str, address: Address, token: bytes) -> bytes:
        require_type("address", address, Address)
        require_bytes("token", token, TOKEN_BYTES)
        return self._ask(address, name, token, AddressRequest(address).encode())
