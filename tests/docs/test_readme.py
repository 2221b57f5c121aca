"""The first page is right: its tables, its settings, and the proof that it shows."""

import re
import tomllib
from pathlib import Path

import pytest

from syncd.console.demo_view import print_proof
from syncd.console.links_import import COLUMNS, read_import
from syncd.console.main import COMMANDS
from syncd.model.policy import Mode
from syncd.service.settings import load_settings
from syncd.testing.balance import Balance

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SECRETS = {"SYNCD_API__BERLIN__API_KEY": "fake", "SYNCD_SYSTEMS__SUPPORT__OPTIONS__CLIENT_SECRET": "fake"}
LONGEST = 200


def section(title: str) -> str:
    """Return what stands below a heading."""
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def table(title: str) -> list[list[str]]:
    """Return the rows of the table below a heading, without its own heading."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines[2:]]


def toml_blocks(text: str) -> list[str]:
    """Return the settings that a page shows."""
    return re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_it_is_short():
    """Whoever comes here for the first time is not given a book."""
    assert len(PAGE.splitlines()) < LONGEST


def test_the_commands_are_the_program_s():
    """The table has every command, in the order and with the words of `syncd --help`, and no other."""
    assert table("Commands") == [[name, text] for name, (_, text) in COMMANDS.items()]


def test_the_demo_proves_in_these_words(capsys: pytest.CaptureFixture[str]):
    """The proof that is shown is what `syncd demo` prints for such counts, and its numbers add up."""
    shown = section("See it work").split("```\n")[1]
    count = {name: int(number) for name, number in re.findall(r"^  ([a-z ]+?) +(\d+)", shown, re.MULTILINE)}
    due = re.search(r"of (\d+) that are for", shown)
    assert due
    balance = Balance(
        seen=count["seen"],
        due=int(due[1]),
        withheld=count["withheld"],
        automatic=count["skipped"],
        delivered=count["delivered"],
        status_notes=count["status notes"],
        lost=(),
        twice=(),
        leaked=(),
        strangers=(),
        behind=(),
    )
    assert balance.seen == balance.due + balance.withheld + balance.automatic
    print_proof(balance)
    assert capsys.readouterr().out.strip() == shown[shown.index("Counted") :].strip()


def test_the_make_targets_are_there():
    """What is to be typed first is in the Makefile, and is said to do the same there."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^    make (\w+) ", PAGE, re.MULTILINE)
    assert targets == ["demo", "test"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_the_settings_are_good_and_send_nothing(tmp_path: Path):
    """The settings of the five minutes load, with the two secrets that are asked for, and hold everything back."""
    (tmp_path / "config.toml").write_text(toml_blocks(PAGE)[0], encoding="utf-8")
    settings = load_settings(tmp_path / "config.toml", SECRETS)
    assert [api.mode for api in settings.api.values()] == [Mode.HOLD]
    asked = set(re.findall(r"/etc/syncd/credentials/(\S+)$", PAGE, re.MULTILINE))
    assert asked == {"api.berlin.api_key", "systems.support.options.client_secret"}


def test_the_settings_of_the_operator_s_page_fit_to_them(tmp_path: Path):
    """What the page for operators adds, file by file, loads beside the settings of the first page."""
    (tmp_path / "config.toml").write_text(toml_blocks(PAGE)[0], encoding="utf-8")
    (tmp_path / "conf.d").mkdir()
    blocks = toml_blocks(OPERATIONS)
    for number, text in enumerate(blocks):
        (tmp_path / "conf.d" / f"{number}.toml").write_text(text, encoding="utf-8")
    studios = {name for text in blocks for name in tomllib.loads(text).get("api", {})}
    keys = {f"SYNCD_API__{name.upper()}__API_KEY": "fake" for name in studios}
    settings = load_settings(tmp_path / "config.toml", SECRETS | keys)
    assert studios == {"hamburg"}
    assert studios < set(settings.api)
    assert str(settings.state_directory) == "/var/lib/syncd"


def test_the_links_of_the_operator_s_page_can_be_imported(tmp_path: Path):
    """The file that it shows has all columns, and no line of it is bad."""
    (shown,) = re.findall(r"^```csv\n(.*?)^```", OPERATIONS, re.MULTILINE | re.DOTALL)
    (tmp_path / "links.csv").write_text(shown, encoding="utf-8")
    lines = read_import(str(tmp_path / "links.csv"))
    assert [line.bad for line in lines] == [None, None]
    assert shown.splitlines()[0].split(",") == list(COLUMNS)


def test_nothing_that_is_not_there_is_listed_as_a_command():
    """The status page and the metrics are served by `run`, and have no command; where they are told of is linked."""
    assert {"web", "metrics"}.isdisjoint(COMMANDS)
    assert {"docs/status-page.md", "docs/monitoring/README.md"} <= set(re.findall(r"\]\((docs/[^)]+)\)", PAGE))
