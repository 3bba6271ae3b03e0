# SPDX-License-Identifier: Apache-2.0
"""What needs an extra says so; what needs none works without; nobody loads what is not used."""

import subprocess
import sys

import pytest

SERVER = ("starlette", "uvicorn", "prometheus_client")
ROOMS = {
    "e2ecross.service.asgi": ("server", ("starlette",)),
    "e2ecross.service.serving": ("server", ("uvicorn",)),
    "e2ecross.service.metrics": ("server", ("prometheus_client",)),
    "e2ecross.service.http_backend": ("http", ("urllib3",)),
    "e2ecross.service.connections": ("http", ("urllib3",)),
    "e2ecross.service.transport": ("http", ("urllib3",)),
    "e2ecross.relay.postgres": ("postgres", ("psycopg", "psycopg_pool")),
}
BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block())
"""


def python(code: str, *missing: str) -> str:
    """What a new interpreter prints that lacks these packages."""
    program = BLOCK.format(missing=missing) + code
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


@pytest.mark.parametrize("room", list(ROOMS))
def test_a_room_without_its_extra_names_it(room: str) -> None:
    extra, missing = ROOMS[room]
    code = f"try:\n    import {room}\nexcept ImportError as error:\n    print(error)"
    said = python(code, *missing, "urllib3", *SERVER)
    assert said.endswith(f"pip install 'e2ecross[{extra}]'")


@pytest.mark.parametrize(("name", "extra"), [("HTTPBackend", "http"), ("create_app", "server")])
def test_a_name_without_its_extra_names_it(name: str, extra: str) -> None:
    code = f"try:\n    from e2ecross.service import {name}\nexcept ImportError as e:\n    print(e)"
    assert f"'e2ecross[{extra}]'" in python(code, "urllib3", *SERVER)


def test_a_relay_on_postgresql_without_its_extra_names_it() -> None:
    code = (
        "from e2ecross.relay import Relay\n"
        "try:\n    Relay('postgresql://relay:geheim@/x')\nexcept ImportError as e:\n    print(e)"
    )
    said = python(code, "psycopg", "psycopg_pool")
    assert said.endswith("pip install 'e2ecross[postgres]'")
    assert "geheim" not in said


def test_what_needs_no_extra_works_without() -> None:
    code = "from e2ecross.service import AsyncClient, make_credential, Rates\nprint('fine')"
    assert python(code, "urllib3", *SERVER) == "fine"


def test_the_package_loads_nothing_of_it() -> None:
    code = (
        "import e2ecross, e2ecross.relay, e2ecross.service\n"
        "e2ecross.Client, e2ecross.Device, e2ecross.relay.Relay\n"
        "print([name for name in sys.modules if name.startswith('e2ecross.service.')])\n"
        "extras = ('urllib3', 'starlette', 'uvicorn', 'psycopg')\n"
        "print([name for name in extras if name in sys.modules])"
    )
    assert python(code) == "[]\n[]"


def test_a_client_loads_no_relay() -> None:
    code = "import e2ecross.service.http_backend\nprint('e2ecross.relay' in sys.modules)"
    pytest.importorskip("urllib3")
    assert python(code) == "False"


def test_the_command_without_the_extra_says_what_to_install(tmp_path: object) -> None:
    code = (
        "from e2ecross.cli import main\n"
        f"print(main(['relay', '--db', {str(tmp_path)!r} + '/relay.db']))"
    )
    program = BLOCK.format(missing=SERVER) + code
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "1"
    assert "pip install 'e2ecross[server]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
