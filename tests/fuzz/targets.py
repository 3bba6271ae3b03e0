# SPDX-License-Identifier: Apache-2.0
"""All targets by name; the name is also that of the folder in `tests/corpus/`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.fuzz.blobs import BLOBS
from tests.fuzz.decoders import DECODERS, SERVICE
from tests.fuzz.doors import DOORS
from tests.fuzz.examined import EXAMINED
from tests.fuzz.files import FILES
from tests.fuzz.forge import FORGERIES
from tests.fuzz.groups import GROUPS
from tests.fuzz.rows import STORED
from tests.fuzz.script import SCRIPT
from tests.fuzz.target import Target

__all__ = ["CORPUS", "TARGETS"]

TARGETS: Final[Mapping[str, Target]] = {
    **DECODERS,
    **DOORS,
    **FORGERIES,
    **STORED,
    **GROUPS,
    **FILES,
    **EXAMINED,
    **BLOBS,
    **SCRIPT,
    **SERVICE,
}

CORPUS: Final = Path(__file__).parents[1] / "corpus"
