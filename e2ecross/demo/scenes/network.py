# SPDX-License-Identifier: Apache-2.0
"""The scene in which the talk goes on over a network: the back end as a service of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from e2ecross.demo.blocks import Block, Heading, Pairs, Paragraph, listed, read
from e2ecross.demo.director import Director
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
        letters: in the order of sending.
        copies: of them, for other devices.
    """

    url: str | None
    throughout: bool = False
    service_process_id: int | None = None
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
        begun = "The same back end now runs as a service over HTTP, too"
        if self.throughout:
            begun = "All the while the back end has been a service over HTTP"
        yield Heading("The talk goes on over a network")
        yield Paragraph(
            f"{begun}, at {self.url} (process {self.service_process_id}). The apps of "
            f"{first.sender.name} and {first.recipient.name} connect to that address anew "
            f"and go on where they were. {others} get their copies, as before."
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
        for person in (ANA, BUDI):
            stage.reconnect(person)
        for sender, recipient, text in _LINES:
            letter = director.send(sender, recipient, text)
            made = director.copies(letter, LAPTOP, TABLET)
            director.deliver(letter)
            director.deliver_copies(made)
            letters.append(letter)
            copies += made
    for person in (ANA, BUDI):
        stage.reconnect(person)
    over_it = director.letters if stage.network else letters
    director.sent_over_network = len(over_it)
    return Network(service.url, stage.network, service.process_id, tuple(letters), tuple(copies))
