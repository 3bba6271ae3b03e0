# SPDX-License-Identifier: Apache-2.0
"""Every entry point, held against any bytes; CONTRIBUTING.md has the commands."""
