# SPDX-License-Identifier: Apache-2.0
"""The rows of the table: operations, with how often each is done in one sample."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from benchmarks.job import Job

__all__ = ["ROWS", "SECTIONS", "Row"]

SECTIONS: Final = {
    "session": "Sessions",
    "message": "Messages",
    "crowd": "Many others",
    "client": "Through `Client` and `Relay`",
    "account": "Accounts of several devices",
    "file": "Files",
    "group": "Groups with sender keys",
    "parts": "Parts of a durable message",
    "pieces": "Primitives one by one",
    "growth": "Cost that must not grow",
    "v4": "Version 4: PQXDH and SPQR",
    "other": "Other",
}

_QUICK_DIVISOR: Final = 5
_QUICK_BLOCKS: Final = 2
_LONG_STEPS: Final = 400
"""Of a row whose durable figures must not depend on how often a WAL is truncated in a block, or are
a difference of commits that is far smaller than either of them."""
_FEWER: Final = 1
_MORE: Final = 5  # devices of the accounts that such a difference is between
_ALL: Final = 1_000
_LONG_ROUNDS: Final = 4
_LONGEST_ROUNDS: Final = 2  # where every peer has to make a thousand sessions for each sample
_EPOCH: Final = 87  # messages of a ping-pong in which one epoch of SPQR passes; none of them lost
_TURNS: Final = 14  # turns of a ping-pong after which both sides send chunks of the first epoch


@dataclass(frozen=True, slots=True)
class Row:
    """One operation.

    Attributes:
        name: for `--only` and in the results.
        section: a key of `SECTIONS`.
        title: what is measured; `{parameter}` stands for the value of a parameter.
        operation: which maker a contestant needs for it.
        parameters: for the maker.
        steps: steps in a block.
        blocks: blocks in a sample.
        is_whole: the steps belong together, as the messages of a backlog do: always as many as
            the parameter `count` says, in one block, and none before.
        is_batch: one step does all of `count`.
        batches: how many such steps a sample times, each as a block; if it is more than one, after
            one that it does not.
        quick: parameters that a quick run changes; None if it leaves the row out.
        is_fresh: each sample is taken in a process of its own.
        rounds: in how many rounds at most, because a sample takes long.
        unit: seconds ("s") or bytes ("B").
    """

    name: str
    section: str
    title: str
    operation: str
    parameters: Mapping[str, int] = field(default_factory=dict)
    steps: int = 100
    blocks: int = 5
    is_whole: bool = False
    is_batch: bool = False
    batches: int = 1
    quick: Mapping[str, int] | None = field(default_factory=dict)
    is_fresh: bool = False
    rounds: int = _ALL
    unit: str = "s"

    def parameters_of(self, *, is_quick: bool) -> Mapping[str, int]:
        """The parameters of a quick or a full run."""
        return {**self.parameters, **(self.quick or {})} if is_quick else self.parameters

    def full_title(self, *, is_quick: bool) -> str:
        """The title with the values of a quick or a full run."""
        parameters = self.parameters_of(is_quick=is_quick)
        return self.title.format(**{name: f"{value:,}" for name, value in parameters.items()})

    def job(self, *, is_quick: bool, pace: int = 1) -> Job:
        """What a contestant is told to do.

        Args:
            is_quick: for a quick run.
            pace: how many times fewer steps than others the contestant does, being slow.
        """
        parameters = self.parameters_of(is_quick=is_quick)
        if self.is_batch:
            batches = min(_QUICK_BLOCKS, self.batches) if is_quick else self.batches
            warmup, count = min(1, batches - 1), parameters["count"]
            return Job(self.operation, parameters, 1, batches, warmup, per=count)
        if self.is_whole:
            return Job(self.operation, parameters, parameters["count"], 1, 0)
        steps = max(1, self.steps // (pace * (_QUICK_DIVISOR if is_quick else 1)))
        blocks = min(_QUICK_BLOCKS, self.blocks) if is_quick else self.blocks
        return Job(self.operation, parameters, steps, blocks, max(1, steps // 2))


def _message(name: str, title: str, operation: str, steps: int = 100, **parameters: int) -> Row:
    return Row(name, "message", title, operation, {"bytes": 100, **parameters}, steps)


def _whole(
    name: str, section: str, title: str, operation: str, count: int, quick: int | None
) -> Row:
    parameters = {"bytes": 100, "count": count}
    fewer = None if quick is None else {"count": quick}
    rounds = _LONG_ROUNDS if count >= 1_000 else _ALL
    return Row(
        *(name, section, title, operation, parameters),
        is_whole=True,
        quick=fewer,
        rounds=rounds,
    )


def _batch(name: str, section: str, title: str, operation: str) -> Row:
    parameters, quick = {"bytes": 100, "count": 1_000}, {"count": 20}
    return Row(
        *(name, section, title, operation, parameters),
        is_batch=True,
        quick=quick,
        rounds=_LONG_ROUNDS,
    )


def _client_batch(
    name: str, title: str, count: int, quick: int, batches: int, rounds: int = _ALL
) -> Row:
    return Row(
        *(f"client-{name}-{count}", "client", title, f"client_{name.replace('-', '_')}"),
        {"bytes": 100, "count": count},
        is_batch=True,
        batches=batches,
        quick={"count": quick},
        rounds=rounds,
    )


def _account(name: str, title: str, operation: str, steps: int = 100, **parameters: int) -> Row:
    return Row(name, "account", title, operation, {"bytes": 100, **parameters}, steps)


def _by_devices(name: str, title: str, operation: str) -> tuple[Row, ...]:
    """The same with accounts of one device and of several."""
    return tuple(
        _account(f"{name}-{devices}", title, operation, devices=devices) for devices in (1, 3, 5)
    )


def _further(name: str, title: str) -> Row:
    """A row of the difference that one device makes."""
    title = f"{title}: (of {{more}} - of {{fewer}}) / {_MORE - _FEWER}"
    parameters = {"fewer": _FEWER, "more": _MORE}
    return _account(name, title, name.replace("-", "_"), _LONG_STEPS, **parameters)


def _file(name: str, size: int, blocks: int, rounds: int = _ALL) -> tuple[Row, ...]:
    """A file of that many bytes, both ways."""
    quick = {"bytes": 2**22} if rounds == _ALL else None
    return tuple(
        Row(
            *(f"{name}-{way}", "file", f"{title} {{bytes}} bytes", f"attachment_{way}"),
            {"bytes": size},
            steps=1,
            blocks=blocks,
            quick=quick,
            rounds=rounds,
        )
        for way, title in (("encrypt", "encrypt"), ("decrypt", "verify and decrypt"))
    )


def _graph(
    name: str, title: str, steps: int, operation: str | None = None, **parameters: int
) -> Row:
    """A row of what members sign of a group of 1,024."""
    operation = f"group_{(operation or name).replace('-', '_')}"
    fewer = {"members": 100, **({"changes": 50} if parameters.get("changes") else {})}
    return Row(
        *(f"group-{name}", "group", title, operation, {"members": 1_024, **parameters}),
        steps=steps,
        quick=fewer,
    )


def _piece(name: str, title: str) -> Row:
    operation = f"piece_{name.replace('-', '_')}"
    return Row(f"piece-{name}", "pieces", title, operation, {"bytes": 100}, quick=None)


def _growth(name: str, title: str, operation: str, quick: int = 0, **parameters: int) -> Row:
    fewer = dict.fromkeys(parameters, quick) if quick else {}
    return Row(name, "growth", title, operation, {"bytes": 100, **parameters}, 40, quick=fewer)


def _crowded(name: str, title: str, operation: str, waiting: int) -> Row:
    """A row of a relay with many mailboxes, of which each call uses another one."""
    return Row(
        *(name, "growth", f"{title}, {{waiting}} waiting in {{mailboxes}} mailboxes", operation),
        {"waiting": waiting, "mailboxes": 10_000},
        steps=40,
        quick={"waiting": min(waiting, 1_000), "mailboxes": 100},
    )


def _copies(name: str, title: str, devices: int, operation: str = "deposit_copies") -> Row:
    """A row of a relay at which one message is for many; as long as that of a short text."""
    parameters = {"bytes": 494, "devices": devices}
    return Row(name, "growth", title, operation, parameters, steps=4, quick={"devices": 10})


def _bytes(name: str, title: str, operation: str, **parameters: int) -> Row:
    parameters = {"bytes": 100, "count": 2 * _EPOCH, **parameters}
    return Row(name, "", title, operation, parameters, is_whole=True, rounds=1, unit="B")


def _longest(row: Row) -> Row:
    """The row, measured in fewer rounds than any other."""
    return replace(row, rounds=_LONGEST_ROUNDS)


def _slow(row: Row) -> Row:
    """The row, left out of quick runs."""
    return replace(row, quick=None)


def _v4(row: Row) -> Row:
    """The row for sessions of version 4."""
    return replace(row, name=f"v4-{row.name}", section="v4", operation=f"{row.operation}_v4")


_ROWS_V3: Final = (
    Row("bundle", "session", "keys: one signed, one one-time", "bundle", steps=20),
    Row("set-up", "session", "set-up, both sides, first message", "set_up", steps=20),
    _message("encrypt-100", "encrypt 100 B, one chain", "encrypt"),
    _message("encrypt-4k", "encrypt 4 KiB, one chain", "encrypt", bytes=4_096),
    _message("encrypt-64k", "encrypt 64 KiB, one chain", "encrypt", 20, bytes=65_536),
    _message("decrypt-100", "decrypt 100 B, one chain", "decrypt"),
    _message("decrypt-4k", "decrypt 4 KiB, one chain", "decrypt", bytes=4_096),
    _message("decrypt-64k", "decrypt 64 KiB, one chain", "decrypt", 20, bytes=65_536),
    _message("ping-pong", "ping-pong, encrypt and decrypt", "ping_pong", 40),
    _whole("backlog", "message", "backlog of {count}, each", "backlog", 1_000, 100),
    _message("turn", "decrypt 100 B, the first of a turn", "turn", 40),
    _message("content-encrypt", "content: encrypt, one chain", "content_encrypt", _LONG_STEPS),
    _message("skipped-0", "decrypt, 0 skipped keys stored", "decrypt", skipped=0),
    _message("skipped-100", "decrypt, 100 skipped keys stored", "decrypt", skipped=100),
    _message("skipped-2000", "decrypt, 2,000 skipped keys stored", "decrypt", skipped=2_000),
    _message("out-of-order", "decrypt, backwards by {window}", "out_of_order", window=20),
    _whole("fan-out-10", "crowd", "to {count} recipients, each", "fan_out", 10, 10),
    _whole("fan-out-100", "crowd", "to {count} recipients, each", "fan_out", 100, None),
    _longest(
        _whole("fan-out-1000", "crowd", "to {count} recipients, each", "fan_out", 1_000, None)
    ),
    _whole(
        "content-out", "crowd", "content to {count} recipients, each", "content_fan_out", 100, 20
    ),
    _whole("content-in", "crowd", "content from {count} senders, each", "content_inbox", 100, 20),
    _whole(
        "content-backlog",
        "crowd",
        "content, backlog of {count}, each",
        "content_backlog",
        1_000,
        100,
    ),
    _batch("fan-out-many", "crowd", "content to {count}, at once, each", "fan_out_many"),
    _batch("fan-out-opened", "crowd", "the same, just opened, each", "fan_out_opened"),
    _batch("inbox-many", "crowd", "content from {count}, at once, each", "inbox_many"),
    _batch("backlog-many", "crowd", "content, {count} at once, each", "backlog_many"),
    _whole("first-10", "crowd", "first contact with {count}, each", "first_contact", 10, 10),
    _longest(
        _whole(
            *("first-1000", "crowd", "first contact with {count}, each", "first_contact"),
            *(1_000, None),
        )
    ),
    Row("client-send", "client", "send", "client_send", {"bytes": 100}, _LONG_STEPS),
    _client_batch("send-many", "send to {count}, each", 100, 10, 5),
    _client_batch("send-many", "send to {count}, each", 1_000, 20, 2, _LONG_ROUNDS),
    _client_batch("send-many", "send to {count}, each", 10_000, 40, 1, _LONGEST_ROUNDS),
    _client_batch("receive", "receive {count} and confirm, each", 100, 10, 5),
    _client_batch("receive", "receive {count} and confirm, each", 1_000, 20, 1),
    Row("client-text", "client", "a text: send, receive, confirm", "client_text", {"bytes": 100}),
    Row("client-reply", "client", "the same, answering one", "client_reply", {"bytes": 100}),
    _whole(
        *("client-ping-pong", "client", "ping-pong: send, receive, confirm", "client_ping_pong"),
        *(_EPOCH, 10),
    ),
    *_by_devices("client-send-devices", "send, account of {devices}", "client_send_devices"),
    *_by_devices("encrypt-devices", "encrypt, {devices} in a row", "encrypt_devices"),
    _further("client-send-further", "send, each further device"),
    _further("client-encrypt-further", "send without a relay, each further device"),
    _further("encrypt-many-further", "encrypt_many, each further recipient"),
    _account(
        "client-first-account",
        "first contact, {accounts} account of {devices}",
        "client_first_contact",
        20,
        accounts=1,
        devices=3,
    ),
    _account(
        "client-first-accounts",
        "first contact, {accounts} accounts of {devices}",
        "client_first_contact",
        20,
        accounts=3,
        devices=1,
    ),
    _account("verify-list", "verify the list of {devices} devices", "verify_list", devices=3),
    *_file("attachment-64MiB", 2**26, 5),
    *_file("attachment-1GiB", 2**30, 1, _LONG_ROUNDS),
    Row("group-encrypt", "group", "encrypt {bytes} B for a group", "group_encrypt", {"bytes": 100}),
    Row("group-decrypt", "group", "decrypt {bytes} B of a group", "group_decrypt", {"bytes": 100}),
    Row("group-distribution", "group", "take a sender key in", "group_distribution"),
    *(
        Row(
            *(f"group-send-{members}", "group", title, "group_send"),
            {"bytes": 100, "members": members},
            steps=40,
            blocks=3,
            quick={"members": min(100, members)},
        )
        for members, title in (
            (2, "send into a group of {members}, its key in place"),
            (32, "the same, of {members}"),
            (1_024, "the same, of {members}"),
        )
    ),
    Row(
        *("group-send-alone", "group", "send to one of {members}", "group_send_alone"),
        {"bytes": 100, "members": 1_024},
        steps=40,
        blocks=3,
        quick={"members": 100},
    ),
    *(
        Row(
            *(f"group-receive-{members}", "group", title, "group_receive"),
            {"bytes": 100, "count": 20, "members": members},
            is_batch=True,
            batches=5,
            quick={"members": min(100, members)},
        )
        for members, title in (
            (2, "receive {count} in a group of {members}, confirm, each"),
            (1_024, "the same, in one of {members}"),
        )
    ),
    Row(
        *("group-new-key", "group", "a new key to {count} and a message, each"),
        *("group_send_new_key", {"bytes": 100, "count": 1_023}),
        is_batch=True,
        batches=3,
        quick={"count": 100},
        rounds=_LONG_ROUNDS,
    ),
    _graph("create", "create a group of {members}: sign and judge", 2),
    _graph("read", "take that in: decode, verify, judge", 2),
    _graph("change-make", "add or remove one of {members}: sign", 40),
    _graph("change-take", "the same: decode, verify, judge", 40),
    _graph("state", "who is in, of {members}, after {changes} changes", 5, changes=0),
    _graph("state-changed", "the same, after {changes} changes", 5, "state", changes=2_000),
    _graph("join", "join {members} after {changes} changes: verify all", 1, changes=2_000),
    *(
        Row(
            *(f"group-hostile-{name}", "group", title, operation, {"changes": 2_600}, 1, 1),
            quick=None,
            rounds=_LONG_ROUNDS,
        )
        for name, title, operation in (
            ("chains", "{changes} hostile changes: apart", "group_hostile_chains"),
            ("leavers", "the same: owners who leave", "group_hostile_leavers"),
            ("ended", "the same: an admin who is ended", "group_hostile_ended"),
        )
    ),
    Row("commit", "parts", "a bare commit of one changed row", "commit"),
    Row("seal-encrypt", "parts", "seal the rows of an encryption", "seal_encrypt"),
    Row("seal-decrypt", "parts", "seal the rows of a decryption", "seal_decrypt"),
    _piece("key-pair", "X25519: a key pair"),
    _piece("agree", "X25519: an agreement"),
    _piece("verify", "XEdDSA: verify a signature"),
    _piece("sign", "XEdDSA: sign, what a key's signatures share made before"),
    _piece("base-point", "Ed25519: a multiple of the base point, of which a signature takes one"),
    _piece("initial-root", "HKDF: the first root key"),
    _piece("next-root", "HKDF: a root key and a chain key"),
    _piece("chain-keys", "HMAC: a message key and a chain key"),
    _piece("message-keys", "HKDF: cipher key, MAC key, IV"),
    _piece("cbc-encrypt", "AES-256-CBC: encrypt {bytes} B"),
    _piece("cbc-decrypt", "AES-256-CBC: decrypt {bytes} B"),
    _piece("mac", "HMAC: the MAC of such a message"),
    _piece("encode", "protobuf: encode such a message"),
    _piece("decode", "protobuf: decode such a message"),
    _piece("wrap", "protobuf: encode a prekey message"),
    _piece("unwrap", "protobuf: decode a prekey message"),
    _growth(
        "encrypt-skipped", "encrypt, {skipped} skipped keys stored", "encrypt", 500, skipped=2_000
    ),
    _growth(
        "encrypt-archived",
        "encrypt, {archived} archived sessions",
        "encrypt_archived",
        10,
        archived=40,
    ),
    _growth(
        "decrypt-archived",
        "decrypt, {archived} archived sessions",
        "decrypt_archived",
        10,
        archived=40,
    ),
    _slow(
        _growth(
            *("decrypt-archived-10", "decrypt, {archived} archived sessions", "decrypt_archived"),
            archived=10,
        )
    ),
    _slow(_growth("encrypt-store-1k", "encrypt, {held} sessions", "encrypt_held", held=1_000)),
    _slow(_growth("encrypt-store-30k", "encrypt, {held} sessions", "encrypt_held", held=30_000)),
    _growth("encrypt-store", "encrypt, {held} sessions", "encrypt_held", 2_000, held=1_000_000),
    _growth("decrypt-store", "decrypt, {held} sessions", "decrypt_held", 2_000, held=1_000_000),
    _growth("deposit-0", "relay: deposit, {waiting} waiting", "deposit", waiting=0),
    _growth("deposit-100k", "relay: deposit, {waiting} waiting", "deposit", 1_000, waiting=100_000),
    _growth("fetch-0", "relay: fetch and acknowledge one", "fetch", waiting=0),
    _slow(_growth("fetch-10k", "the same, {waiting} waiting", "fetch", waiting=10_000)),
    _growth("fetch-100k", "the same, {waiting} waiting", "fetch", 1_000, waiting=100_000),
    _crowded("deposit-crowd-0", "relay: deposit", "deposit", 0),
    _crowded("deposit-crowd-1m", "relay: deposit", "deposit", 1_000_000),
    _crowded("fetch-crowd-0", "relay: fetch and acknowledge", "fetch", 0),
    _crowded("fetch-crowd-1m", "relay: fetch and acknowledge", "fetch", 1_000_000),
    _copies("copies-1", "relay: a message into a group, {devices} device", 1),
    _copies("copies-32", "the same, {devices} devices", 32),
    _copies("copies-1023", "the same, {devices} devices", 1_023),
    _slow(_copies("copies-apart", "the same as {devices} envelopes", 1_023, "deposit_apart")),
    _growth("timeline-1k", "timeline: a message, after {held}", "timeline", 100, held=1_000),
    _growth("timeline-100k", "timeline: a message, after {held}", "timeline", 1_000, held=100_000),
    Row(
        *("walk", "growth", "memory to walk over {held} sessions", "walk", {"held": 1_000_000}),
        quick={"held": 2_000},
        is_fresh=True,
        rounds=2,
        unit="B",
    ),
    Row(
        *("walk-before", "growth", "memory before the walk", "walk_before", {"held": 1_000_000}),
        quick={"held": 2_000},
        is_fresh=True,
        rounds=2,
        unit="B",
    ),
    Row("safety-number", "other", "safety number", "safety_number", steps=5, blocks=2),
    Row("import-package", "other", "import e2ecross", "import_package"),
    Row("import", "other", "import what a device needs", "import", is_fresh=True),
    Row(
        *("memory", "other", "memory of a session, one end", "memory", {"count": 1_000}),
        quick=None,
        is_fresh=True,
        rounds=2,
        unit="B",
    ),
)

_ROWS_V4: Final = (
    Row("bundle", "", "keys: one signed, one one-time, two Kyber", "bundle", steps=20),
    Row("set-up", "", "set-up, both sides, first message", "set_up", steps=20),
    _message("encrypt-100", "encrypt 100 B, one chain", "encrypt"),
    _message(
        "encrypt-chunk",
        "encrypt 100 B, one chain, with chunks of a KEM's ciphertext",
        "encrypt_chunk",
        turns=_TURNS,
    ),
    _message("decrypt-100", "decrypt 100 B, one chain", "decrypt"),
    _whole("ping-pong", "", "ping-pong of {count}, one epoch, each", "ping_pong", _EPOCH, _EPOCH),
    _whole("backlog", "", "backlog of {count}, each", "backlog", 1_000, None),
    _slow(_message("skipped-2000", "decrypt, 2,000 skipped keys stored", "decrypt", skipped=2_000)),
    _slow(_message("out-of-order", "decrypt, backwards by {window}", "out_of_order", window=20)),
    _slow(
        _growth(
            "encrypt-skipped",
            "encrypt, {skipped} skipped keys stored",
            "encrypt",
            500,
            skipped=2_000,
        )
    ),
    _slow(
        _growth(
            *("encrypt-archived", "encrypt, {archived} archived sessions", "encrypt_archived", 10),
            archived=40,
        )
    ),
    _slow(
        _growth(
            *("decrypt-archived", "decrypt, {archived} archived sessions", "decrypt_archived", 10),
            archived=40,
        )
    ),
    Row("seal-encrypt", "", "seal the rows of an encryption", "seal_encrypt"),
    Row("seal-decrypt", "", "seal the rows of a decryption", "seal_decrypt"),
    _bytes("chain-bytes", "bytes of a message, one chain", "chain_bytes", turns=_TURNS),
    _bytes("ping-pong-bytes", "bytes of a message, ping-pong", "ping_pong_bytes"),
    _bytes("stored-bytes", "bytes to store for a message, both ends", "stored_bytes"),
)

ROWS: Final = (*_ROWS_V3, *map(_v4, _ROWS_V4))
