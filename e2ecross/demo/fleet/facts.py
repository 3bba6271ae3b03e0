# SPDX-License-Identifier: Apache-2.0
"""What the demo of a fleet has seen, and in words.

With `--json` stdout is one document: `ok`, `version` (1), `seconds`, `error` or null,
and, unless it failed early, the fields of `FleetFacts`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from e2ecross.cli.doctor_finding import count
from e2ecross.demo.blocks import Block, Grid, Heading, Paragraph, Ticks
from e2ecross.demo.fleet.clock import SPEED

__all__ = ["Customer", "FleetFacts", "Killed", "Worker", "opening", "tell", "wrong_with"]


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker.

    Attributes:
        process_id: of its process.
        answered: how many messages it has answered.
        killed: whether that was its end.
    """

    process_id: int
    answered: int
    killed: bool


@dataclass(frozen=True, slots=True)
class Killed:
    """The worker that was killed.

    Attributes:
        process_id: of its process.
        in_hand: how many messages it had taken and not confirmed.
        answered: how many of those it had answered already.
        taken_over: how many of them others were given afterwards.
    """

    process_id: int
    in_hand: int
    answered: int
    taken_over: int


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer.

    Attributes:
        address: of the device.
        sent: how many messages it has sent.
        answers: how many answers have arrived.
        lost: how many of the messages have no answer.
        doubled: how many answers came more than once.
        out_of_order: how many answers came before one that was sent before.
        served_by: how many workers have answered it.
    """

    address: str
    sent: int
    answers: int
    lost: int
    doubled: int
    out_of_order: int
    served_by: int


@dataclass(frozen=True, slots=True)
class FleetFacts:
    """All of it.

    Attributes:
        postgresql: the server's version.
        workers: in the order of their start.
        killed: one of them.
        customers: who has written.
        waiting: how many stripes of the shop's store have something in a queue at the end.
    """

    postgresql: str
    workers: tuple[Worker, ...]
    killed: Killed
    customers: tuple[Customer, ...]
    waiting: int


def wrong_with(facts: FleetFacts) -> str | None:
    """Say what did not happen as it must, if anything."""
    for customer in facts.customers:
        for number, what in (
            (customer.lost, "lost"),
            (customer.doubled, "doubled"),
            (customer.out_of_order, "out of order"),
        ):
            if number:
                return f"{number} answers to {customer.address} {what}"
    if facts.waiting:
        return f"{facts.waiting} stripes of the shop's store have something waiting at the end"
    return None


def opening() -> Iterator[Block]:
    """Say what is going to be played."""
    yield Heading("One shop, three workers, and one of them is killed")
    yield Paragraph(
        "Customers on WhatsApp, Instagram and Messenger write to one shop. It has one identity, "
        "and three processes serve it over one PostgreSQL database, which is started for this and "
        "gone afterwards. Then one of the three gets SIGKILL while it has messages in hand. Such "
        "messages are held for a minute before others get them: the clock here runs "
        f"{SPEED} times as fast."
    )


def tell(facts: FleetFacts) -> Iterator[Block]:
    """Put it into words."""
    killed = facts.killed
    yield Grid(
        ("worker", "process", "answered", ""),
        tuple(
            (
                f"worker {number}",
                str(worker.process_id),
                str(worker.answered),
                "killed" if worker.killed else "went on to the end",
            )
            for number, worker in enumerate(facts.workers, 1)
        ),
    )
    yield Paragraph(
        f"When process {killed.process_id} was killed it had {count(killed.in_hand, 'message')} in "
        f"hand, {killed.answered} of them answered already. {killed.taken_over} of them were "
        f"handed to others afterwards. What had its answer got no second one: the id of an answer "
        f"is made of that of the message."
    )
    yield Grid(
        ("customer", "sent", "answers", "by how many workers"),
        tuple(
            (each.address, str(each.sent), str(each.answers), str(each.served_by))
            for each in facts.customers
        ),
    )
    sent = sum(customer.sent for customer in facts.customers)
    yield Ticks(
        (
            f"{sent} messages sent and answered over PostgreSQL {facts.postgresql}: none lost",
            "none doubled",
            "none out of order",
            "nothing waits in the shop's outbox or inbox",
        )
    )
