"""Hundreds of studios: a file of settings and a credential for each, and the script that writes them."""

import re
import subprocess
import sys
from pathlib import Path

from syncd.model.policy import Mode
from syncd.service.settings import load_settings
from tests.service.test_settings_secrets import write_secret

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
STUDIOS = 300


def write_studios(folder: Path) -> Path:
    """Write the settings and the credentials of many studios; return the settings file."""
    (folder / "conf.d").mkdir()
    for number in range(STUDIOS):
        name = f"studio{number:03}"
        text = f'[api.{name}]\nbase_url = "https://{name}.open-api.magicline.com"\nin_flight = 8\n'
        (folder / "conf.d" / f"{name}.toml").write_text(text, encoding="utf-8")
        write_secret(folder / "credentials" / f"api.{name}.api_key", f"fake-{number}\n")
    config = folder / "config.toml"
    config.write_text('timezone = "Europe/Berlin"\n', encoding="utf-8")
    return config


def test_each_has_its_own_file_and_its_own_key(directory, refused):
    """All are loaded, each with its own key; one whose credential is missing is named, and no other is."""
    config = write_studios(directory)
    settings = load_settings(config, {})
    keys = {name: api.api_key.get_secret_value() for name, api in settings.api.items()}
    assert keys == {f"studio{number:03}": f"fake-{number}" for number in range(STUDIOS)}
    (directory / "credentials" / "api.studio217.api_key").unlink()
    assert list(refused('timezone = "Europe/Berlin"\n')) == ["api.studio217.api_key (conf.d/studio217.toml)"]


def test_the_script_of_the_page_writes_them(directory):
    """The script that operations.md shows makes settings that load, one file and one private credential per line."""
    (script,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    sheet = directory / "studios.csv"
    sheet.write_text("name,base_url,api_key\nhamburg,https://hamburg.open-api.magicline.com,fake-hamburg\n")
    (directory / "credentials").mkdir()
    (directory / "config.toml").touch()
    for _ in range(2):  # repeating it is harmless
        subprocess.run([sys.executable, "-c", script, str(sheet), str(directory)], check=True, timeout=60)
    settings = load_settings(directory / "config.toml", {})
    (api,) = settings.api.values()
    assert (api.mode, api.api_key.get_secret_value()) == (Mode.HOLD, "fake-hamburg")
    assert (directory / "credentials" / "api.hamburg.api_key").stat().st_mode & 0o777 == 0o600
    assert [problem.place for problem in settings.warnings()] == ["systems"]  # there is none to read
