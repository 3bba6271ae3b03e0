# SPDX-License-Identifier: Apache-2.0
"""The workers of the demo of a fleet: their processes, and what they tell.

Rules:
- A thread for each reads its lines, so that one can be killed while it has something in hand.
- Only processes that were started here are ended here, and all of them are.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from e2ecross.demo.people import DemoFailed
from e2ecross.demo.processes import environment, last_words, see_off

__all__ = ["Staff", "StaffMember"]

_COMMAND: Final = (sys.executable, "-P", "-m", "e2ecross.demo.fleet.worker")
_READY_SECONDS: Final = 30.0
_END_SECONDS: Final = 10.0


class StaffMember:
    """A worker's process.

    Attributes:
        process_id: of it.
        took: messages that it has taken in hand, by id, in that order, some more than once.
        answered: those that it has answered.
        confirmed: those that it has confirmed.
        was_killed: whether that was its end.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], staff: "Staff"
    ) -> None:
        self._staff = staff
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `end`)
        self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=dict(environment),
            encoding="ascii",
            errors="replace",
            start_new_session=True,  # Ctrl-C is for us, and we end it
        )
        self.process_id = self._process.pid
        self.took: list[str] = []
        self.answered: list[str] = []
        self.confirmed: list[str] = []
        self.was_killed = False
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_until_ready(self) -> None:
        """Wait until it works.

        Raises:
            DemoFailed: it does not.
        """
        if not self._ready.wait(_READY_SECONDS) or self._process.poll() is not None:
            raise DemoFailed(f"a worker does not start{last_words(self._complaints)}")

    def check(self) -> None:
        """See that it is at work.

        Raises:
            DemoFailed: it has ended without having been killed.
        """
        if not self.was_killed and self._process.poll() is not None:
            raise DemoFailed(f"a worker has ended{last_words(self._complaints)}")

    def kill(self) -> None:
        """End it without a chance to do anything."""
        self.was_killed = True
        self._process.kill()

    def dismiss(self) -> None:
        """Let it end when it has done what it has in hand."""
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()

    def end(self) -> None:
        """Wait until it has ended, or have it end."""
        self.dismiss()
        see_off(self._process, _END_SECONDS)
        self._reader.join(timeout=_END_SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._complaints.close()

    def _read(self) -> None:
        with contextlib.suppress(ValueError, OSError):  # closed meanwhile, or cut by its end
            for line in self._process.stdout or ():
                self._hear(json.loads(line))
        self._ready.set()

    def _hear(self, told: dict[str, Any]) -> None:
        if "ready" in told:
            self._ready.set()
        self.took += told.get("took", [])
        self.confirmed += told.get("confirmed", [])
        if "answered" in told:
            self.answered.append(told["answered"])
            self._staff.has_answered(self)


class Staff:
    """All workers; a context manager that leaves none behind.

    Args:
        number: how many.
        arguments: of each.
        database: how each reaches it, in its environment.
    """

    def __init__(self, number: int, arguments: Sequence[str], database: Mapping[str, str]) -> None:
        self.members: list[StaffMember] = []
        self.killed: StaffMember | None = None
        self._one_is_to_die = False
        self._lock = threading.Lock()
        surrounding = {**environment(), **database}
        try:
            for _ in range(number):
                self.members.append(StaffMember((*_COMMAND, *arguments), surrounding, self))
            for member in self.members:
                member.wait_until_ready()
        except BaseException:
            self.end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Let all of them end."""
        for member in self.members:
            member.dismiss()
        for member in self.members:
            member.end()

    def kill_the_next(self) -> None:
        """Kill whoever answers something next, before it confirms that."""
        self._one_is_to_die = True

    def has_answered(self, member: StaffMember) -> None:
        """Hear that a worker has answered something, and has it still in hand."""
        with self._lock:
            if self._one_is_to_die and self.killed is None:
                self.killed = member
                member.kill()
