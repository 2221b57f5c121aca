"""config.example.toml is the documentation of the settings, so it is held against them."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from syncd.service.settings import ApiSettings, Settings, SystemSettings, load_settings

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
SECRETS = {"SYNCD_API__BERLIN__API_KEY": "fake", "SYNCD_SYSTEMS__SUPPORT__OPTIONS__CLIENT_SECRET": "fake"}
FREE_TABLES = ("options", "channels", "statuses")


def example_with_all_keys() -> dict[str, Any]:
    """Return the example with every `#key = value` set."""
    text = re.sub(r"(?m)^#(?=[A-Za-z_]+ = )", "", EXAMPLE.read_text(encoding="utf-8"))
    return tomllib.loads(text)


def tables() -> list[tuple[str, type[BaseModel], dict[str, Any]]]:
    """Return every table of the example with its model."""
    tree = example_with_all_keys()
    found: list[tuple[str, type[BaseModel], dict[str, Any]]] = [("", Settings, tree)]
    for name in ("database", "console", "alerts", "log", "retention"):
        model = Settings.model_fields[name].annotation
        assert isinstance(model, type)
        found.append((name, model, tree[name]))
    return [
        *found,
        ("api", ApiSettings, tree["api"]["berlin"]),
        ("systems", SystemSettings, tree["systems"]["support"]),
    ]


def written(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a model that an operator can write."""
    return {name: known for name, known in model.model_fields.items() if not known.exclude}


def test_the_example_loads():
    """The example as it is, with the secrets in variables, is good: its adapter and options exist."""
    settings = load_settings(EXAMPLE, SECRETS)
    assert list(settings.api) == ["berlin"]
    assert list(settings.systems) == ["support"]
    assert settings.systems["support"].options.base_url == "https://acme.zendesk.com"


@pytest.mark.parametrize(
    ("name", "model", "table"), tables(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_key_is_in_the_example(name: str, model: type[BaseModel], table: dict[str, Any]):
    """No key of the settings is missing from the example, and it shows none that does not exist."""
    assert set(table) == set(written(model))


@pytest.mark.parametrize(
    ("name", "model", "table"), tables(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_default_is_the_real_one(name: str, model: type[BaseModel], table: dict[str, Any]):
    """What the example states for a key that has a default is that default."""
    for key, known in written(model).items():
        default = known.get_default(call_default_factory=True)
        if known.is_required() or default is None or isinstance(default, BaseModel) or isinstance(table[key], dict):
            continue
        plain = default.get_secret_value() if isinstance(default, SecretStr) else default
        assert table[key] == (list(plain) if isinstance(plain, tuple) else plain), key


def test_keys_without_a_default_are_commented_out():
    """What the example sets is a default or had to be set: an optional key that stands open would change something."""
    tree = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    settings = load_settings(EXAMPLE, SECRETS)
    assert "state_directory" not in tree
    assert "timezone" not in tree["api"]["berlin"]
    assert settings.console.listen is None
    assert settings.systems["support"].requests_per_minute is None
    assert "api_key" not in tree["api"]["berlin"]
    assert set(tree["systems"]["support"]["options"]) == {"base_url", "client_id"}
    for name in FREE_TABLES[1:]:
        assert tree["systems"]["support"][name] == {}


def test_every_line_fits_a_screen():
    """The example is read in terminals: no line is longer than 120 letters."""
    assert [line for line in EXAMPLE.read_text(encoding="utf-8").splitlines() if len(line) > 120] == []
