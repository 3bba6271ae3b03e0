# SPDX-License-Identifier: Apache-2.0
"""Bodies of the calls about mail: deposited, fetched, acknowledged.

Source: docs/service.md, bodies.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from e2ecross.address import Address, UserId
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    DecodeError,
    MailboxFull,
    UnknownRecipient,
)
from e2ecross.wire._pb.e2ecross.v1 import envelope_pb2, service_pb2
from e2ecross.wire.encoding import (
    decode_address,
    decode_user,
    encode_address,
    encode_user,
    parse,
    serialize,
)
from e2ecross.wire.exchange import (
    CONSENT_BYTES,
    HOLDER_BYTES,
    MAX_ACKNOWLEDGED_IN_CALL,
    MAX_FETCHED_IN_CALL,
    MAX_HOLD_MS,
    MAX_IN_CALL,
    MAX_WAIT_MS,
    Deposited,
    Waiting,
)
from e2ecross.wire.limits import MAX_COPIES_BYTES, MAX_ENVELOPE_BYTES
from e2ecross.wire.service_calls import CALLS
from e2ecross.wire.service_encoding import (
    clean_text,
    pack_epochs,
    require_count,
    require_length,
    require_number,
    text_of,
    unpack_epochs,
)

__all__ = [
    "AcknowledgeRequest",
    "DepositCopiesRequest",
    "DepositRequest",
    "FetchRequest",
    "decode_deposited",
    "decode_waiting",
    "encode_deposited",
    "encode_waiting",
]

_REFUSALS: Final = {
    error.code: error for error in (BackendRefused, MailboxFull, UnknownRecipient, BackendError)
}


@dataclass(frozen=True, slots=True)
class DepositRequest:
    """Envelopes of one sender; how many and how large is for the back end to judge.

    Attributes:
        envelopes: encoded.
        epochs: by stripe, at most 1,024; one of 0 is not told.
        consents: none, or one for each envelope, empty or of 32 bytes.
    """

    envelopes: Sequence[bytes] = field(repr=False)
    epochs: Mapping[int, int]
    consents: Sequence[bytes] = field(default=(), repr=False)

    def encode(self) -> bytes:
        """Return the body."""
        return serialize(
            service_pb2.DepositRequest(
                envelopes=self.envelopes, epochs=pack_epochs(self.epochs), consents=self.consents
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the body.

        Raises:
            DecodeError: malformed, or a bound is exceeded.
        """
        largest = CALLS["deposit_all"].max_request
        fields = parse(service_pb2.DepositRequest, data, "a deposit", largest)
        epochs = unpack_epochs(fields.epochs, MAX_IN_CALL)
        if len(fields.consents) not in (0, len(fields.envelopes)):
            raise DecodeError("there must be a consent for each envelope, or none")
        for consent in fields.consents:
            require_length("a consent", consent, 0, CONSENT_BYTES)
        return cls(tuple(fields.envelopes), epochs, tuple(fields.consents))


@dataclass(frozen=True, slots=True)
class DepositCopiesRequest:
    """One message for many; what it is, and how large, is for the back end to judge.

    Attributes:
        copies: an encoded `EnvelopeCopies`.
        epochs: by stripe, at most 1,024; one of 0 is not told.
    """

    copies: bytes = field(repr=False)
    epochs: Mapping[int, int]

    def count(self) -> int:
        """Return how many recipients are named, whoever they are; 0 if these are no copies."""
        try:
            fields = parse(envelope_pb2.EnvelopeCopies, self.copies, "copies", MAX_COPIES_BYTES)
        except DecodeError:
            return 0
        return len(fields.recipients)

    def encode(self) -> bytes:
        """Return the body."""
        return serialize(
            service_pb2.DepositCopiesRequest(copies=self.copies, epochs=pack_epochs(self.epochs))
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the body.

        Raises:
            DecodeError: malformed, or a bound is exceeded.
        """
        largest = CALLS["deposit_copies"].max_request
        fields = parse(service_pb2.DepositCopiesRequest, data, "a deposit of copies", largest)
        return cls(fields.copies, unpack_epochs(fields.epochs, MAX_IN_CALL))


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """What is asked of a mailbox.

    Attributes:
        address: whose.
        limit: how many at most, 1 to 1,000; with a hold also 0.
        after: only those with higher numbers, 0 to 2^63-1.
        wait_ms: how long to wait for the first, 0 to 30,000.
        hold_ms: how long they are held, 0 to 600,000.
        holder: who holds them, 16 bytes, with `hold_ms`; else empty.
    """

    address: Address
    limit: int
    after: int = 0
    wait_ms: int = 0
    hold_ms: int = 0
    holder: bytes = b""

    def encode(self) -> bytes:
        """Return the body."""
        return serialize(
            service_pb2.FetchRequest(
                address=encode_address(self.address),
                limit=self.limit,
                after=self.after,
                wait_ms=self.wait_ms,
                hold_ms=self.hold_ms,
                holder=self.holder,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the body.

        Raises:
            DecodeError: malformed, or a bound is exceeded.
        """
        fields = parse(service_pb2.FetchRequest, data, "a fetch", CALLS["fetch"].max_request)
        lowest = 0 if fields.hold_ms else 1
        require_length("holder", fields.holder, HOLDER_BYTES if fields.hold_ms else 0)
        return cls(
            decode_address(fields.address),
            require_number("limit", fields.limit, MAX_FETCHED_IN_CALL, lowest),
            require_number("after", fields.after),
            require_number("wait_ms", fields.wait_ms, MAX_WAIT_MS),
            require_number("hold_ms", fields.hold_ms, MAX_HOLD_MS),
            fields.holder,
        )


@dataclass(frozen=True, slots=True)
class AcknowledgeRequest:
    """Numbers of envelopes of a mailbox, at most 10,000, each at most 2^63-1."""

    address: Address
    numbers: Sequence[int]

    def encode(self) -> bytes:
        """Return the body."""
        return serialize(
            service_pb2.AcknowledgeRequest(
                address=encode_address(self.address), numbers=self.numbers
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the body.

        Raises:
            DecodeError: malformed, or a bound is exceeded.
        """
        largest = CALLS["acknowledge"].max_request
        fields = parse(service_pb2.AcknowledgeRequest, data, "an acknowledgement", largest)
        require_count("numbers", len(fields.numbers), MAX_ACKNOWLEDGED_IN_CALL)
        for number in fields.numbers:
            require_number("a number", number)
        return cls(decode_address(fields.address), tuple(fields.numbers))


# --- Answers ----------------------------------------------------------------------------------


def encode_deposited(deposited: Deposited) -> bytes:
    """Return the body that tells what became of a deposit."""
    return serialize(
        service_pb2.DepositResponse(
            refused=[
                service_pb2.Refusal(index=place, code=_code(error), text=text_of(error))
                for place, error in sorted(deposited.refused.items())
            ],
            seqs=[
                service_pb2.AccountSeq(user=encode_user(user), seq=seq)
                for user, seq in deposited.seqs.items()
            ],
            epochs=pack_epochs(deposited.epochs),
        )
    )


def decode_deposited(data: bytes, count: int, stripes: Collection[int]) -> Deposited:
    """Read what became of a deposit of that many envelopes, or of copies for that many.

    `epochs` has those stripes, of which it has told, where there was a sender.

    Raises:
        DecodeError: malformed; a place that is none; more accounts than there can be.
    """
    largest = CALLS["deposit_all"].max_answer
    fields = parse(service_pb2.DepositResponse, data, "an answer", largest)
    refused: dict[int, BackendError] = {}
    last = -1
    for refusal in fields.refused:
        require_number("a place", refusal.index, count - 1, last + 1)
        last = refusal.index
        kind = _REFUSALS.get(refusal.code, BackendError)
        refused[last] = kind(clean_text(refusal.text))
    require_count("accounts", len(fields.seqs), count + 1)
    seqs: dict[UserId, int] = {}
    for told in fields.seqs:
        seqs[decode_user(told.user)] = require_number("the number of a list", told.seq)
    before = unpack_epochs(fields.epochs)
    epochs = {stripe: before.get(stripe, 0) for stripe in stripes} if seqs else {}
    return Deposited(refused, seqs, epochs)


def encode_waiting(waiting: Sequence[Waiting]) -> bytes:
    """Return the body that hands out envelopes."""
    return serialize(
        service_pb2.FetchResponse(
            waiting=[
                service_pb2.Waiting(number=each.number, envelope=each.envelope) for each in waiting
            ]
        )
    )


def decode_waiting(data: bytes, limit: int, after: int) -> list[Waiting]:
    """Read envelopes that wait.

    Args:
        data: the body.
        limit: how many were asked for.
        after: above which number.

    Raises:
        DecodeError: malformed; more than asked for; numbers that do not ascend; an envelope that is
            too large for one.
    """
    fields = parse(service_pb2.FetchResponse, data, "an answer", CALLS["fetch"].max_answer)
    require_count("envelopes", len(fields.waiting), limit)
    waiting: list[Waiting] = []
    for each in fields.waiting:
        after = require_number("a number", each.number, low=after + 1)
        require_count("bytes of an envelope", len(each.envelope), MAX_ENVELOPE_BYTES, 1)
        waiting.append(Waiting(after, each.envelope))
    return waiting


def _code(error: BackendError) -> str:
    return error.code if error.code in _REFUSALS else BackendError.code
