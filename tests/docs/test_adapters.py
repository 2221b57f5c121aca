"""Every adapter has a page with all that an operator has to know; the tables of adapters are those of the code."""

import re
import tomllib

import pytest

from syncd.sources.registry import load_adapter, validate_options
from tests.docs.adapter_table import PAGES, ROOT, own_adapters, shown_table, table

HEADINGS = [
    "## Credentials, step by step",
    "### Least permissions",
    "## Options",
    "## What maps to what",
    "## How it reads",
    "## Limits",
    "### Vendor requests for 10,000 linked tickets with 100 new replies an hour",
    "## Webhooks",
    "## What cannot be told",
    "## Sources",
]


def page_of(name):
    """Return the text of an adapter's page."""
    return (ROOT / "docs" / "adapters" / f"{name}.md").read_text(encoding="utf-8")


def section(page, heading):
    """Return what stands below a heading, up to the next of its level or a higher one."""
    level = heading.count("#", 0, heading.index(" "))
    after = page.split(f"\n{heading}\n", 1)[1]
    return re.split(rf"^#{{1,{level}}} ", after, maxsplit=1, flags=re.MULTILINE)[0]


def test_every_module_is_installed():
    """What stands in adapters/ is an entry point, and there is a page for each and for nothing else."""
    modules = {path.stem for path in (ROOT / "adapters").glob("[!_]*.py")}
    pages = {path.stem for path in (ROOT / "docs" / "adapters").glob("*.md")} - {"README"}
    assert set(own_adapters()) == modules == pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_tables_are_those_of_the_code(page):
    """The tables say what the adapters declare; `make docs` writes them anew."""
    assert shown_table(page) == table(PAGES[page])


@pytest.mark.parametrize("name", own_adapters())
class TestPage:
    """One adapter's page."""

    def test_it_has_every_part(self, name):
        """The parts stand on every page, in the same order."""
        page = page_of(name)
        found = [line for line in page.splitlines() if line in HEADINGS]
        assert found == HEADINGS
        assert f"`{name}`" in page.split("\n## ")[0]

    def test_it_names_every_option(self, name):
        """Each option of the adapter stands in the tables of options, and so does no other; those inside have a dot."""
        rows = re.findall(r"^\| (`[^|]*) \|", section(page_of(name), "## Options"), re.MULTILINE)
        named = {option for row in rows for option in re.findall(r"`([\w.]+)`", row)}
        fields = set(load_adapter(name).config.model_fields)
        assert fields - named == set()
        assert {option for option in named if "." not in option} - fields == set()

    def test_its_examples_are_good_options(self, name):
        """The settings that it shows are options that the adapter takes."""
        shown = re.findall(r"^```toml\n(.*?)^```", page_of(name), re.MULTILINE | re.DOTALL)
        blocks = [tomllib.loads(text) for text in shown]
        systems = [system for block in blocks for system in block.get("systems", {}).values()]
        whole = [system["options"] for system in systems if system.get("adapter") == name and "options" in system]
        assert whole
        for options in whole:
            assert validate_options(load_adapter(name), options)

    def test_it_counts_the_vendors_requests(self, name):
        """The cost of many tickets is a table with numbers: all the time, and once."""
        rows = [line for line in section(page_of(name), HEADINGS[6]).splitlines() if line.startswith("|")]
        assert len(rows) >= 4
        assert sum(bool(re.search(r"\d", row)) for row in rows[2:]) >= 2

    def test_it_names_what_it_relies_on(self, name):
        """The vendor's own documentation is among the sources."""
        assert re.search(r"https?://|\w\.\w+/|\w+\.(?:com|org|io|net)", section(page_of(name), "## Sources"))
