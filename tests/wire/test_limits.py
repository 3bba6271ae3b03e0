# SPDX-License-Identifier: Apache-2.0
"""The limits are what deployed peers have; changing one is a decision, not an accident."""

from typing import Any

from e2ecross.wire import limits

EXPECTED: dict[str, Any] = {
    "MAX_ARCHIVED_SESSIONS": 40,
    "MAX_BUNDLE_BYTES": 4096,
    "MAX_CAPABILITIES_BYTES": 256,
    "MAX_CHAIN_STEPS_PER_MESSAGE": 32_000,
    "MAX_CLOSING_GAP": 2000,
    "MAX_CONTENT_BODY_BYTES": 69_632,
    "MAX_CONTENT_BYTES": 65_536,
    "MAX_CONVERSATION_STATES": 500,
    "MAX_DEVICE_LIST_BYTES": 8192,
    "MAX_DEVICE_NAME_BYTES": 64,
    "MAX_ENVELOPE_BYTES": 131_072,
    "MAX_FORWARD_JUMP": 25_000,
    "MAX_FORWARD_JUMP_PQ": 4_000,
    "SPQR_STEP_COST": 5,
    "MAX_FORWARD_JUMP_ARCHIVED": 2000,
    "MAX_HELD_MESSAGES": 8,
    "MAX_LINK_CODE_CHARS": 256,
    "MAX_LINK_MESSAGE_BYTES": 10_240,
    "MAX_LISTED_DEVICES": 16,
    "MAX_ONE_TIME_PREKEYS": 1000,
    "MAX_PINS": 500,
    "MAX_PLAINTEXT_BYTES": 98_304,
    "MAX_PREKEY_ID": 16_777_215,
    "MAX_PUBLISHED_KEYS_BYTES": 2_097_152,
    "MAX_READ_MARKS": 256,
    "MAX_RECEIVING_CHAINS": 5,
    "MAX_SEEN_BASE_KEYS": 65_536,
    "MAX_SIGNAL_MESSAGE_BYTES": 100_864,
    "MAX_SIGNED_DEVICE_LIST_BYTES": 8264,
    "MAX_SKIPPED_KEYS_ARCHIVED": 8000,
    "MAX_SKIPPED_KEYS_PER_CHAIN": 2000,
    "MAX_SKIPPED_KEYS_PER_SESSION": 8000,
    "MAX_UINT32": 4_294_967_295,
    "MAX_VENDOR_BYTES": 64,
    "MESSAGE_ID_BYTES": 16,
    "TOKEN_BYTES": 32,
}


def test_every_limit_has_its_documented_value() -> None:
    assert {name: getattr(limits, name) for name in limits.__all__} == EXPECTED
