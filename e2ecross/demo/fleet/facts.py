# SPDX-License-Identifier: Apache-2.0
"""What the demo of a fleet has seen, and in words, of which the last are for one screen.

With `--json` stdout is one document: `ok`, `version` (1), `about`, `seconds` (without waiting for
keys), `error` or null, and, unless it failed early, the fields of `FleetFacts`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from e2ecross.cli.doctor_finding import count
from e2ecross.demo.blocks import Block, Grid, Heading, Ledger, Paragraph, listed
from e2ecross.demo.fleet.clock import SPEED
from e2ecross.demo.people import PEOPLE

__all__ = [
    "ABOUT",
    "Customer",
    "FleetFacts",
    "Killed",
    "Worker",
    "opening",
    "summarise",
    "tell",
    "wrong_with",
]

ABOUT: Final = (
    "Six customers on WhatsApp, Instagram and Messenger write to one shop, which three worker "
    "processes answer in one name, over one PostgreSQL database that is started for this and gone "
    "afterwards. You will see one of the three killed in the middle of its work, and that no "
    "customer notices: no answer is lost, none comes twice, none out of order."
)
"""What will be shown, in two sentences."""

_APPS: Final = {person.user.partition(":")[0]: person.app for person in PEOPLE}


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
    yield Paragraph(ABOUT)


def tell(facts: FleetFacts) -> Iterator[Block]:
    """Put into words what happened."""
    killed = facts.killed
    yield Heading("1. What the workers did")
    yield Paragraph(
        "All three work at the same time, in the same end-to-end encrypted conversations. Whoever "
        "is free takes messages, answers them, and only then confirms that they are done."
    )
    yield Grid(
        ("worker", "process", "messages answered", ""),
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
        f"Process {killed.process_id} was killed when it had taken "
        f"{count(killed.in_hand, 'message')}, answered {killed.answered} of them, and confirmed "
        f"none. What it had taken was kept for it for a minute (of a clock that runs {SPEED} times "
        f"as fast here); then the others were handed {killed.taken_over} of those messages. What "
        f"had its answer already got no second one, for an answer's id is made of that of the "
        f"message."
    )
    yield Heading("2. What the customers saw")
    yield Grid(
        ("customer", "messages", "answers", "from how many workers"),
        tuple(
            (each.address, str(each.sent), str(each.answers), str(each.served_by))
            for each in facts.customers
        ),
    )


def summarise(facts: FleetFacts) -> Iterator[Block]:
    """All of it on one screen."""
    customers, killed = facts.customers, facts.killed
    apps = dict.fromkeys(_APPS[each.address.partition(":")[0]] for each in customers)
    sent, answers = sum(each.sent for each in customers), sum(each.answers for each in customers)
    yield Heading("3. In short: a worker was killed, and no customer noticed")
    yield Ledger(
        f"{len(facts.workers)} processes answered for one shop, end to end encrypted, over one "
        f"PostgreSQL database:",
        (
            ("customers", f"{len(customers)}, on {listed(apps)}"),
            ("messages", f"{sent} sent, {answers} answers"),
            (
                "killed",
                f"1 of {len(facts.workers)} workers, with {killed.in_hand} messages in hand",
            ),
            ("taken over", f"{killed.taken_over} of those {killed.in_hand}, by the other workers"),
            ("lost", _number(sum(each.lost for each in customers))),
            ("doubled", _number(sum(each.doubled for each in customers))),
            ("out of order", _number(sum(each.out_of_order for each in customers))),
            ("left over", f"{_number(facts.waiting)} of the shop's messages wait in the database"),
            ("database", f"PostgreSQL {facts.postgresql}"),
        ),
        good=True,
    )


def _number(number: int) -> str:
    return str(number or "none")
