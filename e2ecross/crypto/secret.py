# SPDX-License-Identifier: Apache-2.0
"""A base for values that hold secrets: they do not show them, and are not pickled or copied."""

from typing import NoReturn, SupportsIndex

__all__ = ["Secret"]


class Secret:
    """Mixin for (data)classes with secret fields; declare those with `repr=False, eq=False`.

    `==` on such values is identity: secrets are compared in constant time or not at all.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: secret>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds secrets and is not pickled or copied")
