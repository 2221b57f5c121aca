"""What the control API takes: bodies and queries, each as a model that both checks them and describes them."""

from datetime import datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema, model_validator
from pydantic.config import JsonDict

from syncd.console.context import parse_instant
from syncd.model.communication import INT64_MAX, Direction
from syncd.model.delivery import DeliveryState
from syncd.model.errors import UsageError
from syncd.model.link import LinkState
from syncd.store.standing import Resolution

LONGEST_PAGE = 500
HIGHEST_ID = 10**18 - 1
"""Ids of syncd have at most 18 digits."""

_UTC = ZoneInfo("UTC")


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has a character in it that cannot be printed")
    return text


def instant_of(text: str) -> datetime:
    """Return an instant that has a time zone.

    Raises:
        ValueError: it is none, or has none.
    """
    try:
        instant, assumed = parse_instant(text, _UTC)
    except UsageError as error:
        raise ValueError(str(error)) from None
    if assumed:
        raise ValueError("has no time zone; write it like 2026-05-01T08:00:00+02:00")
    return instant


def _instant(text: str) -> str:
    instant_of(text)
    return text


def _short(longest: int) -> StringConstraints:
    return StringConstraints(strip_whitespace=True, min_length=1, max_length=longest)


Line = Annotated[str, _short(200), AfterValidator(_printable)]
Address = Annotated[str, _short(2000), AfterValidator(_printable)]
Reason = Annotated[
    str,
    _short(500),
    AfterValidator(_printable),
    Field(description="Why; it stays in the records, with the name of who asks."),
]
Id = Annotated[int, Field(ge=0, le=INT64_MAX)]
OwnId = Annotated[int, Field(ge=1, le=HIGHEST_ID)]
Instant = Annotated[str, AfterValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})]


class Asked(BaseModel):
    """A body or a query: nothing in it that is not known, and nothing turned into something else."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


def _one_ticket(schema: JsonDict) -> None:
    given: list[JsonDict] = [
        {"required": [name], "properties": {name: {"type": "string"}}} for name in ("ticket_number", "ticket_link")
    ]
    schema["oneOf"] = [*given]


class RegisterLink(Asked):
    """A ticket and the thread that its replies go to."""

    model_config = ConfigDict(json_schema_extra=_one_ticket)

    api: Annotated[Line, Field(description="The api, as in [api.NAME].")]
    customer_id: Annotated[Id, Field(description="The customer's id in the Open API.")]
    thread_id: Annotated[Id, Field(description="The thread's id in the Open API.")]
    system: Annotated[Line, Field(description="The ticketing system, as in [systems.NAME].")]
    ticket_number: Annotated[Line | None, Field(description="What people quote.")] = None
    ticket_link: Annotated[Address | None, Field(description="The ticket's web address, instead of its number.")] = None
    begin: Annotated[
        Literal["now", "start"] | Instant,
        Field(alias="from", description="Replies from then on are new: `now`, `start` (all of them), or an instant."),
    ] = "now"

    @model_validator(mode="after")
    def _names_one_ticket(self) -> "RegisterLink":
        if (self.ticket_number is None) == (self.ticket_link is None):
            raise ValueError("name the ticket by ticket_number or by ticket_link, one of them")
        return self


class ResumeLink(Asked):
    """Whether a link goes on with the ticket that its own was merged into."""

    follow: bool = False
    reason: Reason = "resumed"


class Because(Asked):
    """Why something is decided."""

    reason: Reason


class Resume(Asked):
    """Why it goes on."""

    reason: Reason = "resumed"


class Resolve(Asked):
    """What somebody decided who has looked into the thread: is the communication there, or not."""

    resolution: Annotated[
        Resolution,
        Field(description="`delivered`: it is there. `resend`: it is not, send it again. `skip`: leave it either way."),
    ]
    reason: Reason


class Edit(Asked):
    """What is sent in place of what was refused, or could not be made. What is left out stays as it is."""

    subject: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = None
    content: Annotated[str, StringConstraints(min_length=1, max_length=500_000)] | None = None
    direction: Annotated[Direction | None, Field(description="For one that could not be mapped: whose it is.")] = None
    reason: Reason

    @model_validator(mode="after")
    def _changes_something(self) -> "Edit":
        if self.subject is None and self.content is None and self.direction is None:
            raise ValueError("nothing to change: say subject, content or direction")
        return self


class Poll(Asked):
    """What is read now: a system, a ticket, or everything."""

    system: Annotated[Line | None, Field(description="The ticketing system; else all of them.")] = None
    ticket: Annotated[Address | None, Field(description="This ticket alone: its number, link or id.")] = None


class Backfill(Asked):
    """What is collected though it is older than its link: all of a system, or some tickets."""

    system: Annotated[Line | None, Field(description="The ticketing system; else all of them.")] = None
    tickets: Annotated[
        list[Address], Field(max_length=1000, description="These tickets alone: their numbers, links or ids.")
    ] = []
    since: Annotated[Instant | None, Field(description="Replies from then on.")] = None
    until: Annotated[Instant | None, Field(description="Replies up to then.")] = None
    first_message: Annotated[
        bool, Field(description="The first messages too; whoever made a thread has usually put them there.")
    ] = False
    dry_run: Annotated[bool, Field(description="Read and count, and send nothing.")] = False


class _Page(Asked):
    limit: Annotated[int, Field(ge=1, le=LONGEST_PAGE, description="So many at most.")] = 100
    after: Annotated[OwnId | None, Field(description="What the last page gave as `next`; the first page has none.")] = (
        None
    )


class LinkQuery(_Page):
    """Which links."""

    ticket: Annotated[Address | None, Field(description="A ticket's number, link or id.")] = None
    api: Line | None = None
    customer_id: Id | None = None
    thread_id: Id | None = None
    system: Line | None = None
    state: LinkState | None = None


class DeliveryQuery(_Page):
    """Which deliveries."""

    state: DeliveryState | None = None
    api: Line | None = None
    system: Line | None = None
    ticket: Annotated[Address | None, Field(description="Those of the links to this ticket: number, link or id.")] = (
        None
    )
