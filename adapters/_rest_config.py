"""The settings of `rest`, table by table: what to ask, and what the answers mean."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from adapters._rest_expressions import (
    Expression,
    LinkPattern,
    Pattern,
    Table,
    TimeFormat,
    Times,
    VisibleExpression,
    Zone,
    check_template,
    mistake,
    places_in,
)
from syncd.model.communication import Channel, ThreadStatus
from syncd.model.ticket import AuthorKind, BodyFormat

Param = str | bool | int
Params = dict[str, Param | list[Param]]
Status = Annotated[int, Field(ge=300, le=599)]


class TimesOptions(Table):
    """How times are written."""

    format: TimeFormat = Field("iso", description="In answers: iso, epoch, epoch_ms, or a strptime format.")
    zone: Zone = Field("UTC", description="Zone of times in answers that carry none.")
    asked_format: TimeFormat | None = Field(None, description="The same for {since} in questions.")
    asked_zone: Zone | None = Field(None, description="Zone that {since} is written in.")

    @property
    def answered(self) -> Times:
        """Return how times in answers are read."""
        return Times(self.format, self.zone)

    @property
    def asked(self) -> Times:
        """Return how times in questions are written."""
        return Times(self.asked_format or self.format, self.asked_zone or self.zone)


class PagingOptions(Table):
    """How a list goes on."""

    kind: Literal["none", "link_header", "next_address", "cursor", "page_number", "offset"] = Field(
        "none", description="Where the next page is found."
    )
    next: Expression | None = Field(None, description="Gives the next address or cursor, nothing on the last page.")
    parameter: str = Field("", description="Parameter of the page's number, offset or cursor.")
    first: int = Field(1, ge=0, description="Number of the first page.")
    size: int | None = Field(None, ge=1, description="Rows that are asked for.")
    size_parameter: str = Field("", description="Parameter that asks for so many rows.")
    total: Expression | None = Field(None, description="Gives how many rows the whole list has; else read till empty.")
    more: Expression | None = Field(None, description="Gives true if there is another page, false on the last one.")
    short_page_ends: bool = Field(False, description="A page with fewer rows than size is the last one.")
    past_the_end: frozenset[Status] = Field(frozenset(), description="Statuses of a page past the end.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        counted, named = self.kind in {"page_number", "offset"}, self.kind in {"next_address", "cursor"}
        rules = [self.total is not None, self.more is not None, self.short_page_ends]
        checks = (
            (named and self.next is None, f"kind {self.kind} needs next"),
            (not named and self.next is not None, f"kind {self.kind} has no use for next"),
            ((counted or self.kind == "cursor") and not self.parameter, f"kind {self.kind} needs parameter"),
            (bool(self.size_parameter) and self.size is None, "size_parameter needs size"),
            (self.short_page_ends and self.size is None, "short_page_ends needs size"),
            (any(rules) and not counted, "total, more and short_page_ends are for page_number and offset"),
            (sum(rules) > 1, "give one of total, more and short_page_ends"),
        )
        for wrong, what in checks:
            if wrong:
                raise mistake(what)
        return self


class Request(Table):
    """A GET: its path below base_url, and parameters; both may have places to be filled in."""

    places: ClassVar[frozenset[str]] = frozenset()

    path: str = Field(description="Path below base_url.")
    params: Params = Field({}, description="Parameters; a list repeats one.")

    @field_validator("path")
    @classmethod
    def _below(cls, path: str) -> str:
        odd = any(char in path for char in "?#\\") or not path.isprintable()
        if odd or not path.startswith("/") or path.startswith("//") or ".." in path.split("/"):
            raise mistake("must be a path that begins with /, without a query (that belongs in params) and without ..")
        return check_template(path, cls.places)

    @field_validator("params")
    @classmethod
    def _fillable(cls, params: Params) -> Params:
        for value in params.values():
            for one in value if isinstance(value, list) else [value]:
                check_template(str(one), cls.places)
        return params

    @property
    def places_used(self) -> set[str]:
        """Return the places that are filled in, anywhere in it."""
        values = [one for value in self.params.values() for one in (value if isinstance(value, list) else [value])]
        return places_in(self.path).union(*(places_in(str(one)) for one in values))


class CheckOptions(Request):
    """Who we are."""

    account: Expression | None = Field(None, description="Gives the name of the account.")
    require: Expression | None = Field(None, description="Must give true, else the system pauses.")


class FindTicket(Request):
    """One ticket: its record in the answer, or a list that it is looked for in."""

    record: Expression | None = Field(None, description="Gives the record of the ticket; @ is the whole answer.")
    rows: Expression | None = Field(None, description="Gives a list of records, of a search; none is no ticket.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.record is None) == (self.rows is None):
            raise mistake("give record or rows, one of them")
        return self


class FindById(FindTicket):
    """One ticket by its id."""

    places = frozenset({"id"})


class FindByNumber(FindTicket):
    """One ticket by its number."""

    places = frozenset({"number"})


class FindByIds(Request):
    """Many tickets, or many replies, at once."""

    places = frozenset({"ids"})

    rows: Expression = Field(description="Gives the list of records.")
    join: str | None = Field(None, description="Text between the ids; without it their parameter is repeated.")
    at_once: int = Field(50, ge=1, le=1000, description="How many ids one request asks for.")

    @model_validator(mode="after")
    def _holds_ids(self) -> Self:
        if "ids" not in self.places_used:
            raise mistake("needs the place {ids} in path or params")
        if "ids" in places_in(self.path) and self.join is None:
            raise mistake("needs join: ids in a path cannot be repeated")
        return self


class TicketFields(Table):
    """JMESPath on the record of a ticket."""

    id: Expression = Field(description="The stable key.")
    number: Expression = Field(description="What people quote.")
    link: Expression | None = Field(None, description="The address for people; or use link_template.")
    link_template: str = Field("", description="The address, with places {base_url}, {id} and {number}.")
    subject: Expression | None = Field(None, description="The subject.")
    status: Expression | None = Field(None, description="A word, looked up in ticket.statuses.")
    assignee: Expression | None = Field(None, description="Name of the agent in charge.")
    updated_at: Expression | None = Field(None, description="Time of the last change.")

    @field_validator("link_template")
    @classmethod
    def _fillable(cls, text: str) -> str:
        return check_template(text, frozenset({"base_url", "id", "number"}))


class UnavailableOptions(Table):
    """What an answer that is no ticket means."""

    gone: frozenset[Status] = Field(frozenset({404, 410}), description="Statuses of a ticket that is not there.")
    forbidden: frozenset[Status] = Field(frozenset({403}), description="Statuses of a ticket that may not be seen.")
    told_by: Expression | None = Field(
        None, description="Must give true on the body (JSON, or a text), else it is a failure."
    )


class TicketOptions(Table):
    """How tickets are named, found and read."""

    number_pattern: Pattern = Field(r"#?(?P<number>\d{1,18})", description="What a number looks like, as a whole.")
    link_pattern: LinkPattern = Field(description="Finds (?P<number>...) or (?P<id>...) in path?query#fragment.")
    hint: str = Field("write its number, or its link", description="How tickets are named, for people.")
    by_id: FindById = Field(description="How a ticket is asked for by its id.")
    by_number: FindByNumber | None = Field(None, description="The same by its number, if that is not its id.")
    by_ids: FindByIds | None = Field(None, description="How many tickets are asked for at once.")
    fields: TicketFields = Field(description="What the record of a ticket means.")
    statuses: dict[str, ThreadStatus] = Field({}, description="Word of a status -> CREATED, ONGOING or CLOSED.")
    gone: Expression | None = Field(None, description="Gives true for a ticket that counts as deleted.")
    merged_into: Expression | None = Field(None, description="Gives the id of the ticket it was merged into.")
    unavailable: UnavailableOptions = Field(UnavailableOptions(), description="Statuses in the place of a ticket.")


class AttachmentFields(Table):
    """Files of a reply: `list` on its record, the others on each entry."""

    list: Expression = Field(description="Gives the list.")
    name: Expression = Field(description="Name of the file.")
    size: Expression | None = Field(None, description="Bytes.")
    media_type: Expression | None = Field(None, description="Type of the content.")
    link: Expression | None = Field(None, description="Its address.")


class ReplyFields(Table):
    """JMESPath on the record of a reply, which has the record of its ticket beside it under `_ticket`."""

    id: Expression = Field(description="The stable key, unique in the system.")
    author: Expression | None = Field(None, description="Name of who wrote it.")
    author_kind: Expression | None = Field(None, description="A word, looked up in replies.author_kinds.")
    public: VisibleExpression = Field(description="Must give exactly true, else the reply is internal.")
    body: Expression = Field(description="The text.")
    body_format: Expression | None = Field(None, description="A word, looked up in replies.body_formats; else text.")
    channel: Expression | None = Field(None, description="A word, looked up in replies.channels.")
    created_at: Expression = Field(description="Time it was written.")
    edited_at: Expression | None = Field(None, description="Time of the last edit.")
    subject: Expression | None = Field(None, description="A subject of its own.")
    first_message: Expression | None = Field(None, description="Gives true for the ticket's first message.")
    written_on: Expression | None = Field(None, description="Id of the ticket it was written on, before a merge.")
    attachments: AttachmentFields | None = Field(None, description="Files.")


Order = Literal["oldest_first", "newest_first", "unsorted"]


class ReplyOptions(Request):
    """Where replies are (in the record of their ticket, in a list of their own, or by ids) and what they mean."""

    places = frozenset({"id", "number", "since"})

    path: str = Field("", description="Path of the list of replies; none if the record of the ticket holds them.")
    rows: Expression | None = Field(None, description="Gives the list, of the answer or of the ticket's record.")
    paging: PagingOptions = Field(PagingOptions(), description="How the list goes on.")
    order: Order = Field("oldest_first", description="In which order the list is.")
    ids: Expression | None = Field(None, description="Gives the ids of the replies, of the ticket's record.")
    by_ids: FindByIds | None = Field(None, description="How replies are asked for by their ids.")
    skip: Expression | None = Field(None, description="Gives true for a record that is no reply.")
    oldest_is_first: bool = Field(True, description="The oldest of all replies is the ticket's first message.")
    fields: ReplyFields = Field(description="What the record of a reply means.")
    first: ReplyFields | None = Field(None, description="The first message, if it is part of the ticket's record.")
    author_kinds: dict[str, AuthorKind] = Field({}, description="Word -> customer, agent, system or unknown.")
    body_formats: dict[str, BodyFormat] = Field({}, description="Word -> text, html or markdown.")
    channels: dict[str, Channel] = Field({}, description="Word -> channel of the Open API, such as EMAIL.")

    @field_validator("path")
    @classmethod
    def _below(cls, path: str) -> str:
        if "{since}" in path:
            raise mistake("cannot hold {since}, which is left out where everything is asked for; it belongs in params")
        return super()._below(path) if path else path

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        by_ids = self.ids is not None and self.by_ids is not None
        if (self.ids is None) != (self.by_ids is None):
            raise mistake("ids and by_ids belong together")
        if by_ids == (self.rows is not None) or (by_ids and self.path):
            raise mistake("give rows (with path for a list of its own), or ids with by_ids")
        if not self.path and (self.params or self.paging.kind != "none"):
            raise mistake("params and paging are for a list of its own: give path")
        return self


class ChangeOptions(Request):
    """A list of what changed: of tickets, or of replies with the ids of their tickets."""

    places = frozenset({"since"})

    about: Literal["tickets", "replies"] = Field("tickets", description="What its records are.")
    rows: Expression = Field(description="Gives the list of records.")
    paging: PagingOptions = Field(PagingOptions(), description="How the list goes on.")
    order: Order = Field("oldest_first", description="By time; newest_first is read back to what is known.")
    overlap_seconds: float = Field(60, ge=1, le=86_400, description="How late the list may tell of a change.")
    ticket_id: Expression | None = Field(None, description="Gives the ticket's id; else as ticket.fields.id.")
    changed_at: Expression | None = Field(None, description="Gives the time; else as ticket.fields.updated_at.")
    replies: Expression | None = Field(None, description="Gives ALL replies of the ticket, if its record holds them.")

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.order != "newest_first" and "since" not in self.places_used:
            raise mistake("needs the place {since} in path or params, or order newest_first")
        if self.about == "replies" and (self.ticket_id is None or self.changed_at is None):
            raise mistake("a list of replies needs ticket_id and changed_at")
        if self.about == "replies" and self.replies is not None:
            raise mistake("a list of replies has no replies inside; leave that key out")
        return self
