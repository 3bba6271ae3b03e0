# SPDX-License-Identifier: Apache-2.0
"""The reference back end: blind, on one SQLite file; and a folder of files for local use."""

from e2ecross.relay.folder_blobs import FolderBlobs
from e2ecross.relay.limits import RelayLimits
from e2ecross.relay.relay import Bell, Relay

__all__ = ["Bell", "FolderBlobs", "Relay", "RelayLimits"]
