# SPDX-License-Identifier: Apache-2.0
"""Real Signal peers as Python objects: a driver program per peer, spoken to in JSON lines."""

import contextlib
import json
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Protocol, Self

HERE = Path(__file__).parent
INSTALL = "tests/interop/install.sh"
TIMEOUT_S = 120.0  # for one request; the slowest, 25,000 messages, takes seconds of a quiet machine

PREKEY = 3
SIGNAL = 2


class Sealed(NamedTuple):
    """A message on the wire: its kind travels beside the bytes."""

    kind: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a party publishes for others to start a session with it."""

    registration_id: int
    identity_key: bytes
    signed_prekey_id: int
    signed_prekey: bytes
    signed_prekey_signature: bytes
    one_time_prekey_id: int | None = None
    one_time_prekey: bytes | None = None
    kyber_prekey_id: int | None = None
    kyber_prekey: bytes | None = None
    kyber_prekey_signature: bytes | None = None

    def to_json(self) -> dict[str, int | str]:
        """The drivers' form: bytes in hex, what is absent left out."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {
            name: value.hex() if isinstance(value, bytes) else value
            for name, value in values.items()
            if value is not None
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The reverse of `to_json`."""
        values = {k: bytes.fromhex(v) if isinstance(v, str) else v for k, v in values.items()}
        return cls(**values)


class Party(Protocol):
    """One end of a conversation with one contact: ours or a peer."""

    refusal: type[Exception]  # what `decrypt` raises for a message it does not accept
    duplicate: type[Exception]  # what it raises for one that it has read before

    def bundle(self, *, one_time: bool) -> Bundle:
        """New prekeys, with or without a one-time prekey."""

    def process(self, bundle: Bundle) -> None:
        """Start a session with the contact, whose bundle this is."""

    def encrypt(self, plaintext: bytes) -> Sealed:
        """Encrypt for the contact."""

    def decrypt(self, sealed: Sealed) -> bytes:
        """Decrypt a message of the contact."""

    def restart(self) -> None:
        """Leave nothing in memory: go on from what is stored."""


@dataclass(frozen=True, slots=True)
class PeerKind:
    """A library to talk to, and what it cannot do."""

    name: str
    command: tuple[str, ...]
    needs: Path  # exists when the peer is installed
    calls_duplicates: str = ""  # what its error for a message that it has read begins with
    opens_without_one_time: bool = True  # reads a first message that used no one-time prekey
    checks_bundles: bool = True  # refuses a bundle with a forged signature
    checks_version_byte: bool = True  # refuses a message whose version byte was altered

    def __str__(self) -> str:
        return self.name


_NODE = HERE / "node"
_VENV_PYTHON = HERE / "axolotl" / ".venv" / "bin" / "python"


def _libsignal_client(name: str, package: str, *pq_ratchet: str) -> PeerKind:
    return PeerKind(
        name=name,
        command=("node", str(_NODE / "libsignal_client.js"), package, *pq_ratchet),
        needs=_NODE / "node_modules" / package,
        calls_duplicates="DuplicatedMessage",
    )


LIBSIGNAL_CLIENT = _libsignal_client("libsignal-client", "@signalapp/libsignal-client")
LIBSIGNAL_NODE = PeerKind(
    name="libsignal-node",
    command=("node", str(_NODE / "libsignal_node.js"), "libsignal-node"),
    needs=_NODE / "node_modules" / "libsignal-node",
    checks_bundles=False,
    checks_version_byte=False,
)
LIBSIGNAL_6 = PeerKind(
    name="libsignal-6",
    command=("node", str(_NODE / "libsignal_node.js"), "libsignal"),
    needs=_NODE / "node_modules" / "libsignal",
    checks_bundles=False,
    checks_version_byte=False,
)
WHATSAPP_RUST_BRIDGE = PeerKind(
    name="whatsapp-rust-bridge",
    command=("node", str(_NODE / "whatsapp_rust_bridge.mjs")),
    needs=_NODE / "node_modules" / "whatsapp-rust-bridge",
    calls_duplicates="DuplicatedMessage",
)
PYTHON_AXOLOTL = PeerKind(
    name="python-axolotl",
    command=(str(_VENV_PYTHON), str(HERE / "axolotl" / "driver.py")),
    needs=_VENV_PYTHON.parent.parent / ".installed",
    opens_without_one_time=False,
)
PEER_KINDS = (
    LIBSIGNAL_CLIENT,
    LIBSIGNAL_NODE,
    LIBSIGNAL_6,
    WHATSAPP_RUST_BRIDGE,
    PYTHON_AXOLOTL,
)

# Peers of version 4. The first runs the post-quantum ratchet always, and demands it of others; the
# second negotiates; the last two have none.
LIBSIGNAL_0_103 = _libsignal_client("libsignal-client-0.103", "libsignal-client-0.103")
LIBSIGNAL_0_75 = _libsignal_client("libsignal-client-0.75", "libsignal-client-0.75", "Yes")
LIBSIGNAL_0_75_NO = _libsignal_client("libsignal-client-0.75-no", "libsignal-client-0.75", "No")
LIBSIGNAL_0_72 = _libsignal_client("libsignal-client-0.72", "libsignal-client-0.72")
V4_PEER_KINDS = (LIBSIGNAL_0_103, LIBSIGNAL_0_75, LIBSIGNAL_0_75_NO, LIBSIGNAL_0_72)


class Start(NamedTuple):
    """Who starts a conversation with which peer, and whether with a one-time prekey."""

    peer: PeerKind
    we_start: bool
    one_time: bool

    def __str__(self) -> str:
        who = "we-start" if self.we_start else "peer-starts"
        return f"{self.peer}-{who}-{'one-time' if self.one_time else 'without'}"

    @property
    def possible(self) -> bool:
        """Whether the one who is started with can read the first message."""
        return self.peer.opens_without_one_time or self.one_time or not self.we_start


STARTS = tuple(
    start
    for kind in PEER_KINDS
    for we_start in (True, False)
    for one_time in (True, False)
    if (start := Start(kind, we_start, one_time)).possible
)


class PeerRefused(Exception):
    """The peer's library did not accept what it was given; the text is the library's."""


class PeerReadBefore(PeerRefused):
    """The peer's library says that it has read this message before."""


class PeerDied(Exception):
    """The driver program ended or did not answer in time: a fault of the suite, not a refusal."""


class Peer:
    """A device of a real library, in a process of its own."""

    refusal: type[Exception] = PeerRefused
    duplicate: type[Exception]

    def __init__(
        self,
        kind: PeerKind,
        contact: str,
        address: str = "whatsapp:budi.1",
        registration_id: int = 12345,
    ) -> None:
        """Start the driver with a new device.

        Args:
            kind: the library.
            contact: whom the device talks to ("name.device").
            address: the device's own, in the same form; only libsignal-client 0.103 asks for it.
            registration_id: the device's.

        """
        self.kind = kind
        self.contact = contact
        self.duplicate = PeerReadBefore if kind.calls_duplicates else PeerRefused
        self._start()
        self._ask("create", registration_id=registration_id, address=address)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the driver; a second time does nothing."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):  # what a dead driver did not read
                stream.close()

    def restart(self) -> None:
        """Move the device, as saved bytes, into a new process."""
        self.become(self.kind)

    def copy(self, other: "Peer") -> None:
        """Be the device that `other` is, with all that it has stored."""
        self._ask("load", state=other._ask("save")["state"])

    def become(self, kind: PeerKind) -> None:
        """The same, where another release of the library runs: of libsignal-client only."""
        state = self._ask("save")["state"]
        self.close()
        self.kind = kind
        self._start()
        self._ask("load", state=state)

    def bundle(self, *, one_time: bool, one_time_kyber: bool | None = None) -> Bundle:
        """New prekeys, with or without a one-time prekey.

        Args:
            one_time: with an X25519 one-time prekey.
            one_time_kyber: of a peer of version 4, whether the Kyber prekey serves once or is one
                of last resort; as `one_time` if it is not given.

        """
        once = one_time if one_time_kyber is None else one_time_kyber
        kyber = "one-time" if once else "last-resort"
        return Bundle.from_json(self._ask("bundle", one_time=one_time, kyber=kyber)["bundle"])

    def process(self, bundle: Bundle) -> None:
        """Start a session with the contact, whose bundle this is."""
        self._ask("process_bundle", address=self.contact, bundle=bundle.to_json())

    def encrypt(self, plaintext: bytes, lost: int = 0) -> Sealed:
        """Encrypt for the contact; libsignal-client also as many that nobody gets to see."""
        answer = self._ask("encrypt", address=self.contact, data=plaintext.hex(), lost=lost)
        return Sealed(answer["kind"], bytes.fromhex(answer["data"]))

    def decrypt(self, sealed: Sealed) -> bytes:
        """Decrypt a message of the contact."""
        kind, data = sealed.kind, sealed.data.hex()
        answer = self._ask("decrypt", address=self.contact, kind=kind, data=data)
        return bytes.fromhex(answer["data"])

    def sign(self, data: bytes) -> tuple[bytes, bytes]:
        """The device's identity key, and its signature over data; of libsignal-client only."""
        answer = self._ask("sign", data=data.hex())
        return bytes.fromhex(answer["key"]), bytes.fromhex(answer["signature"])

    def verifies(self, key: bytes, data: bytes, signature: bytes) -> bool:
        """Whether the peer accepts a signature of an identity key; of libsignal-client only."""
        answer = self._ask("verify", key=key.hex(), data=data.hex(), signature=signature.hex())
        return bool(answer["verifies"])

    def prekey_ids(self) -> list[int]:
        """The one-time prekeys that have not been used up."""
        return list(self._ask("prekeys")["ids"])

    def kyber_prekey_ids(self) -> list[int]:
        """The Kyber prekeys that have not been used up; those of last resort never are."""
        return list(self._ask("prekeys")["kyber_ids"])

    def safety_number(self, local_id: bytes, remote_id: bytes) -> tuple[str, bytes]:
        """The peer's own computation: 60 digits, and what its code to scan holds."""
        answer = self._ask("safety_number", **self._fingerprint(local_id, remote_id))
        return answer["digits"], bytes.fromhex(answer["scannable"])

    def compare(self, local_id: bytes, remote_id: bytes, scanned: bytes) -> bool:
        """Whether the peer, having scanned this code, says that it matches."""
        arguments = self._fingerprint(local_id, remote_id)
        return bool(self._ask("compare", scanned=scanned.hex(), **arguments)["matches"])

    def _fingerprint(self, local_id: bytes, remote_id: bytes) -> dict[str, Any]:
        return {
            "address": self.contact,
            "iterations": 5200,
            "version": 2,
            "local_id": local_id.hex(),
            "remote_id": remote_id.hex(),
        }

    def _start(self) -> None:
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (close() does)
        self._process = subprocess.Popen(
            self.kind.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            encoding="utf-8",
            cwd=HERE,
        )
        self._deadline = float("inf")
        threading.Thread(target=self._watch, args=(self._process,), daemon=True).start()

    def _watch(self, process: "subprocess.Popen[str]") -> None:
        """Kill a driver that does not answer in time; a thread per request would cost more."""
        while process.poll() is None:
            time.sleep(1)
            if time.monotonic() > self._deadline:
                process.kill()

    def _ask(self, command: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        self._deadline = time.monotonic() + TIMEOUT_S
        try:
            stdin.write(json.dumps({"cmd": command, **arguments}) + "\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            self._deadline = float("inf")
        if not line:
            self._process.wait(TIMEOUT_S)
            self._stderr.seek(0)
            said = self._stderr.read()[-2000:].decode(errors="replace")
            self.close()
            raise PeerDied(f"{self.kind} ended or hung at {command!r}; it said: {said}")
        answer: dict[str, Any] = json.loads(line)
        if not answer.pop("ok"):
            error = answer["error"]
            duplicate = self.kind.calls_duplicates
            raise (PeerReadBefore if duplicate and error.startswith(duplicate) else PeerRefused)(
                error
            )
        return answer


class StartPeer(Protocol):
    """What the fixture of that name gives."""

    def __call__(self, kind: PeerKind, contact: str, address: str = ...) -> Peer:
        """Start a device of this kind that talks to `contact`."""
