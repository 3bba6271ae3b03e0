# SPDX-License-Identifier: Apache-2.0
"""What clients tell each other about groups between two devices: what is done about each kind.

Rules:
- Of a device that its account lists, under the identity that is accepted; of anybody else it counts
  as received, and nothing else.
- A key is bound by its distribution id to the group, the heads, the device that has sent it and its
  identity: another's key is refused. Who is in the group is not asked: the key may come before the
  commits that explain it.
- Commits prove themselves; `device/group_taking.py` says whose are heard.

Source: docs/wire-format.md, groups.
"""

from e2ecross.wire.content import (
    GroupCommits,
    GroupResent,
    GroupRetryRequest,
    SenderKeyGrant,
)

__all__ = ["GroupControl", "take_group_commits", "take_group_control"]

GroupControl = SenderKeyGrant | GroupCommits | GroupRetryRequest | GroupResent
