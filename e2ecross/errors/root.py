# SPDX-License-Identifier: Apache-2.0
"""The root of all errors."""

from typing import ClassVar

__all__ = ["E2ECrossError"]


class E2ECrossError(Exception):
    """Root of all errors of this library; raised only through its subclasses."""

    code: ClassVar[str] = "error"
