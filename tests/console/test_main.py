"""The way into the commands: help, settings, errors and exit codes."""

import json
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from syncd import __version__
from syncd.console.main import COMMANDS, main
from syncd.model.communication import Thread
from syncd.model.link import NewLink
from syncd.model.ticket import TicketRef
from syncd.store import links

HEAVY = ("sqlalchemy", "aiohttp", "alembic", "inscriptis", "typer", "rich", "pydantic", "loguru")
OURS = ("status", "links", "deliveries", "apis", "systems", "adapters", "db")
INNER = (
    *(("links", one) for one in ("add", "import", "list", "show", "resume", "remove")),
    *(("deliveries", one) for one in ("list", "show", "resolve", "retry", "edit", "skip")),
    *(("apis", one) for one in ("list", "pause", "resume", "release")),
    *(("systems", one) for one in ("list", "pause", "resume")),
    *(("db", one) for one in ("upgrade", "version", "restored")),
)


def test_help_lists_every_command_and_imports_nothing_heavy():
    """`syncd --help` knows every command without importing one, or any library."""
    code = (
        "import sys, json; from syncd.console.main import main; code = main(['--help']);"
        f"print(json.dumps([code, [name for name in {HEAVY!r} if name in sys.modules]]))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    *text, last = ran.stdout.splitlines()
    assert json.loads(last) == [0, []]
    assert [line.split()[0] for line in text[text.index("Commands:") + 1 :] if line.startswith("  ")] == list(COMMANDS)


def test_a_command_that_imports_the_library_of_the_command_line_writes_the_same_help(capsys):
    """The help after `--config` is the help without it, and so are the names in it."""
    main(["--help"])
    quick = capsys.readouterr().out
    assert main(["--config", "x", "--help"]) == 0
    assert capsys.readouterr().out == quick


@pytest.mark.parametrize("name", OURS)
def test_the_help_of_a_command_imports_no_http_no_migrations_and_no_mapping(name):
    """What takes longest to import is imported when it is used."""
    code = (
        f"import sys; from syncd.console.main import main; code = main([{name!r}, '--help']);"
        "print([one for one in ('aiohttp', 'alembic', 'inscriptis', 'rich') if one in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", OURS)
def test_every_command_has_its_help(capsys, name):
    """A command's help names the settings file option or its subcommands, and needs no settings."""
    assert main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: syncd {name}")


@pytest.mark.parametrize("place", INNER, ids=" ".join)
def test_every_subcommand_has_its_help_and_takes_the_settings_file(capsys, place):
    """Help is there for each subcommand, and --config is among its options."""
    assert main([*place, "--help"]) == 0
    assert "--config PATH" in capsys.readouterr().out


def test_the_version_is_told_with_and_without_other_options(capsys):
    """`syncd --version` is one line."""
    assert main(["--version"]) == main(["--config", "x", "--version"]) == 0
    assert capsys.readouterr().out == f"syncd {__version__}\n" * 2


def test_no_arguments_are_a_usage_error_with_help(capsys):
    """Calling syncd with nothing shows the help and exits with 2."""
    assert main([]) == 2
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lnks"], "Did you mean 'links'?"),
        (["links", "lst"], "list"),
        (["links", "show", "one"], "'ID'"),
        (["links", "list", "--state", "broken"], "broken"),
        (["deliveries", "list", "--limit", "0"], "'--limit'"),
        (["apis", "pause", "berlin"], "--reason"),
    ],
)
def test_usage_errors_exit_with_2_and_say_what_is_wrong(capsys, arguments, words):
    """A command line that makes no sense is told on stderr."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert not captured.out


def test_the_settings_file_is_named_before_or_after_the_command_or_in_the_environment(syncd, monkeypatch):
    """--config counts in both places, the later one more, and $SYNCD_CONFIG where there is none."""
    config = str(syncd.config)
    assert main(["--config", config, "links", "list", "--json"]) == 0
    assert main(["links", "list", "--json", "--config", config]) == 0
    assert main(["--config", "/nowhere.toml", "links", "list", "--config", config]) == 0
    monkeypatch.setenv("SYNCD_CONFIG", config)
    assert main(["links", "list"]) == 0
    assert main(["--config", "/nowhere.toml", "links", "list"]) == 2


def test_mistakes_in_the_settings_are_all_told_with_exit_code_2(syncd):
    """Every mistake has its line, and there is no traceback."""
    syncd.config.write_text(syncd.config.read_text() + '\n[api.berlin2]\nbase_url = "x"\nkey = "y"\n[retentoin]\n')
    ran = syncd("status")
    assert ran.code == 2
    assert "retentoin" in ran.err
    assert "did you mean retention?" in ran.err
    assert "api.berlin2.base_url" in ran.err
    assert "Traceback" not in ran.err


def test_a_missing_settings_file_is_told(syncd):
    """Without settings nothing is tried."""
    syncd.config.unlink()
    ran = syncd("links", "list")
    assert (ran.code, "there are no settings here" in ran.err) == (2, True)


def test_a_missing_database_is_created(syncd):
    """Any command makes the schema where there is none."""
    assert syncd("deliveries", "list", "--json").json == []
    assert (syncd.directory / "syncd.db").exists()


def test_a_file_that_is_no_database_is_told_without_a_traceback(syncd):
    """Garbage where the database should be fails the command with one clear message."""
    (syncd.directory / "syncd.db").write_bytes(b"this is no database at all, only text" * 100)
    ran = syncd("status")
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1
    assert "syncd.db does not answer as it should: file is not a database" in ran.err


def test_a_newer_database_is_refused(syncd):
    """A schema that this syncd does not know is left alone."""
    syncd("status")
    with sqlite3.connect(syncd.directory / "syncd.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    ran = syncd("status")
    assert (ran.code, "newer than this syncd" in ran.err) == (1, True)
    version = syncd("db", "version", "--json")
    assert (version.code, version.json["schema"], version.json["state"]) == (1, "9999", "newer")
    assert (syncd("db", "upgrade").code, "newer" in syncd("db", "upgrade").err) == (1, True)


def test_a_locked_database_is_told_without_a_traceback(syncd):
    """While another process holds the database for itself, a command that writes fails with one message."""
    link_id = syncd.link()
    connection = sqlite3.connect(syncd.directory / "syncd.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    ran = syncd("links", "remove", link_id, "--yes")
    connection.close()
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1
    assert "database is locked" in ran.err


def test_a_missing_directory_of_the_database_is_told(syncd):
    """A database in a directory that is not there is a mistake that is named, not made."""
    syncd.url = f"sqlite:///{syncd.directory}/none/syncd.db"
    syncd.configure()
    ran = syncd("status")
    assert (ran.code, f"there is no directory {syncd.directory}/none" in ran.err) == (1, True)


def test_an_unexpected_failure_names_type_and_place_and_no_contents(syncd):
    """A bug, here a table that somebody dropped a column of, ends with exit code 1 and no traceback."""
    syncd.link()
    with sqlite3.connect(syncd.directory / "syncd.db") as connection:
        connection.execute("UPDATE link SET state = 'secret words'")
    connection.close()
    ran = syncd("links", "list")
    assert ran.code == 1
    assert "ValueError at" in ran.err
    assert "secret words" not in ran.err
    assert "Traceback" not in ran.err


def test_a_reader_that_goes_away_is_no_failure_worth_a_word(syncd):
    """`syncd links list | head -1` ends without a message."""

    def fill(connection):
        now = datetime(2026, 5, 1, tzinfo=UTC)
        for number in range(2000):
            new = NewLink(Thread("berlin", 1, number), "desk", TicketRef(number=f"HD-{number}"), now)
            links.add(connection, new, now)

    syncd.stored(fill)
    command = f"{sys.executable} -m syncd --config {syncd.config} links list --json | head -c 1"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout, ran.stderr) == ("[", "")
