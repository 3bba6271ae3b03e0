# SPDX-License-Identifier: Apache-2.0
"""The reference back end: blind, on one SQLite file."""

from e2ecross.relay.limits import RelayLimits
from e2ecross.relay.relay import Relay

__all__ = ["Relay", "RelayLimits"]
