# SPDX-License-Identifier: Apache-2.0
import inspect
from collections.abc import Iterator

import pytest

from e2ecross import errors
from e2ecross.address import Address
from e2ecross.errors import (
    AttachmentTooLarge,
    BackendError,
    E2ECrossError,
    IdentityChangedError,
    InvalidArgument,
    LocalError,
    RemoteError,
    StoreError,
    StoreTooNew,
    TooManySkipped,
    UntrustedIdentity,
    remote_error_from_code,
)

KEY = b"\x05" + bytes(range(32))
ADDRESS = Address("whatsapp", "ana")


def _all() -> Iterator[type[E2ECrossError]]:
    for _, value in inspect.getmembers(errors, inspect.isclass):
        if issubclass(value, E2ECrossError):
            yield value


ERRORS = list(_all())
BRANCHES = (LocalError, RemoteError, StoreError, BackendError)


def test_every_error_is_public() -> None:
    names = {error.__name__ for error in ERRORS}
    assert names | {"remote_error_from_code"} == set(errors.__all__)


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_is_in_exactly_one_branch(error: type[E2ECrossError]) -> None:
    branches = [branch for branch in BRANCHES if issubclass(error, branch)]
    assert len(branches) == (0 if error is E2ECrossError else 1)


def test_codes_are_stable_and_unique() -> None:
    assert {error.__name__: error.code for error in ERRORS} == {
        "AttachmentCorrupted": "attachment_corrupted",
        "AttachmentTooLarge": "attachment_too_large",
        "AuthenticationFailed": "authentication_failed",
        "BackendError": "backend_error",
        "BackendRefused": "backend_refused",
        "BlobGone": "blob_gone",
        "CommitUnknown": "commit_unknown",
        "ConsentMissing": "consent_missing",
        "ContentRefused": "content_refused",
        "DecodeError": "decode_error",
        "DeviceExists": "device_exists",
        "DevicesConflict": "devices_conflict",
        "DuplicateMessage": "duplicate_message",
        "E2ECrossError": "error",
        "EnvelopeMismatch": "envelope_mismatch",
        "HostingChanged": "hosting_changed",
        "NotInGroup": "not_in_group",
        "GroupRefused": "group_refused",
        "FleetUnsupported": "fleet_unsupported",
        "GroupsUnsupported": "groups_unsupported",
        "LossyContent": "lossy_content",
        "IdentityChangedError": "identity_changed",
        "InvalidArgument": "invalid_argument",
        "InvalidDeviceList": "invalid_device_list",
        "InvalidGroupCommit": "invalid_group_commit",
        "InvalidKey": "invalid_key",
        "InvalidSignature": "invalid_signature",
        "LinkFailed": "link_failed",
        "LocalError": "local_error",
        "MailboxFull": "mailbox_full",
        "MessageTooOld": "message_too_old",
        "NoDevice": "no_device",
        "NoSession": "no_session",
        "NotAllowedInGroup": "not_allowed_in_group",
        "NotPrimary": "not_primary",
        "NotRegistered": "not_registered",
        "PrekeysExhausted": "prekeys_exhausted",
        "RecordCorrupted": "record_corrupted",
        "RemoteError": "remote_error",
        "RestoredStore": "restored_store",
        "SessionExhausted": "session_exhausted",
        "StaleSenderKey": "stale_sender_key",
        "StoreBusy": "store_busy",
        "StoreClosed": "store_closed",
        "StoreCorrupted": "store_corrupted",
        "StoreError": "store_error",
        "StoreMoved": "store_moved",
        "StoreTooNew": "store_too_new",
        "TooManySkipped": "too_many_skipped",
        "UnknownGroupState": "unknown_group_state",
        "UnknownPrekey": "unknown_prekey",
        "UnknownRecipient": "unknown_recipient",
        "UnknownSenderKey": "unknown_sender_key",
        "UnknownSession": "unknown_session",
        "UnlistedDevice": "unlisted_device",
        "UnsupportedVersion": "unsupported_version",
        "UntrustedIdentity": "untrusted_identity",
        "VersionDowngrade": "version_downgrade",
        "WitnessFailed": "witness_failed",
        "WrongBackupKey": "wrong_backup_key",
        "WrongStoreKey": "wrong_store_key",
    }


def test_invalid_argument_is_a_value_error() -> None:
    assert issubclass(InvalidArgument, ValueError)


def test_untrusted_identity_tells_what_to_do_with_what() -> None:
    error = UntrustedIdentity(ADDRESS, KEY)
    assert (error.address, error.identity_key) == (ADDRESS, KEY)
    assert "whatsapp:ana.1" in str(error)
    assert "accept_identity" in str(error)


def test_numbers_and_keys_are_carried_beside_the_message() -> None:
    skipped = TooManySkipped("too far", got=3, allowed=2)
    assert (str(skipped), skipped.got, skipped.allowed) == ("too far", 3, 2)
    changed = IdentityChangedError("changed", ADDRESS, KEY)
    assert (str(changed), changed.address, changed.identity_key) == ("changed", ADDRESS, KEY)
    large = AttachmentTooLarge(3, 2)
    assert (large.size, large.allowed) == (3, 2)
    assert "Policy.attachment_bytes" in str(large)
    newer = StoreTooNew("the store", found=3, supported=2)
    assert (newer.found, newer.supported) == (3, 2)
    assert str(newer) == "the store has version 3, this release reads up to 2: upgrade e2ecross"


REBUILT = [
    error
    for error in ERRORS
    if issubclass(error, RemoteError) and error is not IdentityChangedError
]


@pytest.mark.parametrize("error", REBUILT)
def test_remote_error_is_rebuilt_from_its_code(error: type[RemoteError]) -> None:
    rebuilt = remote_error_from_code(error.code, "what happened")
    assert type(rebuilt) is error
    assert str(rebuilt) == "what happened"


def test_rebuilt_error_has_no_fields() -> None:
    skipped = remote_error_from_code("too_many_skipped", "m")
    assert isinstance(skipped, TooManySkipped)
    assert (skipped.got, skipped.allowed) == (None, None)


@pytest.mark.parametrize("code", ["", "no_such_code", "identity_changed", "store_error"])
def test_unknown_code_gives_the_plain_remote_error(code: str) -> None:
    assert type(remote_error_from_code(code, "m")) is RemoteError


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_says_what_to_do_or_what_is_wrong(error: type[E2ECrossError]) -> None:
    assert error.__doc__
    assert error.__doc__ != error.__mro__[1].__doc__
