# SPDX-License-Identifier: Apache-2.0
"""The command line: `python -m e2ecross demo`, `inspect` and `doctor`."""

from e2ecross.cli.command import main

__all__ = ["main"]
