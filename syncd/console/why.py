"""`syncd why`: why a reply is not in its thread, in one sentence, and what would help."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import typer

from syncd.console.context import CommandContext, perform
from syncd.console.explaining import explain_delivery, explain_link, explain_ticket
from syncd.console.output import Shown, notice, print_json, say, span
from syncd.model.errors import Missing, UsageError
from syncd.sync.explanation import Explanation


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked about: one of the three."""

    ticket: str | None
    link: int | None
    delivery: int | None

    def __post_init__(self) -> None:
        """Refuse none and several."""
        if sum(one is not None for one in (self.ticket, self.link, self.delivery)) != 1:
            raise UsageError("say a ticket, or --link ID, or --delivery ID, one of them")


def why(
    ctx: typer.Context,
    ticket: Annotated[
        str | None, typer.Argument(metavar="TICKET", help="Its number, its web address, or the vendor's id.")
    ] = None,
    link: Annotated[int | None, typer.Option("--link", metavar="ID", help="This link, instead.")] = None,
    delivery: Annotated[int | None, typer.Option("--delivery", metavar="ID", help="This delivery, instead.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON array, of an object for each link.")] = False,
) -> None:
    """Say why a reply is not in its thread: the cause in one sentence, the facts, and the commands that would help.

    A number that is no ticket's is taken as that of a link or of a delivery. Exit code 0 if nothing stands still, 1
    if something waits for a person or is stuck, 2 if there is nothing of that name.
    """
    asked = Asked(ticket, link, delivery)

    async def work(context: CommandContext) -> tuple[list[Explanation], Shown]:
        return await answer(context, asked), Shown(context.zone)

    found, shown = perform(ctx, work)
    if json:
        print_json([explanation_values(one) for one in found])
    else:
        _show(found, shown)
    if any(one.needs_person for one in found):
        raise typer.Exit(1)


async def answer(context: CommandContext, asked: Asked) -> list[Explanation]:
    """Return what is to be said about a ticket, a link or a delivery.

    Raises:
        Missing: there is none.
    """
    if asked.delivery is not None:
        return [await explain_delivery(context, asked.delivery)]
    if asked.link is not None:
        return [await explain_link(context, asked.link)]
    ticket = (asked.ticket or "").strip()
    if found := await explain_ticket(context, ticket):
        return found
    return [await _by_number(context, ticket)]


async def _by_number(context: CommandContext, text: str) -> Explanation:
    """Return what is to be said about a number that is no ticket's."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
    if number is not None:
        for name, ask in (("link", explain_link), ("delivery", explain_delivery)):
            try:
                found = await ask(context, number)
            except Missing:
                continue
            notice(f"no link is about a ticket {number}; this is about {name} {number} (--{name} {number})")
            return found
    raise Missing(
        f"nothing is linked to a ticket {text!r}, and there is no such link or delivery. `syncd links list` shows what "
        "is linked; `syncd links add` links a ticket"
    )


def explanation_values(one: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON has it; what else stands in the way is a list of its own, spans are seconds."""
    return {
        "about": one.about,
        "sentence": one.sentence,
        "also": [value for name, value in one.facts if name == "also"],
        "facts": {name.replace(" ", "_"): _plain(value) for name, value in one.facts if name != "also"},
        "commands": list(one.commands),
        "needs_person": one.needs_person,
    }


def _plain(value: Any) -> Any:
    return int(value.total_seconds()) if isinstance(value, timedelta) else value


def _show(found: list[Explanation], shown: Shown) -> None:
    for place, one in enumerate(found):
        if place:
            say()
        say(one.sentence if len(found) == 1 else f"{one.about}: {one.sentence}")
        say()
        shown.fields((f"  {name}", span(value) if isinstance(value, timedelta) else value) for name, value in one.facts)
        if one.commands:
            say()
            say("  What would help:")
        for line in one.commands:
            say(f"    {line}")
