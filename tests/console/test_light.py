"""What only those import who need it: it takes time at each start, and memory for as long as the worker runs."""

import json
import subprocess
import sys
from pathlib import Path

SETTINGS = """\
timezone = "Europe/Berlin"
[database]
url = "sqlite:///{folder}/syncd.db"
[api.berlin]
base_url = "http://127.0.0.1:1"
api_key = "key"
[systems.desk]
adapter = "in_memory"
[systems.desk.options]
base_url = "http://127.0.0.1:2"
token = "token"
"""
WEB_CONSOLE = ("jinja2", "prometheus_client", "aiohttp.web", "syncd.console.web")
HTML = ("lxml", "inscriptis")
POSTGRESQL = ("asyncpg",)
TERMINAL = ("rich",)


def imported(code: str, modules: tuple[str, ...]) -> list[str]:
    """Run code in a Python of its own; return which of these modules it has imported."""
    look = f"import json, sys\n{code}\nprint(json.dumps([name for name in {modules!r} if name in sys.modules]))"
    ran = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True, timeout=60)
    found: list[str] = json.loads(ran.stdout.splitlines()[-1])
    return found


def write_settings(folder: Path, more: str = "") -> Path:
    """Write settings of one system and one api."""
    config = folder / "config.toml"
    config.touch(mode=0o600)
    config.write_text(SETTINGS.format(folder=folder) + more)
    return config


def test_status_asks_no_vendor_and_so_imports_no_http(tmp_path: Path) -> None:
    """`syncd status` imports what reads settings and database, and nothing of what the worker or a terminal needs."""
    config = write_settings(tmp_path)
    imported(f"from syncd.console.main import main\nmain(['--config', {str(config)!r}, 'db', 'upgrade'])", ())
    modules = ("aiohttp", "alembic", *WEB_CONSOLE, *HTML, *POSTGRESQL, *TERMINAL)
    code = f"from syncd.console.main import main\nassert main(['--config', {str(config)!r}, 'status']) == 0"
    assert imported(code, modules) == []


def test_a_worker_that_nobody_asks_imports_no_server(tmp_path: Path) -> None:
    """On SQLite, without [console], and before the first HTML has come, a worker keeps none of that in memory."""
    code = (
        "from pathlib import Path\nfrom syncd.console.context import Invocation\n"
        "from syncd.console.run import make_daemon\nmake_daemon(Invocation(config=Path({!r}), environ={{}}))"
    )
    modules = ("alembic", *WEB_CONSOLE, *HTML, *POSTGRESQL, *TERMINAL)
    assert imported(code.format(str(write_settings(tmp_path))), modules) == []
    asked = write_settings(tmp_path, '[console]\nlisten = "127.0.0.1:0"\n')
    assert imported(code.format(str(asked)), WEB_CONSOLE) == list(WEB_CONSOLE)
