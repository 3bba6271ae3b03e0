# SPDX-License-Identifier: Apache-2.0
"""The attacks of the page's back end: each is done for real, and what came of it is observed."""

from e2ecross.demo.people import DemoFailed
from e2ecross.demo.web.play import Play

__all__ = ["Attacks"]


class Attacks:
    """All attacks on a play, one at a time."""

    def __init__(self, play: Play) -> None:
        self._play = play

    def knows(self, name: str) -> bool:
        """Tell whether there is an attack of that name."""
        return name in ("flip",)

    def begin(self, name: str) -> int:
        raise DemoFailed("not yet")
