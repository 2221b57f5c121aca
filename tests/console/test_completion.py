"""What a shell offers: commands, options and what may follow them, at once."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from syncd.console.completing import complete
from syncd.console.main import COMMANDS, main

SHELLS = Path(__file__).parents[2] / "syncd" / "console" / "shells"


def offered(*words: str) -> list[str]:
    """Return the words that are offered in place of the last one."""
    return [line.partition("\t")[0] for line in complete(words).splitlines()]


def test_commands():
    """The first word is any of the commands, the second one of a group's; each line says what it means."""
    assert offered("") == list(COMMANDS)
    assert offered("de") == ["deliveries", "demo"]
    assert "resolve" in offered("deliveries", "")
    assert complete(["adap"]) == f"adapters\t{COMMANDS['adapters'][1]}\n"
    assert offered("nonsense", "") == []


def test_options():
    """A dash offers the command's own options, also after others with their values."""
    assert {"--state", "--system", "--json", "--config", "--help"} <= set(offered("links", "list", "-"))
    assert offered("links", "list", "--state", "active", "--js") == ["--json"]
    assert offered("--v") == ["--version"]


def test_choices():
    """Where a value is one of a few they are offered, also where the shell splits at an equals sign."""
    assert offered("links", "list", "--state", "") == ["unresolved", "active", "suspended", "removed"]
    assert offered("deliveries", "list", "--state", "=", "p") == ["pending", "parked"]
    assert offered("completion", "") == ["bash", "zsh", "fish"]


def test_names_of_the_settings(syncd):
    """Names of systems and apis are those of the settings, where one is expected and nowhere else."""
    config = ("--config", str(syncd.config))
    assert offered(*config, "poll", "--system", "") == ["desk", "other"]
    assert offered("apis", "resume", *config, "") == ["berlin", "hamburg"]
    assert offered("systems", "pause", "o") == []
    assert offered("systems", "pause", *config, "o") == ["other"]
    assert offered("systems", "pause", "desk", *config, "") == []
    assert offered("links", "show", *config, "") == []
    syncd.config.write_text("this is [no TOML")
    assert offered(*config, "poll", "--system", "") == []


def test_nothing_heavy_is_imported(tmp_path):
    """A word is completed without importing a command, its library, or the settings."""
    code = (
        "import sys; from syncd.console.main import main; main(['__complete', 'links', 'list', '--s'])\n"
        "print([name for name in sys.modules if name.split('.')[0] in {'typer', 'pydantic', 'sqlalchemy', 'aiohttp'}])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *found, heavy = ran.stdout.splitlines()
    assert [line.partition("\t")[0] for line in found] == ["--state", "--system"]
    assert ast.literal_eval(heavy) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts_are_printed(shell, capsys):
    """Each script is printed as it is installed, and asks the program by the name under which it was called."""
    assert main(["completion", shell]) == 0
    printed = capsys.readouterr().out
    assert printed == (SHELLS / f"syncd.{shell}").read_text()
    assert "__complete" in printed
    if found := shutil.which(shell):
        assert subprocess.run([found, "-n", str(SHELLS / f"syncd.{shell}")], check=False).returncode == 0


def test_bash_offers_what_the_program_says(syncd, tmp_path):
    """In a real bash, with the printed script, the tabulator offers commands and names."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "syncd"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m syncd "$@"\n')
    program.chmod(0o755)
    lines = f"""
    source {SHELLS}/syncd.bash
    COMP_WORDS=({program} deliveries re) COMP_CWORD=2; _syncd {program}; printf '%s ' "${{COMPREPLY[@]}}"
    COMP_WORDS=({program} poll --system '') COMP_CWORD=3; _syncd {program}; printf '%s ' "${{COMPREPLY[@]}}"
    complete -p syncd
    """
    ran = subprocess.run(
        ["bash", "--norc", "-c", lines],
        capture_output=True,
        text=True,
        env={"SYNCD_CONFIG": str(syncd.config)},
        check=True,
    )
    assert ran.stdout == "resolve retry desk other complete -o default -F _syncd syncd\n"
    assert ran.stderr == ""
