# SPDX-License-Identifier: Apache-2.0
"""The processes of the page's phones, as the page's own process sees them.

Rules:
- A store's key is drawn here, handed over through a pipe, and not kept.
- Whatever goes wrong with a phone is one sentence.
- Only processes that were started here are ended here, and all of them are.
"""

import contextlib
import itertools
import json
import queue
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Final

from e2ecross.demo.people import DemoFailed, Person
from e2ecross.demo.processes import environment, last_words
from e2ecross.demo.web.cast import NAMES

__all__ = ["Phone", "PhoneRefused"]

_COMMAND: Final = (sys.executable, "-P", "-m", "e2ecross.demo.web.phone")
_ANSWER_SECONDS: Final = 30.0
_KEY_BYTES: Final = 32


class PhoneRefused(Exception):
    """A phone has answered with an error of the library.

    Attributes:
        code: that of the error.
    """

    def __init__(self, sentence: str, code: str) -> None:
        super().__init__(sentence)
        self.code = code


class Phone:
    """A phone.

    Attributes:
        name: what the page calls it.
        person: whose it is.
        process: the id of its process.
        store: the file of its store.

    Args:
        name: see above.
        person: see above.
        folder: where its files are; made here.
        url: of the back end.
        credential: with which it registers there, secret.
        contacts: whom it knows.
        say: hears its events, by any thread.
    """

    def __init__(
        self,
        name: str,
        person: Person,
        folder: Path,
        url: str,
        credential: bytes,
        contacts: tuple[str, ...],
        say: Callable[["Phone", Mapping[str, Any]], None],
    ) -> None:
        self.name = name
        self.person = person
        folder.mkdir()
        self.store = folder / person.file
        self._say = say
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.SimpleQueue[dict[str, Any] | None]] = {}
        self._answering = threading.Lock()
        self._writing = threading.Lock()  # another one: a pipe that is full keeps no answer away
        self._is_ending = False
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `end`)
        self._first = self._expect(0)
        self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=environment(),
            encoding="ascii",
            errors="replace",
            start_new_session=True,  # Ctrl-C is for the page, which ends its phones
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._write(
            {
                **{"address": person.address, "store": str(self.store), "url": url},
                **{"key": secrets.token_bytes(_KEY_BYTES).hex(), "names": dict(NAMES)},
                **{"credential": credential.hex(), "contacts": list(contacts)},
            }
        )
        self.process = self._process.pid

    def wait_until_started(self) -> None:
        """Wait until it can be asked.

        Raises:
            DemoFailed: it does not start.
        """
        self._take(self._first, 0)

    def ask(self, do: str, /, **direction: object) -> dict[str, Any]:
        """Let the phone do something; return what it answers.

        Raises:
            PhoneRefused: with an error of the library.
            DemoFailed: it does not answer.
        """
        number = next(self._numbers)
        answers = self._expect(number)
        self._write({"number": number, "do": do, **direction})
        answer = self._take(answers, number)
        if "error" in answer:
            raise PhoneRefused(answer["error"], answer["code"])
        return answer

    def dismiss(self) -> None:
        """Tell the process to end."""
        self._is_ending = True
        with contextlib.suppress(OSError):
            _pipe(self._process.stdin).close()

    def end(self, seconds: float) -> None:
        """Wait for that, for so long, and end it otherwise."""
        self.dismiss()
        try:
            self._process.wait(timeout=max(seconds, 0))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        _pipe(self._process.stdout).close()
        self._complaints.close()

    def _expect(self, number: int) -> "queue.SimpleQueue[dict[str, Any] | None]":
        with self._answering:
            answers = self._answers[number] = queue.SimpleQueue()
        return answers

    def _write(self, what: Mapping[str, Any]) -> None:
        line = json.dumps(what) + "\n"
        try:
            with self._writing:
                stdin = _pipe(self._process.stdin)
                stdin.write(line)
                stdin.flush()
        except (OSError, ValueError) as error:
            raise self._ended() from error

    def _take(
        self, answers: "queue.SimpleQueue[dict[str, Any] | None]", number: int
    ) -> dict[str, Any]:
        try:
            answer = answers.get(timeout=_ANSWER_SECONDS)
        except queue.Empty:
            raise DemoFailed(
                f"the phone of {self.person.name} has not answered within "
                f"{_ANSWER_SECONDS:g} seconds"
            ) from None
        finally:
            with self._answering:
                self._answers.pop(number, None)
        if answer is None:
            raise self._ended()
        return answer

    def _read(self) -> None:
        with contextlib.suppress(ValueError, OSError):  # closed meanwhile
            for line in _pipe(self._process.stdout):
                said = json.loads(line)
                if "event" in said:
                    self._say(self, said["event"])
                    continue
                with self._answering:
                    answers = self._answers.get(said["number"])
                if answers is not None:
                    answers.put(said["answer"])
        with self._answering:
            for answers in self._answers.values():
                answers.put(None)
        if not self._is_ending:
            told = f"The phone of {self.person.name} has ended: start the demo again."
            event = {"type": "notice", "chat": None, "text": told, "alarm": True}
            self._say(self, {**event, "code": "phone_ended", "id": ""})

    def _ended(self) -> DemoFailed:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)
        why = ""
        with contextlib.suppress(ValueError):  # closed meanwhile
            why = last_words(self._complaints)
        return DemoFailed(f"the phone of {self.person.name} has ended{why}")


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise DemoFailed("a process was started without a pipe")
    return pipe
