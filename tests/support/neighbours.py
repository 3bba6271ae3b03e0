# SPDX-License-Identifier: Apache-2.0
"""Accounts that a store with 64 stripes has in one: what names several of them is one commit."""

from itertools import count, islice

from e2ecross import Address
from e2ecross.state.stripe import stripe_of

__all__ = ["neighbours"]

_STRIPES = 64


def neighbours(address: Address, number: int) -> list[Address]:
    """So many others of the stripe of an account."""
    stripe = stripe_of(address.user_id, _STRIPES)
    others = (Address("messenger", f"neighbour-{each}") for each in count())
    found = (each for each in others if stripe_of(each.user_id, _STRIPES) == stripe)
    return list(islice(found, number))
