# SPDX-License-Identifier: Apache-2.0
"""`python -m e2ecross`."""

from e2ecross.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    raise SystemExit(main())
