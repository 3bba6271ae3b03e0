# SPDX-License-Identifier: Apache-2.0
"""The kind of content that CONTRIBUTING.md adds as an example, once its row stands in the table."""

from typing import Any, Final

import pytest

from e2ecross.wire import capabilities
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.capabilities import Capability
from e2ecross.wire.content import kinds
from tests.support.documents import ROOT, blocks

__all__ = ["DRAWING_ID", "add_drawing"]

DRAWING_ID: Final = 11


def add_drawing(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    """Add the kind as the example says, with its line among the capabilities; return its class."""
    (code,) = [text for text in blocks(ROOT / "CONTRIBUTING.md", "python") if "ContentKind" in text]
    # Its generated message would be the same as that of `Bytes`.
    monkeypatch.setattr(content_pb2, "Drawing", content_pb2.Bytes, raising=False)
    module: dict[str, Any] = {"__name__": __name__}
    exec(compile(code, "CONTRIBUTING.md", "exec"), module)  # noqa: S102
    row, drawing = module["DRAWING"], module["Drawing"]
    monkeypatch.setattr(kinds, "_TABLE", (*kinds._TABLE, row))
    monkeypatch.setitem(kinds._BY_NUMBER, row.number, row)
    line = int.__new__(Capability, DRAWING_ID)
    line._name_, line._value_ = "DRAWING", DRAWING_ID
    monkeypatch.setattr(capabilities, "_OF_APPS", capabilities._OF_APPS | {line})
    drawing.CAPABILITY = line
    return drawing
