# SPDX-License-Identifier: Apache-2.0
"""Running the command line, in a process of its own or in this one."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from e2ecross.cli import main

_ROOT = Path(__file__).parents[2]


# What of a character of a terminal is painted: its upper half, its lower half.
_HALVES = {"█": (True, True), "▀": (True, False), "▄": (False, True), " ": (False, False)}
_PIXELS = 4
"""Of one module in the image that is read, in either direction."""


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def run(
    *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """`python -m e2ecross`, as somebody would type it."""
    inherited = {**os.environ, "PYTHONPATH": str(_ROOT), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [sys.executable, "-m", "e2ecross", *arguments],
        input=stdin,
        capture_output=True,
        timeout=120,  # several times what the longest, the demo, takes beside much else
        check=False,
        env={**inherited, "COLUMNS": "80", **(environment or {})},
    )


def call(*arguments: str) -> Ended:
    """`main` in this process; an exit of argparse counts as its exit code."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(list(arguments))
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else 1
    return Ended(code, out.getvalue(), err.getvalue())


def read_qr_code(out: str) -> str:
    """The text of the QR code in the output of a dark terminal, as a scanner reads it."""
    return str(_scan(out).text)


def read_qr_bytes(out: str) -> bytes:
    """The same of a code that has bytes, and no text."""
    return bytes(_scan(out).bytes)


def _scan(out: str) -> Any:  # noqa: ANN401 - the package has no types
    zxingcpp = pytest.importorskip("zxingcpp")
    lines = [line for line in out.splitlines() if line[:4] == line[-4:] == "████"]
    rows = []
    for line in lines:
        halves = [_HALVES[character] for character in line]
        rows += [[half[place] for half in halves] for place in (0, 1)]
    pixels = [
        bytes(255 * painted for painted in row for _ in range(_PIXELS))
        for row in rows
        for _ in range(_PIXELS)
    ]
    assert pixels, "there is no picture"
    image = memoryview(b"".join(pixels)).cast("B", (len(pixels), len(pixels[0])))
    # Of all kinds a reader now and then finds a second one, by chance, in the pattern of the first.
    (found,) = zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormat.QRCode)
    return found
