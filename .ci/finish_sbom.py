# SPDX-License-Identifier: Apache-2.0
"""Complete an SBOM with what the tool leaves out, and check that it names all that is installed.

python .ci/finish_sbom.py sbom.cdx.json e2ecross-0.1.0-py3-none-any.whl
"""

import json
import re
import sys
import tomllib
from pathlib import Path

BELOW = {"cffi", "pycparser"}
"""What the dependencies need themselves."""
LICENCES = {"protobuf": "BSD-3-Clause"}
"""Of packages that name theirs in words, which the tool drops."""


def main() -> int:
    """Write the SBOM anew; print what is missing or too much, and return 1 if anything is."""
    path, wheel = Path(sys.argv[1]), Path(sys.argv[2])
    bom = json.loads(path.read_text("utf-8"))
    project = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
    about = bom["metadata"]["component"]
    about["version"] = wheel.name.split("-")[1]  # it is read from the code: the tool has none
    parts = {part["name"].casefold(): part for part in bom["components"]}
    for name, licence in LICENCES.items():
        if name in parts:
            parts[name].setdefault("licenses", [{"license": {"id": licence}}])
    path.write_text(json.dumps(bom, indent=2, sort_keys=True) + "\n", "utf-8")

    wanted = {re.split(r"[<>=]", line)[0].casefold() for line in project["dependencies"]} | BELOW
    problems = [] if about["name"] == project["name"] else [f"it is of {about['name']}"]
    problems += [f"missing: {name}" for name in sorted(wanted - parts.keys())]
    problems += [f"unexpected: {name}" for name in sorted(parts.keys() - wanted)]
    for name, part in sorted(parts.items()):
        problems += [f"{name} has no {key}" for key in ("version", "licenses") if not part.get(key)]
    print("\n".join(problems) or f"the SBOM names {len(parts)} packages")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
