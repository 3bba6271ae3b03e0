#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# zxing-cpp: of a picture with nothing but one QR code it now and then reads two bar codes.
#
# Expected: a clean picture of one QR code, with its quiet zone, gives one result; or else an app
# that demands exactly one, so as not to choose between codes, is safe on a clean picture.
# Seen with zxing-cpp 3.1.1, pictures by segno 1.6.6, Python 3.11.7, 2026-11-30: of 1,000 texts of
# 168 characters in codes of level L, drawn with 3 pixels a module, a few have a second result: a
# linear code (ITF; of other texts UPC-E, too), read from modules of the QR code. The QR code comes first. With
# formats=BarcodeFormat.QRCode each picture has its one result, with the right text.
# Output:
#   all formats: 3 of 1000 pictures have a second code (ITF)
#   QR codes alone: 0 of 1000
#
# Installs into a temporary folder. Exits 0 while this is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet zxing-cpp==3.1.1 segno==1.6.6

"$folder/venv/bin/python" - <<'PYTHON'
import base64
import hashlib
import sys

import segno
import zxingcpp

PICTURES, PIXELS = 1000, 3


def picture(text: str) -> memoryview:
    code = segno.make_qr(text, error="l", boost_error=False)
    rows = [
        bytes(255 * (not dark) for dark in row for _ in range(PIXELS))
        for row in code.matrix_iter(border=4)
        for _ in range(PIXELS)
    ]
    return memoryview(b"".join(rows)).cast("B", (len(rows), len(rows[0])))


second, kinds, wrong = 0, set(), 0
for number in range(PICTURES):
    drawn = hashlib.shake_128(number.to_bytes(4, "big")).digest(100)
    text = "scan-me-" + base64.b32encode(drawn).decode()
    image = picture(text)
    found = zxingcpp.read_barcodes(image)
    others = [each for each in found if each.format != zxingcpp.BarcodeFormat.QRCode]
    second += bool(others)
    kinds |= {str(each.format) for each in others}
    alone = zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormat.QRCode)
    wrong += [each.text for each in alone] != [text]
print(f"all formats: {second} of {PICTURES} pictures have a second code ({', '.join(sorted(kinds))})")
print(f"QR codes alone: {wrong} of {PICTURES}")
sys.exit(0 if second and not wrong else 1)
PYTHON
