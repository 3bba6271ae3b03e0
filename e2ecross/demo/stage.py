# SPDX-License-Identifier: Apache-2.0
"""The stage of the demo: starts the apps' processes and passes stage directions to them.

Rules:
- One JSON object per line, there and back; every answer has a time limit.
- Whatever goes wrong with an app is a `DemoFailed` that names it.
- Only processes that were started here are ended here, and all of them are.
"""

import contextlib
import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from e2ecross.demo.people import DemoFailed, Person
from e2ecross.demo.processes import environment, last_words, see_off
from e2ecross.demo.service import DemoService

__all__ = ["ANSWER_SECONDS", "BLOB_FOLDER", "RELAY_FILE", "Stage"]

ANSWER_SECONDS: Final = 20.0
"""How long an app may take for one answer, its start included: hundreds of times the usual."""

_LEAVING_SECONDS: Final = 5.0
"""How long an app may take to close its files, before it is ended."""

RELAY_FILE: Final = "relay.db"
BLOB_FOLDER: Final = "relay-files"

_ACTOR: Final = (sys.executable, "-P", "-m", "e2ecross.demo.actor")


class Stage:
    """The processes of the demo; a context manager that leaves none behind.

    Args:
        folder: where the stores and the relay's file are.
        network: whether the back end is a service, in a process of its own; else a file.
        actor: the command that plays an app; address, store, back end and its folder for files are
            appended.
        answer_seconds: how long an app may take for one answer.
    """

    def __init__(
        self,
        folder: Path,
        *,
        network: bool = False,
        actor: Sequence[str] = _ACTOR,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.folder = folder
        self._actor = tuple(actor)
        self._answer_seconds = answer_seconds
        self._apps: dict[Person, _App] = {}
        self.network = network
        self._service: DemoService | None = None

    def __enter__(self) -> Self:
        if self.network:
            self._service = self._serve()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for app in self._apps.values():
            app.dismiss()
        for app in self._apps.values():
            app.end()
        self._apps.clear()
        if self._service is not None:
            self._service.end()

    @property
    def relay_file(self) -> Path:
        """The one file that the apps share, or that the service keeps for them."""
        return self.folder / RELAY_FILE

    @property
    def blob_folder(self) -> Path:
        """Where the relay keeps files beside it."""
        return self.folder / BLOB_FOLDER

    def enter(self, people: Iterable[Person]) -> dict[Person, dict[str, Any]]:
        """Start the apps of these people, all at once; return what each says first."""
        people = tuple(people)
        for person in people:
            store = str(self.folder / person.file)
            command = (*self._actor, person.address, store, self._back_end, str(self.blob_folder))
            self._apps[person] = _App(person, command, self._answer_seconds)
        return {person: self._apps[person].answer() for person in people}

    @property
    def _back_end(self) -> str:
        return str(self.relay_file) if self._service is None else self._service.url

    def reconnect(self, person: Person) -> None:
        """Let an app leave its way to the back end, and take the one that there is now.

        Raises:
            DemoFailed: as of `ask`.
        """
        self.ask(person, "reconnect", back_end=self._back_end, blob_folder=str(self.blob_folder))

    @contextlib.contextmanager
    def serving(self) -> Iterator[DemoService]:
        """Have the back end as a service: who enters or reconnects meanwhile reaches it there.

        Raises:
            DemoFailed: it does not start.
        """
        if self._service is not None:
            yield self._service
            return
        self._service = self._serve()
        try:
            yield self._service
        finally:
            self._service.end()
            self._service = None

    def _serve(self) -> DemoService:
        return DemoService(self.relay_file, self.blob_folder, environment())

    def leave_all(self) -> None:
        """Let all apps that are there close their files and end.

        Raises:
            DemoFailed: one does not end, or not well.
        """
        for person in tuple(self._apps):
            self.leave(person)

    def leave(self, person: Person) -> int:
        """Let an app close its files and end; return the id that its process had.

        Raises:
            DemoFailed: it does not end, or not well.
        """
        app = self._apps.pop(person)
        app.dismiss()
        code = app.end()
        if code != 0:
            raise DemoFailed(f"the app of {person.name} ended with exit code {code}")
        return app.process_id

    def ask(self, person: Person, do: str, **direction: str) -> dict[str, Any]:
        """Give an app a stage direction and return its answer.

        Raises:
            DemoFailed: it is not there, does not answer in time, or answers with an error.
        """
        app = self._apps.get(person)
        if app is None:
            raise DemoFailed(f"{person.name} has no process, and was asked to {do}")
        app.direct({"do": do, **direction})
        answer = app.answer()
        if "error" in answer:
            error = answer["error"]
            raise DemoFailed(f"the app of {person.name} could not {do}: {error}")
        return answer


class _App:
    """One process: a thread reads its lines, so that waiting for one can have a limit."""

    def __init__(self, person: Person, command: Sequence[str], answer_seconds: float) -> None:
        self._person = person
        self._answer_seconds = answer_seconds
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `end`)
        try:
            self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                env=environment(),
                encoding="ascii",
                errors="replace",
            )
        except OSError as error:
            self._complaints.close()
            raise DemoFailed(f"the app of {person.name} cannot be started: {error}") from error
        self.process_id = self._process.pid
        self._reader = threading.Thread(target=self._read, args=(self._stdout,), daemon=True)
        self._reader.start()

    @property
    def _stdin(self) -> IO[str]:
        return _require_pipe(self._process.stdin)

    @property
    def _stdout(self) -> IO[str]:
        return _require_pipe(self._process.stdout)

    def _read(self, lines: IO[str]) -> None:
        with contextlib.suppress(ValueError, OSError):  # closed meanwhile
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)

    def direct(self, direction: dict[str, str]) -> None:
        try:
            self._stdin.write(json.dumps(direction) + "\n")
            self._stdin.flush()
        except OSError as error:
            raise self._has_ended() from error

    def answer(self) -> dict[str, Any]:
        name = self._person.name
        try:
            line = self._lines.get(timeout=self._answer_seconds)
        except queue.Empty:
            limit = f"{self._answer_seconds:g} seconds"
            raise DemoFailed(f"the app of {name} has not answered within {limit}") from None
        if line is None:
            raise self._has_ended()
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise DemoFailed(f"the app of {name} answered with something else than JSON")
        return answer

    def dismiss(self) -> None:
        """Tell the app to go; it closes its files first."""
        with contextlib.suppress(OSError):
            self._stdin.close()

    def end(self) -> int:
        """Wait for the process, end it if it stays, and return its exit code."""
        self.dismiss()
        see_off(self._process, _LEAVING_SECONDS)
        self._reader.join(timeout=_LEAVING_SECONDS)
        self._stdout.close()
        self._complaints.close()
        return self._process.wait()

    def _has_ended(self) -> DemoFailed:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_LEAVING_SECONDS)
        why = last_words(self._complaints)
        code = self._process.poll()
        how = "closed its output" if code is None else f"has ended with exit code {code}"
        return DemoFailed(f"the app of {self._person.name} {how}{why}")


def _require_pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise DemoFailed("a process was started without a pipe")
    return pipe
