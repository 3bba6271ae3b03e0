# SPDX-License-Identifier: Apache-2.0
"""The command line: `python -m e2ecross`."""

from e2ecross.cli.command import main

__all__ = ["main"]
