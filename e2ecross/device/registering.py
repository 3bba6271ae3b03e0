# SPDX-License-Identifier: Apache-2.0
"""What a device keeps of its registration at a back end.

Rules:
- A token is committed before it is used, so that a crash cannot lock the device out.
- An imported identity registers under a token of its own, and proves with the old one that it may.
  From then on the old installation is none any more.
"""

from dataclasses import dataclass, replace

from e2ecross.crypto.secret import Secret
from e2ecross.errors import NotRegistered
from e2ecross.state.context import Context, require_device, save_device
from e2ecross.state.transactions import reading_transaction, stripe_transaction
from e2ecross.wire.limits import TOKEN_BYTES

__all__ = [
    "Registration",
    "Token",
    "may_send_offline",
    "note_registered",
    "prepare_token",
    "read_token",
]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Token(Secret):
    """What a device shows at its back end.

    Attributes:
        value: 32 bytes, secret; or empty for none.
    """

    value: bytes


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Registration(Secret):
    """How the device registers.

    Attributes:
        token: its own.
        replaces: that of the installation whose place it takes, or none.
        is_complete: whether it has registered and published before.
    """

    token: Token
    replaces: Token
    is_complete: bool


def prepare_token(context: Context) -> Registration:
    """Return the token to register with, drawn and kept when there is none."""
    token = Token(context.entropy.bytes(TOKEN_BYTES))
    with stripe_transaction(context) as tx:
        record = require_device(tx)
        if record.backend_token:
            token = Token(record.backend_token)
        else:
            save_device(tx, replace(record, backend_token=token.value))
    return Registration(token, Token(record.replaced_token), record.registered)


def note_registered(context: Context) -> None:
    """Note that the back end has accepted the token, and keys have been published."""
    with stripe_transaction(context) as tx:
        save_device(tx, replace(require_device(tx), registered=True, replaced_token=b""))


def read_token(context: Context) -> Token:
    """Return the token that the device is registered with.

    Raises:
        NotRegistered: it has none yet.
    """
    with reading_transaction(context) as tx:
        token = Token(require_device(tx).backend_token)
    if not token.value:
        raise NotRegistered("this device is not registered at the back end: call register")
    return token


def may_send_offline(context: Context) -> bool:
    """Tell whether something may be encrypted before the back end was asked for the epoch.

    Not in a restored store: nothing counts what it sends before it has the back end's number.
    """
    # Of one stripe, where there are some: others need not wait for what is only read.
    with reading_transaction(context) as tx:
        return not require_device(tx).adopts_epoch
