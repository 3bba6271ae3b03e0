# SPDX-License-Identifier: Apache-2.0
"""The scene of the demo in which a photo is on its way, and the way is lost, and hostile."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from e2ecross.demo.blocks import Block, Heading, Pairs, Paragraph, Row, read, short
from e2ecross.demo.director import Director, check, take
from e2ecross.demo.facts import Copy, Foiled, Letter, Received
from e2ecross.demo.people import ANA, BUDI, LAPTOP, TABLET, DemoFailed, Person
from e2ecross.demo.photo import draw_photo

__all__ = ["FileAttack", "Photo", "photo"]

_CAPTION: Final = "Look what I am having! The cup is from the shop, too."
_CORRUPTED: Final = "attachment_corrupted"
_LOST_AFTER_CHUNKS: Final = 3
_SWAPPED: Final = (3, 4)  # from 0
_CHUNK_BYTES: Final = 65_536
_HASH_BYTES: Final = 32
_PIECE_BYTES: Final = 16
_PIECES: Final = 50


@dataclass(frozen=True, slots=True)
class FileAttack:
    """What the back end did to a file, and how that was refused.

    Attributes:
        name: "swapped_chunks".
        target: whose device asked for the file.
        chunks: which of them changed places, from 1.
        error: the class of the error.
        code: its code.
        explanation: what the error said.
    """

    name: str
    target: Person
    chunks: tuple[int, int]
    error: str
    code: str
    explanation: str


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo goes to two devices of another app.

    Attributes:
        sender: whose it is.
        size: of its file, bytes.
        relay_name: what the relay keeps it under, 32 bytes.
        relay_size: how many bytes that are: padded, and with the hashes of its chunks.
        uploaded_by: the account that the relay has noted with it.
        chunks: how many there are.
        interrupted_at: how many bytes were at the relay when the sender's app ended.
        ended_process_id: its process.
        new_process_id: the process that went on.
        went_on: how many bytes were there after the first piece that this one sent.
        pieces_searched: how many pieces of the photo were looked for in the relay's files.
        letter: the message that carries its descriptor.
        copies: of it.
        attack: on the way to the second device.
        received: by both devices; the second one's first go was ended by the attack.
    """

    sender: Person
    size: int
    relay_name: str
    relay_size: int
    uploaded_by: str
    chunks: int
    interrupted_at: int
    ended_process_id: int
    new_process_id: int
    went_on: int
    pieces_searched: int
    letter: Letter
    copies: tuple[Copy, ...]
    attack: FileAttack
    received: tuple[Received, ...]

    def tell(self) -> Iterator[Block]:
        """See `Scene`."""
        letter, attack = self.letter, self.attack
        first, second = self.received
        yield Heading(f"A photo, from {self.sender.app} to two devices on {letter.recipient.app}")
        yield Paragraph(
            f"{self.sender.name}'s app encrypts it in {self.chunks} pieces, and is ended in the "
            f"middle of the upload (process {self.ended_process_id}). A new process "
            f"({self.new_process_id}) goes on from there. The key travels in message "
            f"{letter.number}. Either of {letter.recipient.name}'s devices checks each piece "
            f"before it keeps any of it, and fetches nothing twice that was right."
        )
        yield Pairs(
            (
                Row(
                    (
                        f"{self.uploaded_by} uploads a file",
                        f"named {short(self.relay_name)}, {self.relay_size:,} bytes",
                        f"Cut off after {self.interrupted_at:,} bytes, then the rest.",
                    ),
                    f"{self.sender.name}: the photo, {self.size:,} bytes",
                    f"The back end has a random name and encrypted bytes. {self.pieces_searched} "
                    f"samples of the photo were looked for in its files: none was found.",
                    self.sender,
                ),
                read(letter),
                _received(first, "Cut off, then"),
                Row(
                    (f"The back end swaps pieces {attack.chunks[0]} and {attack.chunks[1]}.",),
                    f"✗ {attack.target.name} refuses them",
                    f"They are not what {self.sender.name} has sent. ({attack.error}) It keeps the "
                    f"{second.kept:,} bytes before, which are right.",
                    attack.target,
                    refused=True,
                ),
                _received(second, "Now the right pieces,"),
            )
        )


def _received(received: Received, what: str) -> Row:
    same = "the photo, as it was sent" if received.is_right else "ANOTHER FILE"
    return Row(
        ("Somebody fetches the file.", f"{what} from byte {received.kept:,} on."),
        f"{received.device.name}: {same}",
        f"{received.size:,} bytes, {received.kept:,} of them before it was cut off.",
        received.device,
    )


def photo(director: Director) -> Photo:
    """Budi sends a photo to both devices of Ana, over a way that is lost, and a hostile relay."""
    picture = draw_photo()
    director.photo_bytes = len(picture)
    (director.stage.folder / BUDI.photo).write_bytes(picture)
    begun = director.stage.ask(BUDI, "begin_upload", file=BUDI.photo, lost_at="1")
    check(begun.get("complete") is False, "the upload of the photo was not interrupted")
    interrupted_at = director.back_end.blob().stored
    ended = director.stage.leave(BUDI)
    new = take(director.stage.enter([BUDI])[BUDI], "process_id", int)
    gone_on = director.stage.ask(BUDI, "go_on_uploading")
    check(gone_on.get("complete") is True, "the photo was not uploaded to the end")
    went_on, blob = take(gone_on, "first", int), director.back_end.blob()
    check(0 < interrupted_at < went_on, f"the upload began anew, after {interrupted_at} bytes")
    check(blob.stored == blob.size > len(picture), f"the relay has {blob.stored} bytes of {blob}")
    check(blob.user == BUDI.user, f"the relay has noted the photo as of {blob.user}")
    pieces_searched = _search(director, picture)
    letter = director.post(BUDI, ANA, _CAPTION, "send_file", text=_CAPTION)
    copies = director.copies(letter, LAPTOP, TABLET)
    director.deliver(letter)
    director.deliver_copies(copies)
    first = _receive_interrupted(director, letter, picture)
    attack, second = _receive_attacked(director, letter, picture)
    return Photo(
        sender=BUDI,
        size=len(picture),
        relay_name=blob.name,
        relay_size=blob.size,
        uploaded_by=blob.user,
        chunks=-(-blob.size // (_CHUNK_BYTES + _HASH_BYTES)),
        interrupted_at=interrupted_at,
        ended_process_id=ended,
        new_process_id=new,
        went_on=went_on,
        pieces_searched=pieces_searched,
        letter=letter,
        copies=copies,
        attack=attack,
        received=(first, second),
    )


def _search(director: Director, picture: bytes) -> int:
    """Look for pieces of the photo in all that the relay has; return for how many."""
    found = director.back_end.read_files()
    places = range(0, len(picture) - _PIECE_BYTES, len(picture) // _PIECES)
    check(
        not any(picture[at : at + _PIECE_BYTES] in found for at in places),
        "the relay's files hold a piece of the photo",
    )
    return len(places)


def _receive_interrupted(director: Director, letter: Letter, picture: bytes) -> Received:
    """Ana's phone loses its way, and goes on."""
    lost_at = str(_LOST_AFTER_CHUNKS * _CHUNK_BYTES)
    answer = _download(director, ANA, letter, lost_at=lost_at)
    check(answer.get("complete") is False, "the download of the photo was not interrupted")
    check(answer.get("refused") is None, f"the photo was refused: {answer}")
    return _go_on(director, ANA, letter, picture)


def _receive_attacked(
    director: Director, letter: Letter, picture: bytes
) -> tuple[FileAttack, Received]:
    """Ana's laptop is given chunks in the wrong order; then in the right one."""
    back_end, name = director.back_end, LAPTOP.name
    director.attacks_tried += 1
    back_end.swap_chunks(back_end.blob(), *_SWAPPED, _CHUNK_BYTES)
    answer = _download(director, LAPTOP, letter)
    back_end.swap_chunks(back_end.blob(), *_SWAPPED, _CHUNK_BYTES)
    error = answer.get("refused")
    if not isinstance(error, dict) or answer.get("complete") is not False:
        raise DemoFailed(f"swapped chunks were NOT refused by the app of {name}: {answer}")
    code = error.get("code")
    check(code == _CORRUPTED, f"swapped chunks were refused with {code!r} by the app of {name}")
    one, other = _SWAPPED
    attack = FileAttack(
        name="swapped_chunks",
        target=LAPTOP,
        chunks=(one + 1, other + 1),
        error=take(error, "type", str),
        code=_CORRUPTED,
        explanation=take(error, "message", str),
    )
    director.attacks_refused.append(Foiled("swapped_chunks", LAPTOP, _CORRUPTED))
    received = _go_on(director, LAPTOP, letter, picture)
    kept = one * _CHUNK_BYTES
    check(received.kept == kept, f"{name} kept {received.kept} bytes, of which {kept} were right")
    return attack, received


def _download(director: Director, device: Person, letter: Letter, **lost: str) -> dict[str, Any]:
    message_id = letter.view.message_id
    return director.stage.ask(device, "download", message_id=message_id, file=device.photo, **lost)


def _go_on(director: Director, device: Person, letter: Letter, picture: bytes) -> Received:
    """Let a device fetch the rest of the photo.

    Raises:
        DemoFailed: what it had was wrong, it begins anew, or has another file in the end.
    """
    director.files_wanted += 1
    (part,) = director.stage.folder.glob(f"{device.photo}.part-*")
    kept = part.read_bytes()
    check(0 < len(kept) < len(picture), f"{device.name} had {len(kept)} bytes of the photo")
    check(picture.startswith(kept), f"{device.name} was given bytes that are not of the photo")
    answer = _download(director, device, letter)
    check(answer.get("complete") is True, f"{device.name} did not get the photo: {answer}")
    went_on = take(answer, "first", int)
    check(len(kept) < went_on, f"{device.name} fetched again what it had: {went_on} bytes first")
    found = (director.stage.folder / device.photo).read_bytes()
    check(found == picture, f"{device.name} got another photo than was sent")
    received = Received(device, len(kept), went_on, len(found), found == picture)
    director.files_received.append(received)
    return received
