#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# pyzbar: `Decoded.data` is of type bytes, but not the bytes of a QR code in byte mode.
#
# Expected: the bytes that are in the code; or, of any text, always the same encoding.
# Seen with pyzbar 0.1.9 on libzbar 0.23.92 (Debian 12), Python 3.11, 2026-11-28: UTF-8 of a text
# in an encoding that is guessed from the content:
#   most bytes:                  read as Latin-1. Undone by .decode().encode("latin-1").
#   bytes that are Shift-JIS:    read as Shift-JIS. That way of undoing raises UnicodeEncodeError;
#                                .decode().encode("shift_jis") gave the bytes back.
# Nothing in the result says which it was. Of 4,000 codes with 64 random bytes each, one was taken
# for Shift-JIS: a program that always undoes Latin-1 passes its tests, and fails for that user.
# Output:
#   pyzbar 0.1.9, libzbar.so.0: 74 bytes came back as 141, 12 as 18
#
# Installs into a temporary folder; libzbar from the Debian mirror, when the system has none.
# Exits 0 while this is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  pyzbar==0.1.9 pillow==13.0.0 segno==1.6.6

library=$("$folder/venv/bin/python" -c \
  'import ctypes.util; print(ctypes.util.find_library("zbar") or "")')
if [ -z "$library" ]; then # unpacked, not installed, with all that it needs but the C library
  needed=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
    --no-replaces --no-enhances libzbar0 | grep '^[a-z]' |
    grep -vE '^(libc6|libgcc-s1|libcrypt1)$' | sort -u)
  mkdir "$folder/debian"
  # One by one: what is virtual, or already there in another way, cannot be fetched.
  (cd "$folder/debian" && for package in $needed; do
    apt-get download -qq "$package" >/dev/null 2>&1 || true
  done)
  for package in "$folder"/debian/*.deb; do dpkg -x "$package" "$folder/root"; done
  library=$(find "$folder/root" -name 'libzbar.so.0' | head -n 1)
  directories=$(find "$folder/root" -name '*.so.*' -printf '%h\n' | sort -u | tr '\n' ':')
  export LD_LIBRARY_PATH="$directories"
fi

"$folder/venv/bin/python" - "$library" <<'PYTHON'
import ctypes.util
import io
import sys

find_library = ctypes.util.find_library
ctypes.util.find_library = lambda name: sys.argv[1] if name == "zbar" else find_library(name)

import segno
from PIL import Image
from pyzbar import pyzbar


def through_a_code(content: bytes) -> bytes:
    image = io.BytesIO()
    segno.make(content, mode="byte", error="m", micro=False).save(image, kind="png", scale=6)
    (found,) = pyzbar.decode(Image.open(image).convert("L"))
    assert isinstance(found.data, bytes)
    return found.data


plain = bytes.fromhex("0802") + bytes(range(0x90, 0xD0)) + bytes.fromhex("00c3a9ff1234567f")
japanese = "日本語テスト".encode("shift_jis")
read, guessed = through_a_code(plain), through_a_code(japanese)
checks = {
    "bytes come back as UTF-8 of Latin-1": read == plain.decode("latin-1").encode() != plain,
    "that can be undone": read.decode().encode("latin-1") == plain,
    "Shift-JIS comes back as UTF-8 of Shift-JIS": guessed == japanese.decode("shift_jis").encode(),
    "that can be undone by who knows": guessed.decode().encode("shift_jis") == japanese,
}
print(
    f"pyzbar 0.1.9, {sys.argv[1].rpartition('/')[2]}: {len(plain)} bytes came back as "
    f"{len(read)}, {len(japanese)} as {len(guessed)}"
)
for what, holds in checks.items():
    print("yes" if holds else "NO ", what)
sys.exit(not all(checks.values()))
PYTHON
