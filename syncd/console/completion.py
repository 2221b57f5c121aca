"""`syncd completion`: what makes a shell complete the commands of syncd."""

from enum import StrEnum
from importlib.resources import files
from typing import Annotated

import typer


class Shell(StrEnum):
    """The shells that are known."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="Which shell.")]) -> None:
    """Print a script that completes commands, options, and the names of systems and apis in a shell.

    bash: eval "$(syncd completion bash)" in ~/.bashrc. zsh: the same with zsh in ~/.zshrc, after compinit. fish: syncd
    completion fish > ~/.config/fish/completions/syncd.fish. Where syncd was installed for the whole system, they are
    there already.
    """
    print((files("syncd.console") / "shells" / f"syncd.{shell}").read_text(encoding="utf-8"), end="")
