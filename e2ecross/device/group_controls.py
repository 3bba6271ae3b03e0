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

from collections.abc import Sequence

from e2ecross.crypto.group_kdf import make_distribution_id
from e2ecross.device.group_keeping import keep_group_message
from e2ecross.device.group_members import member_of
from e2ecross.device.group_receiving import find_entered, judge_resent
from e2ecross.device.group_retrying import (
    answer_group_request,
    ask_for_commits,
    ask_for_group_message,
)
from e2ecross.device.group_taking import take_commits
from e2ecross.device.receiving import Received
from e2ecross.errors import EnvelopeMismatch, NotAllowedInGroup, UnknownGroupState
from e2ecross.state.context import Context
from e2ecross.state.conversations import is_blocked
from e2ecross.state.groups import find_group
from e2ecross.state.sender_keys import add_sender_key, group_key_place
from e2ecross.state.trust import find_identity
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import (
    GroupCommits,
    GroupResent,
    GroupRetryRequest,
    SenderKeyGrant,
)
from e2ecross.wire.sender_key_message import SenderKeyForm, decode_distribution
from e2ecross.wire.sender_key_records import KeyOrigin

__all__ = ["GroupControl", "take_group_commits", "take_group_control"]

GroupControl = SenderKeyGrant | GroupCommits | GroupRetryRequest | GroupResent
