"""The command `syncd`: which commands there are, and the way into them.

This module stays light: it knows the commands by name and by one line of help. A command's module is imported when
the command is called, or when its own help is asked for; `syncd --help` imports nothing at all.
"""

# ruff: noqa: PLC0415 - imports stand inside functions, so that help costs no more than the start of Python

import io
import os
import sys
from collections.abc import Sequence

from syncd import __version__

PROGRAM = "syncd"
ABOUT = "Keeps the communication threads of a CRM in step with the tickets of external ticketing systems."

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("syncd.console.run:run", "Poll, map and deliver until stopped: the service."),
    "check": ("syncd.console.check:check", "Check settings, database, every system and every api; read-only."),
    "status": ("syncd.console.status:status", "Show what is stuck, why, since when, and what to do."),
    "why": ("syncd.console.why:why", "Say why a reply is not in its thread, and what would help."),
    "links": ("syncd.console.links:app", "Tie tickets to threads: add, import, list, show, resume, remove."),
    "deliveries": ("syncd.console.deliveries:app", "Look at communications on their way, and decide about them."),
    "poll": ("syncd.console.poll:poll", "Read systems or tickets now."),
    "backfill": ("syncd.console.backfill:app", "Collect replies that are older than their links."),
    "audit": ("syncd.console.audit:audit", "Prove that both sides match: account for every reply of every link."),
    "preview": ("syncd.console.preview:preview", "Print what would be sent for a ticket; send nothing."),
    "apis": ("syncd.console.apis:app", "List, pause, resume and release targets of the Open API."),
    "systems": ("syncd.console.systems:app", "List, pause and resume ticketing systems."),
    "alert": ("syncd.console.alert:app", "Try whether alerts reach somebody."),
    "adapters": ("syncd.console.adapters:adapters", "List the kinds of ticketing systems that are installed."),
    "erase": ("syncd.console.erase:erase", "Erase the texts and names of a customer, and end its links."),
    "db": ("syncd.console.db:app", "Upgrade the database, show its version, declare it restored, move it."),
    "rename": ("syncd.console.rename:app", "Give a system or an api that has a history another name."),
    "completion": ("syncd.console.completion:completion", "Print what makes bash, zsh or fish complete commands."),
    "demo": ("syncd.console.demo:demo", "Show everything at work against stand-ins on this machine."),
    "sandbox": ("syncd.console.sandbox:sandbox", "Serve a stand-in for the Open API on this machine."),
}
"""Every command: its place, `module:name` of a function or of a typer app with subcommands, and one line of help."""

COMPLETE = "__complete"
"""How a shell asks what may stand next on a command line; see `syncd completion`."""

LONE_SURROGATES = range(0xD800, 0xE000)
"""How Python shows the bytes of an argument that are no UTF-8."""


def program_help() -> str:
    """Return what `syncd --help` says."""
    width = max(len(name) for name in COMMANDS)
    lines = [
        f"Usage: {PROGRAM} [--config PATH] COMMAND [ARGS]...",
        "",
        f"  {ABOUT}",
        "",
        "Options:",
        "  --config PATH  The settings file, before or after the command. Else $SYNCD_CONFIG, else",
        "                 /etc/syncd/config.toml.",
        "  --version      Show the version and exit.",
        "  --help         Show this message and exit; after a command, its own help.",
        "",
        "Commands:",
        *(f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()),
        "",
        "Exit codes: 0 good, 1 something failed or needs a person, 2 usage or settings.",
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command and return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _accept_any_text()
    if given in ([], ["--help"]):
        _write(program_help())
        return 0 if given else 2
    if given == ["--version"]:
        _write(f"{PROGRAM} {__version__}\n")
        return 0
    if given[:1] == [COMPLETE]:
        _write(_complete(given[1:]))
        return 0
    return _carry_out(given)


def _complete(words: list[str]) -> str:
    from syncd.console.completing import complete

    try:
        return complete(words)
    except Exception:  # noqa: BLE001 - a traceback in the middle of a line that is being typed would help nobody
        return ""


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody reads on. What is left in the buffer must not be tried again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _accept_any_text() -> None:
    # A terminal that cannot show a letter must not end a command in the middle of its work.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _carry_out(given: list[str]) -> int:
    from syncd.console.group import program
    from syncd.console.output import report_error, report_unexpected
    from syncd.model.errors import SettingsError, SyncdError

    if any(ord(char) in LONE_SURROGATES for argument in given for char in argument):
        report_error("an argument is no UTF-8 text; no database could keep it")
        return 2
    try:
        program(COMMANDS, program_help).main(given, prog_name=PROGRAM)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except SettingsError as error:
        report_error(str(error), heading="the settings cannot be used:")
        return error.exit_code
    except SyncdError as error:
        report_error(str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last resort: type and place, never contents
        report_unexpected(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
