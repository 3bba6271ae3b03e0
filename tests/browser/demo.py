# SPDX-License-Identifier: Apache-2.0
"""`python -m e2ecross demo --web` in a process of its own.

with WebDemo() as demo:
    browser.driver.get(demo.url)
"""

import os
import signal
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import Final, Self

from tests.support.documents import ROOT

__all__ = ["WebDemo"]

_END_SECONDS: Final = 60


class WebDemo:
    """The demo, as somebody would start it; a context manager that leaves nothing behind.

    Attributes:
        url: of its page.
        origin: the part of it that says which server: scheme, host and port.
    """

    url: str
    origin: str

    def __enter__(self) -> Self:
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "e2ecross", "demo", "--web", "--no-browser"],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self._process.stdout is not None
        words = self._process.stdout.readline().split()
        assert words[:1] == ["open"], (words, self._said())
        self.url = words[1]
        self.origin = "/".join(self.url.split("/")[:3])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(_END_SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()
        said = self._said()
        self._errors.close()
        assert (self._process.returncode, said) == (130, "")

    def _said(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode()
