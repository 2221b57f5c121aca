"""The program as the command line library sees it: a group that imports a command's module when it is needed."""

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from syncd import __version__
from syncd.console.context import Invocation, invocation_of

Places = Mapping[str, tuple[str, str]]
"""Commands by name: the place, `module:name`, and one line of help."""


class Program(TyperGroup):
    """The outermost group. Its commands are known by name; each is imported when it is asked for."""

    placed: Places
    help_text: Callable[[], str]

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the base's signature
        """Return the names, in the order in which the help shows them."""
        return list(self.placed)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - the base's signature
        """Import a command and give it the options that every command has."""
        placed = self.placed.get(cmd_name)
        if placed is None:
            return None
        command = _load(placed[0], cmd_name)
        _add_shared_options(command)
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the base's signature
        """Write the same help that is written when nothing was imported."""
        formatter.write(self.help_text())

    def invoke(self, ctx: Any) -> Any:
        """Carry out a command; what it said has left this process when it ends, or nobody reads it any more."""
        try:
            return super().invoke(ctx)
        finally:
            sys.stdout.flush()


def program(placed: Places, help_text: Callable[[], str]) -> Program:
    """Return the program with these commands."""
    app = typer.Typer(cls=Program, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.callback()(_begin)
    group = get_command(app)
    if not isinstance(group, Program):
        raise TypeError("the outermost group is not the one that was asked for")
    group.placed, group.help_text = placed, help_text
    # The names are for the suggestion after a mistyped one.
    group.commands = dict.fromkeys(placed)  # type: ignore[assignment]  # only its keys are read; see get_command
    return group


def _tell_version(value: bool) -> None:
    if value:
        typer.echo(f"syncd {__version__}")
        raise typer.Exit


def _begin(
    ctx: typer.Context,
    config: Annotated[Path | None, typer.Option("--config", metavar="PATH", help="The settings file.")] = None,
    version: Annotated[  # noqa: ARG001 - its callback is all of it
        bool, typer.Option("--version", help="Show the version and exit.", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    ctx.obj = Invocation(config=config)


def _load(place: str, name: str) -> Any:
    module, _, attribute = place.partition(":")
    loaded = getattr(importlib.import_module(module), attribute)
    if not isinstance(loaded, typer.Typer):
        single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        single.command(name)(loaded)
        loaded = single
    command = get_command(loaded)
    command.name = name
    return command


def _keep_config(ctx: typer.Context, value: Path | None) -> Path | None:
    if value is not None and not ctx.resilient_parsing:
        invocation_of(ctx).config = value
    return value


def _shared(
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="PATH", help="The settings file.", callback=_keep_config, expose_value=False),
    ] = None,
) -> None:
    """Hold the options that every command has."""


def _add_shared_options(command: Any) -> None:
    if isinstance(command, TyperGroup):
        for inner in command.commands.values():
            _add_shared_options(inner)
        if not command.invoke_without_command:
            return
    holder = typer.Typer(add_completion=False, rich_markup_mode=None)
    holder.command()(_shared)
    command.params += [option for option in get_command(holder).params if option.name == "config"]
