"""docs/adapters/rest.md is held against the settings that it describes."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from adapters.rest import Rest
from syncd.sources.registry import validate_options

PAGE = (Path(__file__).parents[3] / "docs" / "adapters" / "rest.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(?ms)^```toml\n(.*?)^```", PAGE)


def merged(tables, more):
    """Return tables with those of another text put into them, key by key."""
    for key, value in more.items():
        if isinstance(value, dict):
            merged(tables.setdefault(key, {}), value)
        else:
            tables[key] = value
    return tables


@pytest.mark.parametrize("count", range(1, len(BLOCKS) + 1))
def test_the_tutorial_loads_after_each_step(count):
    """The least that can be described loads, and it does with each part that the tutorial adds."""
    tree = {}
    for block in BLOCKS[:count]:
        merged(tree, tomllib.loads(block))
    assert validate_options(Rest, tree["systems"]["desk"]["options"])


def keys(model):
    """Yield the names of all keys of a model and of those inside it."""
    for name, field in model.model_fields.items():
        yield name
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from keys(kind)


@pytest.mark.parametrize("name", sorted(set(keys(Rest.config))))
def test_every_key_is_named(name):
    """No key of the settings, at whatever place, is missing from the page."""
    assert re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", PAGE)


def test_every_key_is_described():
    """Each key of each table has words for people."""

    def lacking(model, place):
        for name, field in model.model_fields.items():
            if not field.description:
                yield f"{place}.{name}"
            for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    yield from lacking(kind, f"{place}.{name}")

    assert list(lacking(Rest.config, "options")) == []
