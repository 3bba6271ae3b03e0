# SPDX-License-Identifier: Apache-2.0
"""Verifying the list of an account's devices, and the signatures in it alone."""

from contextlib import ExitStack

from benchmarks import floor
from benchmarks.contestants.accounts import account_of, sign_devices
from benchmarks.contestants.devices import BUDI
from benchmarks.job import Job, Step
from e2ecross.crypto.account_kdf import consent_message, device_list_message
from e2ecross.protocol.device_list import verify_list
from e2ecross.wire.device_list import SignedDeviceList

__all__ = ["verify_alone", "verify_whole"]


def verify_whole(job: Job, cleanup: ExitStack) -> Step:
    """A maker: a decoded list of which nothing is known."""
    signed = _signed(job)
    return lambda: verify_list(signed)


def verify_alone(job: Job, cleanup: ExitStack) -> Step:
    """A maker: its signatures over messages that are there, by the primitives alone."""
    signed = _signed(job)
    user, key = signed.list.user, signed.list.account_key
    signatures = [(key, device_list_message(signed.data), signed.signature)]
    for each in signed.list.devices[1:]:
        consent = consent_message(user.app, user.user, each.device, each.identity_key, key)
        signatures.append((each.identity_key, consent, each.device_signature))

    def step() -> None:
        for public, message, signature in signatures:
            floor.verify(public, message, signature)

    return step


def _signed(job: Job) -> SignedDeviceList:
    return sign_devices(*account_of(BUDI.user_id, job.parameters["devices"]))
