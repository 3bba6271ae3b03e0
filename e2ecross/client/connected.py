# SPDX-License-Identifier: Apache-2.0
"""How the parts of a `Client` reach its back end."""

from abc import ABC, abstractmethod

from e2ecross.client.attempts import Failure
from e2ecross.client.flushing import flush
from e2ecross.client.link import Link
from e2ecross.device.registering import may_send_offline
from e2ecross.errors import BackendError, NotRegistered
from e2ecross.state.context import Context

__all__ = ["Connected"]


class Connected(ABC):
    """What has a way to a back end; `Client` says which."""

    __slots__ = ()

    _context: Context

    @abstractmethod
    def _way(self) -> Link:
        """Return the way to the back end."""

    @abstractmethod
    def _check_epoch(self, link: Link) -> None:
        """Ask the back end, once, what it has seen of this device, before anything leaves."""

    def _connected(self) -> Link:
        link = self._way()
        self._check_epoch(link)
        return link

    def _way_or_failure(self) -> tuple[Link, Failure | None]:
        """Return the way to the back end, and why it cannot be reached now, if it cannot.

        Then what can be encrypted still is, and the back end is asked before that leaves.
        """
        link = self._way()
        try:
            self._check_epoch(link)
        except NotRegistered:
            raise
        except BackendError as error:
            if not may_send_offline(self._context):
                raise
            return link, error
        return link, None

    def _reaches(self, link: Link) -> bool:
        """Tell whether the back end can be reached: nothing leaves before it was asked."""
        try:
            self._check_epoch(link)
        except NotRegistered:
            raise
        except BackendError:
            return False
        return True

    def _flush(self, link: Link) -> None:
        """Deposit what waits, if the back end can be reached; else it goes with another call."""
        try:
            self._check_epoch(link)
            flush(link)
        except NotRegistered:
            raise
        except BackendError:
            pass
