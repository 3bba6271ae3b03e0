# SPDX-License-Identifier: Apache-2.0
"""The scene in which the talk goes on over a network: the back end as a service of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from e2ecross.demo.blocks import Block, Heading, Pairs, Paragraph, listed, read
from e2ecross.demo.director import Director, check, take
from e2ecross.demo.facts import Copy, Letter
from e2ecross.demo.people import ANA, BUDI, LAPTOP, TABLET, DemoFailed
from e2ecross.demo.service import require_service

__all__ = ["Network", "network"]

_LINES: Final = (
    (ANA, BUDI, "On my way home, mobile network only. Is all set for Saturday?"),
    (BUDI, ANA, "All set! Grinder, ear plugs, and a cake with ten candles."),
    (ANA, BUDI, "And I have the beans. Good night, Budi!"),
)


@dataclass(frozen=True, slots=True)
class Network:
    """Two apps reach the same back end over HTTP.

    Attributes:
        url: of the service; None if what it needs is not installed, and the scene was left out.
        throughout: whether all of the demo is played over it, and not this scene alone.
        service_process_id: of its process.
        process_ids: of the two apps' new processes.
        letters: in the order of sending.
        copies: of them, for other devices.
    """

    url: str | None
    throughout: bool = False
    service_process_id: int | None = None
    process_ids: tuple[int, ...] = ()
    letters: tuple[Letter, ...] = ()
    copies: tuple[Copy, ...] = ()

    def tell(self) -> Iterator[Block]:
        """See `Scene`."""
        if self.url is None:
            yield Heading("Over a network: left out")
            yield Paragraph(
                "Part of it is not installed:  pip install 'e2ecross[demo]'  brings it."
            )
            return
        first = self.letters[0]
        others = listed(dict.fromkeys(copy.device.name for copy in self.copies))
        begun = "The same back end now runs as a service over HTTP"
        if self.throughout:
            begun = "All the while the back end has been a service over HTTP"
        yield Heading("The talk goes on over a network")
        yield Paragraph(
            f"{begun}, at {self.url} (process {self.service_process_id}). The apps of "
            f"{first.sender.name} and {first.recipient.name} end and come back as new processes "
            f"({listed(map(str, self.process_ids))}), which know nothing of it but that address. "
            f"They go on where they were, and {others} get their copies."
        )
        yield Pairs(tuple(map(read, self.letters)))


def network(director: Director) -> Network:
    """Ana and Budi go on over the service, if what it needs is installed."""
    try:
        require_service()
    except DemoFailed:
        return Network(None)
    stage, letters, copies = director.stage, list[Letter](), list[Copy]()
    with stage.serving() as service:
        ended = {stage.leave(person) for person in (ANA, BUDI)}
        answers = stage.enter((ANA, BUDI))
        found = tuple(take(answer, "process_id", int) for answer in answers.values())
        check(ended.isdisjoint(found), "the apps have not been away")
        for sender, recipient, text in _LINES:
            letter = director.send(sender, recipient, text)
            made = director.copies(letter, LAPTOP, TABLET)
            director.deliver(letter)
            director.deliver_copies(made)
            letters.append(letter)
            copies += made
        for person in (ANA, BUDI):
            stage.leave(person)
    over_it = director.letters if stage.network else letters
    director.sent_over_network = len(over_it)
    return Network(
        service.url, stage.network, service.process_id, found, tuple(letters), tuple(copies)
    )
