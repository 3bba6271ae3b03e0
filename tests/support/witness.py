# SPDX-License-Identifier: Apache-2.0
"""A witness in memory, as a keychain would be one, that can fail."""

__all__ = ["Keychain"]


class Keychain:
    """Keeps the highest number; notes every call; raises what it is told to."""

    def __init__(self, number: int = 0) -> None:
        """Begin with that number."""
        self.number = number
        self.calls: list[int] = []
        self.error: Exception | None = None

    def read(self) -> int:
        """Return the highest number."""
        if self.error is not None:
            raise self.error
        return self.number

    def advance(self, n: int) -> None:
        """Keep the higher one."""
        if self.error is not None:
            raise self.error
        self.calls.append(n)
        self.number = max(self.number, n)
