# SPDX-License-Identifier: Apache-2.0
"""Bodies of the call that hands out keys.

Source: docs/service.md, bodies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from e2ecross.address import Address
from e2ecross.errors import DecodeError, RemoteError, UnknownRecipient
from e2ecross.wire._pb.e2ecross.v1 import service_pb2
from e2ecross.wire.bundle import PreKeyBundle
from e2ecross.wire.encoding import (
    decode_address,
    decode_user,
    encode_address,
    encode_user,
    parse,
    serialize,
)
from e2ecross.wire.exchange import (
    MAX_USERS_IN_CALL,
    KeysWanted,
    UserKeys,
)
from e2ecross.wire.limits import (
    MAX_LISTED_DEVICES,
    MAX_SIGNED_DEVICE_LIST_BYTES,
)
from e2ecross.wire.service_calls import CALLS
from e2ecross.wire.service_encoding import (
    checked,
    clean_text,
    require_count,
    text_of,
)

__all__ = [
    "FetchKeysRequest",
    "decode_user_keys",
    "encode_user_keys",
]


@dataclass(frozen=True, slots=True)
class FetchKeysRequest:
    """Whose keys are wanted, by whom; of 1 to 32 users."""

    requester: Address
    wanted: tuple[KeysWanted, ...]

    def encode(self) -> bytes:
        """Return the body."""
        return serialize(
            service_pb2.FetchKeysRequest(
                requester=encode_address(self.requester),
                wanted=[
                    service_pb2.KeysWanted(
                        user=encode_user(keys.user),
                        all=keys.devices is None,
                        devices=sorted(keys.devices or ()),
                    )
                    for keys in self.wanted
                ],
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the body.

        Raises:
            DecodeError: malformed, or a bound is exceeded.
        """
        largest = CALLS["fetch_keys"].max_request
        fields = parse(service_pb2.FetchKeysRequest, data, "a question for keys", largest)
        require_count("users", len(fields.wanted), MAX_USERS_IN_CALL, 1)
        requester = decode_address(fields.requester)
        return cls(requester, tuple(_wanted(each) for each in fields.wanted))


def encode_user_keys(answers: Sequence[UserKeys | UnknownRecipient]) -> bytes:
    """Return the body that hands out keys."""
    return serialize(service_pb2.FetchKeysResponse(answers=[_packed(each) for each in answers]))


def decode_user_keys(data: bytes, count: int) -> list[UserKeys | UnknownRecipient]:
    """Read the keys that were asked for.

    Args:
        data: the body.
        count: of how many users.

    Raises:
        DecodeError: malformed, of another number of users, or a bound is exceeded.
        RemoteError: what a bundle says is not acceptable.
    """
    largest = CALLS["fetch_keys"].max_answer
    fields = parse(service_pb2.FetchKeysResponse, data, "an answer", largest)
    require_count("answers", len(fields.answers), count, count)
    return [_unpacked(each) for each in fields.answers]


def _wanted(fields: service_pb2.KeysWanted) -> KeysWanted:
    if fields.all and fields.devices:
        raise DecodeError("either all devices are wanted or some")
    devices = None if fields.all else list(fields.devices)
    user = decode_user(fields.user)
    return checked(lambda: KeysWanted(user, devices), "a question for keys")


def _packed(answer: UserKeys | UnknownRecipient) -> service_pb2.UserKeysAnswer:
    if isinstance(answer, UnknownRecipient):
        return service_pb2.UserKeysAnswer(code=answer.code, text=text_of(answer))
    return service_pb2.UserKeysAnswer(
        device_list=answer.device_list, bundles=[bundle.encode() for bundle in answer.bundles]
    )


def _unpacked(fields: service_pb2.UserKeysAnswer) -> UserKeys | UnknownRecipient:
    if fields.code:
        if fields.code != UnknownRecipient.code:
            raise DecodeError("an answer has a code that is none of its codes")
        return UnknownRecipient(clean_text(fields.text))
    size = len(fields.device_list)
    require_count("bytes of a list of devices", size, MAX_SIGNED_DEVICE_LIST_BYTES)
    require_count("bundles", len(fields.bundles), MAX_LISTED_DEVICES)
    try:
        return UserKeys(fields.device_list, tuple(map(PreKeyBundle.decode, fields.bundles)))
    except RemoteError as error:
        raise DecodeError(f"a bundle in an answer is not acceptable: {error}") from error
