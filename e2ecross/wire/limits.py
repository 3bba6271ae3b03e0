# SPDX-License-Identifier: Apache-2.0
"""Bounds on what may come from outside, and on what it may cost. No caller may raise them.

The bounds on a session are those of deployed Signal clients, so that no honest message falls
outside; `state/policy.py` may lower some of them.
"""

from typing import Final

__all__ = [
    "COMMIT_HASH_BYTES",
    "GROUP_ID_BYTES",
    "MAX_ACTS_PER_ACCOUNT",
    "MAX_ARCHIVED_SESSIONS",
    "MAX_BUNDLE_BYTES",
    "MAX_CAPABILITIES_BYTES",
    "MAX_CHAIN_STEPS_PER_MESSAGE",
    "MAX_CLOSING_GAP",
    "MAX_CONTENT_BODY_BYTES",
    "MAX_CONTENT_BYTES",
    "MAX_CONVERSATION_STATES",
    "MAX_COPIES",
    "MAX_COPIES_BYTES",
    "MAX_DEVICE_LIST_BYTES",
    "MAX_DEVICE_NAME_BYTES",
    "MAX_DISTRIBUTION_BYTES",
    "MAX_ENVELOPE_BYTES",
    "MAX_FORWARD_JUMP",
    "MAX_FORWARD_JUMP_ARCHIVED",
    "MAX_FORWARD_JUMP_PQ",
    "MAX_GROUP_ANCESTORS",
    "MAX_GROUP_APP_DATA_BYTES",
    "MAX_GROUP_COMMITS",
    "MAX_GROUP_COMMITS_A_DAY",
    "MAX_GROUP_COMMITS_BYTES",
    "MAX_GROUP_COMMIT_BYTES",
    "MAX_GROUP_MEMBERS",
    "MAX_GROUP_NAME_BYTES",
    "MAX_GROUP_OPS",
    "MAX_HELD_MESSAGES",
    "MAX_LINK_CODE_CHARS",
    "MAX_LINK_MESSAGE_BYTES",
    "MAX_LISTED_DEVICES",
    "MAX_ONE_TIME_PREKEYS",
    "MAX_PARENTS",
    "MAX_PINS",
    "MAX_PLAINTEXT_BYTES",
    "MAX_PREKEY_ID",
    "MAX_PUBLISHED_KEYS_BYTES",
    "MAX_READ_MARKS",
    "MAX_RECEIVING_CHAINS",
    "MAX_SEEN_BASE_KEYS",
    "MAX_SEEN_BASE_KEYS_OF_STRIPE",
    "MAX_SENDER_KEY_MESSAGES",
    "MAX_SENDER_KEY_NAME_BYTES",
    "MAX_SENDER_KEY_PLACES",
    "MAX_SENDER_KEY_SEEDS",
    "MAX_SENDER_KEY_STATES",
    "MAX_SIGNAL_MESSAGE_BYTES",
    "MAX_SIGNED_DEVICE_LIST_BYTES",
    "MAX_SKIPPED_KEYS_ARCHIVED",
    "MAX_SKIPPED_KEYS_PER_CHAIN",
    "MAX_SKIPPED_KEYS_PER_SESSION",
    "MAX_TIMELINE_BYTES",
    "MAX_TIMELINE_SLOTS",
    "MAX_UINT32",
    "MAX_UNJOINED_GROUP_BYTES",
    "MAX_VENDOR_BYTES",
    "MAX_WAITING_SLOTS",
    "MAX_WAITING_SLOTS_PER_ACCOUNT",
    "MESSAGE_ID_BYTES",
    "SPQR_STEP_COST",
    "TOKEN_BYTES",
]

MAX_UINT32: Final = 2**32 - 1
MESSAGE_ID_BYTES: Final = 16
TOKEN_BYTES: Final = 32
"""What a device shows at its back end: that it is the one which registered."""

# --- Sizes, checked before anything is parsed ---
MAX_CONTENT_BYTES: Final = 64 * 1024
"""What a user may put into one message, bytes."""
MAX_CONTENT_BODY_BYTES: Final = MAX_CONTENT_BYTES + 4096
"""The same as it travels, bytes: with its frame, and a fallback text in it."""
MAX_PLAINTEXT_BYTES: Final = 96 * 1024
"""What one Signal message may hold, bytes: the largest content with its payload and padding, and
room for other formats on the raw layer."""
MAX_SIGNAL_MESSAGE_BYTES: Final = MAX_PLAINTEXT_BYTES + 2560
"""A Signal message with the largest plaintext and all its keys and numbers, bytes: of these the
ciphertext of a KEM has 1,569."""
MAX_ENVELOPE_BYTES: Final = 128 * 1024
"""One envelope, bytes."""
MAX_BUNDLE_BYTES: Final = 4 * 1024
"""One encoded prekey bundle, bytes: with a Kyber prekey about 2,000."""
MAX_ONE_TIME_PREKEYS: Final = 1000
"""One-time prekeys of either kind in one publication: ten of the usual batches."""
MAX_PUBLISHED_KEYS_BYTES: Final = 2 * 1024 * 1024
"""One encoded publication, bytes: 1000 one-time prekeys of each kind take 1.7 million."""
MAX_PREKEY_ID: Final = 0xFFFFFF
"""Prekey ids that we issue have 24 bits, as those of deployed clients."""

# --- The devices of an account ---
MAX_LISTED_DEVICES: Final = 16
"""Devices of one account: a message to it takes as many copies."""
MAX_DEVICE_LIST_BYTES: Final = 8 * 1024
"""One encoded list, bytes: the largest that there can be has 5,998."""
MAX_SIGNED_DEVICE_LIST_BYTES: Final = MAX_DEVICE_LIST_BYTES + 72
"""The same with its signature and the headers of both fields, bytes."""
MAX_CAPABILITIES_BYTES: Final = 256
"""What a device says that it understands, bytes."""
MAX_VENDOR_BYTES: Final = 64
"""The name of who holds keys for a user, bytes."""
MAX_DEVICE_NAME_BYTES: Final = 64
"""The name that a device gives itself, bytes."""
MAX_LINK_CODE_CHARS: Final = 256
"""The text in a QR code that links a device, characters."""
MAX_LINK_MESSAGE_BYTES: Final = 10 * 1024
"""One message of linking, bytes: the largest signed list, sealed, and room."""
MAX_PINS: Final = 500
"""Account keys in one message to another own device: about 30 KB."""
MAX_CONVERSATION_STATES: Final = 500
"""Conversations in one message to another own device: at most 56 KB."""
MAX_READ_MARKS: Final = 256
"""Messages that one message to another own device says were read: at most 32 KB."""

# --- What a conversation may cost ---
MAX_TIMELINE_SLOTS: Final = 50_000
"""Messages that a timeline knows of, the first dropped first."""
MAX_TIMELINE_BYTES: Final = 64 * 1024 * 1024
"""A timeline encoded, bytes; the first messages are dropped first."""
MAX_WAITING_SLOTS: Final = 1_000
"""Messages that a timeline knows of only by reactions and the like, whose targets have not come."""
MAX_WAITING_SLOTS_PER_ACCOUNT: Final = 100
"""The same for those that one account has said something of."""
MAX_ACTS_PER_ACCOUNT: Final = 16
"""Edits, reactions and answers of one account to one message, each to another digest, which is more
than one only until the message comes; and as many deletes."""

# --- Groups ---
GROUP_ID_BYTES: Final = 32
COMMIT_HASH_BYTES: Final = 32
MAX_GROUP_COMMIT_BYTES: Final = 16 * 1024
"""One encoded commit, bytes: 64 changes with the longest names have 11 thousand."""
MAX_GROUP_OPS: Final = 64
"""Changes in one commit."""
MAX_PARENTS: Final = 16
"""Commits that one commit follows on, or that a message names: the newest that its author has."""
MAX_GROUP_MEMBERS: Final = 1_024
"""Accounts that get keys of a group."""
MAX_GROUP_NAME_BYTES: Final = 256
"""The name of a group in UTF-8, bytes."""
MAX_GROUP_APP_DATA_BYTES: Final = 4 * 1024
"""What the app keeps in the settings of a group, bytes."""
MAX_GROUP_ANCESTORS: Final = 4_095
"""Commits that one commit can come after."""
MAX_GROUP_COMMITS: Final = 8_192
"""Commits of one group that are held; what is over stays unknown, and the group is full."""
MAX_GROUP_COMMITS_A_DAY: Final = 1_024
"""New commits of one author that are taken into a group in a day; others come again later."""
MAX_UNJOINED_GROUP_BYTES: Final = 4 * 1024 * 1024
"""Commits that are held of one group as long as the own account is not in it, bytes: they serve to
see when it comes in, and are of anybody. Two thousand changes have 0.6 MB."""
MAX_GROUP_COMMITS_BYTES: Final = 60 * 1024
"""Commits in one message, bytes."""
MAX_COPIES: Final = 1_024
"""Devices that get one ciphertext in one deposit."""
MAX_COPIES_BYTES: Final = 256 * 1024
"""The same encoded, bytes: the largest message and 1,024 of the longest addresses."""

# --- What a session may cost ---
MAX_FORWARD_JUMP: Final = 25_000
"""Messages that one message may skip in its chain: one HMAC each before its MAC can be checked."""
MAX_FORWARD_JUMP_ARCHIVED: Final = 2_000
"""The same in an archived session: up to 40 of them are tried for one forged message."""
MAX_CHAIN_STEPS_PER_MESSAGE: Final = 32_000
"""Steps along chains, one HMAC each, for one message in all sessions that are tried for it. All of
41 sessions are tried for a message up to 780 ahead, the 16 newest up to 2,000: what is lost is one
that is further ahead on a chain of which nothing has arrived, in a session with 16 newer ones."""
MAX_FORWARD_JUMP_PQ: Final = 4_000
"""The same in a session of version 4, where either ratchet is walked along; `Policy` may raise it
to `MAX_FORWARD_JUMP`. A forged message costs less than 100 ms so."""
SPQR_STEP_COST: Final = 5
"""What a step along a chain of SPQR costs, in steps along a chain of the Double Ratchet."""
MAX_CLOSING_GAP: Final = 2_000
"""Message keys derived in order to close a finished chain; if more are missing it stays open."""
MAX_SKIPPED_KEYS_PER_CHAIN: Final = 2_000
"""Stored message keys of one chain, oldest dropped first."""
MAX_SKIPPED_KEYS_PER_SESSION: Final = 8_000
"""Stored message keys of one session, dropped from its oldest chain first."""
MAX_SKIPPED_KEYS_ARCHIVED: Final = 8_000
"""Stored message keys of all archived sessions with one address, and as many of the post-quantum
ratchet: what a contact who starts session after session can have us keep, about 600 KB. With the
current session's (8,000, and 2,000 in each of three epochs) an address has at most 30,000 keys."""
MAX_RECEIVING_CHAINS: Final = 5
"""Receiving chains of one session, oldest dropped first."""
MAX_ARCHIVED_SESSIONS: Final = 40
"""Archived sessions with one address, oldest dropped first."""
MAX_HELD_MESSAGES: Final = 8
"""Messages read by a held session before it replaces our own unanswered one (the stay rule)."""
MAX_SEEN_BASE_KEYS: Final = 65_536
"""First messages without one-time prekey that one signed prekey accepts in its life."""
MAX_SEEN_BASE_KEYS_OF_STRIPE: Final = 4_096
"""The same in each stripe of a store that has some."""

# --- What a sender key may cost ---
MAX_DISTRIBUTION_BYTES: Final = 256
"""One distribution message, bytes: without fields that are unknown at most 102."""
MAX_SENDER_KEY_NAME_BYTES: Final = 64
"""How a caller names a group whose messages do not, bytes."""
MAX_SENDER_KEY_STATES: Final = 5
"""Sender keys of one device in one group, oldest dropped first."""
MAX_SENDER_KEY_SEEDS: Final = 2_000
"""Seeds of messages that have not arrived, of one device in one group of ours, for all its keys."""
MAX_SENDER_KEY_PLACES: Final = 64
"""Groups of ours, and as many foreign ones, in which one device has sender keys here; the oldest go
first. With `MAX_SKIPPED_KEYS_PER_CHAIN` for each of five states it can have us keep 640,000 seeds
of foreign ones, about 25 MB, where each of their 320 keys has been given us by the caller; of ours
128,000."""
MAX_SENDER_KEY_MESSAGES: Final = 1_000
"""Messages under one sender key in a group of ours: no receiver is ever further behind."""
