#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# OpenCV: a QR code in byte mode does not come back as its bytes.
#
# Expected: `QRCodeDetector.detectAndDecodeBytes` returns the bytes that are in the code, and
# `detectAndDecode` a text of them or an error.
# Seen with opencv-python-headless 5.0.0.93 (and 4.14.0.94), Python 3.11, 2026-11-28:
#   detectAndDecodeBytes: the bytes read as Latin-1 and written as UTF-8, so 74 became more. It can
#                         be undone: .decode().encode("latin-1").
#   detectAndDecode:      the same text as str, up to the first zero byte, and no error. The rest is
#                         lost. 4.11 and before have no other method.
# zxing-cpp reads the same image exactly, so the code itself is right. Output:
#   OpenCV 5.0.0: 74 bytes in the code, 141 from detectAndDecodeBytes, 66 characters from
#   detectAndDecode
#
# Installs into a temporary folder. Exits 0 while this is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  opencv-python-headless==5.0.0.93 segno==1.6.6 zxing-cpp==3.1.1

"$folder/venv/bin/python" - "$folder/code.png" <<'PYTHON'
import sys

import cv2
import segno
import zxingcpp

content = bytes.fromhex("0802") + bytes(range(0x90, 0xD0)) + bytes.fromhex("00c3a9ff1234567f")
code = segno.make(content, error="m")
code.save(sys.argv[1], scale=6)
image = cv2.imread(sys.argv[1])
text = content.decode("latin-1")

(exact,) = (found.bytes for found in zxingcpp.read_barcodes(image))
as_bytes = cv2.QRCodeDetector().detectAndDecodeBytes(image)[0]
as_str = cv2.QRCodeDetector().detectAndDecode(image)[0]
checks = {
    "the code is in byte mode": code.mode == "byte",
    "zxing-cpp returns the bytes": exact == content,
    "detectAndDecodeBytes returns UTF-8 of Latin-1": as_bytes == text.encode() != content,
    "that can be undone": as_bytes.decode().encode("latin-1") == content,
    "detectAndDecode ends before the zero byte": as_str == text[: text.index("\0")] != text,
}
print(
    f"OpenCV {cv2.__version__}: {len(content)} bytes in the code, {len(as_bytes)} from "
    f"detectAndDecodeBytes, {len(as_str)} characters from detectAndDecode"
)
for what, holds in checks.items():
    print("yes" if holds else "NO ", what)
sys.exit(not all(checks.values()))
PYTHON
