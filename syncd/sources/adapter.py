"""THE interface: what an adapter is, what it is given, and what it yields.

An adapter turns one kind of ticketing system into values. It is handed its validated options and an `Http` that
already applies the base address, authentication, pace, timeouts, retries of reads, size caps and redaction. It
never sees the database, the scheduler, the clock of the process or the Open API.

A minimal adapter: a config class (subclass of `AdapterConfig`), then the adapter class. See
docs/writing-an-adapter.md; `syncd.testing.in_memory` is the model to copy and `syncd.testing.AdapterContract` the suite
that every adapter passes.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from syncd.model.errors import UnexpectedAnswer
from syncd.model.ticket import ChangePage, Cursor, Identity, Reply, Ticket, TicketRef, Unavailable
from syncd.sources.body import parse_json
from syncd.sources.trial import TriedField, tried_fields
from syncd.sources.webhook import Webhook


class Capability(StrEnum):
    """What a vendor can do beyond reading one ticket after the other."""

    CHANGE_FEED = "change_feed"
    BULK_TICKETS = "bulk_tickets"
    BULK_REPLIES = "bulk_replies"


class AdapterConfig(BaseModel):
    """The options of one system, `[systems.NAME.options]`: strict, unknown keys refused, secrets as SecretStr.

    Every adapter has a `base_url`. Describe each field: the descriptions become the documentation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    base_url: str = Field(description="Address of the ticketing system, https; plain http on loopback alone.")


@dataclass(frozen=True, slots=True)
class HeaderAuthentication:
    """A header with a secret: `Authorization: <scheme> <secret>`, or a header of the vendor's own."""

    secret: SecretStr
    header: str = "Authorization"
    scheme: str = ""


@dataclass(frozen=True, slots=True)
class BasicAuthentication:
    """HTTP Basic with a user name and a secret; the name often is somebody's address, and is not shown either."""

    user: str = field(repr=False)
    secret: SecretStr


@dataclass(frozen=True, slots=True)
class ParameterAuthentication:
    """Secrets in the query of every request: for vendors that take them nowhere else, as servers log their queries."""

    parameters: Mapping[str, str | SecretStr]


@dataclass(frozen=True, slots=True)
class TokenAuthentication:
    """OAuth 2: a token is fetched from `path`, kept, and fetched anew before it ends or on 401.

    `form` holds what the vendor wants beside client_id and client_secret (such as grant_type and scope), and
    `secret_form` what of it is secret (a refresh token, a password); both are sent as JSON if `as_json`, else as a
    form. `base_url` is where tokens are given out, if that is another host (a setting of the operator's, never an
    address that a vendor named). The token goes out as `Authorization: <scheme> <token>`.
    """

    path: str
    client_id: str
    client_secret: SecretStr
    form: Mapping[str, str | int] = field(default_factory=lambda: {"grant_type": "client_credentials"})
    secret_form: Mapping[str, SecretStr] = field(default_factory=dict)
    as_json: bool = False
    scheme: str = "Bearer"
    base_url: str = ""


@dataclass(frozen=True, slots=True)
class SessionAuthentication:
    """A session that one request opens, and that every other request carries in a header or in a parameter.

    It is opened by a GET of `path` with `headers`, or by a POST of `form` as JSON; the answer holds it under
    `answer_key`. It is opened anew on 401, and on an answer that `is_over` recognises (some vendors say so with 200).
    """

    path: str
    answer_key: str
    headers: Mapping[str, SecretStr] = field(default_factory=dict)
    form: Mapping[str, str | SecretStr] | None = None
    header: str = ""
    parameter: str = ""
    is_over: "Callable[[Response], bool]" = lambda _: False


Authentication = (
    HeaderAuthentication | BasicAuthentication | ParameterAuthentication | TokenAuthentication | SessionAuthentication
)


@dataclass(frozen=True, slots=True)
class Connection:
    """What the core needs to build an adapter's `Http`.

    `requests_per_minute` is the pace the vendor can bear (the settings may override it); `concurrency` how many
    requests may be under way at once; `budgets` are slower paces of their own for paths that begin with the key.
    `headers` go with every request, and so do `secret_headers`, which no message may hold.
    """

    base_url: str
    authentication: Authentication
    requests_per_minute: float
    concurrency: int = 4
    headers: Mapping[str, str] = field(default_factory=dict)
    budgets: Mapping[str, float] = field(default_factory=dict)
    secret_headers: Mapping[str, SecretStr] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer that was expected: its status, headers (any case) and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    path: str = ""

    @property
    def answered_at(self) -> datetime | None:
        """Return when the vendor made the answer, by its own clock (the `Date` header), or None if it does not tell."""
        try:
            instant = parsedate_to_datetime(self.headers.get("Date", ""))
            return (instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            return None

    def json(self) -> Any:
        """Return the parsed JSON body.

        Raises:
            UnexpectedAnswer: the body is not JSON; the message names the path and the kind of body, not its text.
        """
        return parse_json(self.body, self.headers.get("Content-Type", ""), self.path)


class Http(Protocol):
    """The HTTP that an adapter is given. Paths are relative to the base address; other hosts cannot be named.

    Before it returns or raises it has: waited for the pace, retried connection failures, 429, 500, 502, 503 and 504
    of reads a few times (honouring Retry-After), capped the size of the body, and refused redirects.

    Raises:
        PauseSystem: 401, a redirect, a certificate that does not fit: a person must mend the settings.
        RetryLater: 429 and what failed after its retries; carries the wait that the vendor asked for.
        Refused: any other status that is neither 2xx nor in `expect`.
    """

    async def get(
        self,
        path: str,
        *,
        params: Mapping[str, str | int] | Sequence[tuple[str, str | int]] | None = None,
        headers: Mapping[str, str] | None = None,
        expect: Collection[int] = (),
    ) -> Response:
        """Read `path`. `params` are encoded here; statuses in `expect` are returned instead of raised."""
        ...

    async def post(
        self,
        path: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        params: Mapping[str, str | int] | Sequence[tuple[str, str | int]] | None = None,
        headers: Mapping[str, str] | None = None,
        expect: Collection[int] = (),
    ) -> Response:
        """Read by POST, for vendors whose searches need it. It is retried like a read: never write with it."""
        ...


ConfigT = TypeVar("ConfigT", bound=AdapterConfig)


class Adapter(ABC, Generic[ConfigT]):
    """One kind of ticketing system.

    Class attributes declare what the core must know before any request:

    - `config`: the options class.
    - `capabilities`: which of the optional ways this vendor has.
    - `title` and `documentation`: the vendor's name for people, and the address of its API documentation.
    - `permissions`: the least permissions that the credentials need, in the vendor's words.
    - `webhook`: what its webhooks look like, if it has any; they only hasten the reading of a ticket.

    Failures have names (syncd.model.errors): RetryLater, PauseSystem, TicketUnavailable, InvalidTicketRef. Anything
    else is a bug that fails its ticket and never the sweep. A vendor that answers 200 with an error inside has
    failed: raise, never yield nothing. A reply whose visibility cannot be read is INTERNAL.
    """

    config: ClassVar[type[AdapterConfig]]
    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    title: ClassVar[str]
    documentation: ClassVar[str]
    permissions: ClassVar[str]
    webhook: ClassVar[Webhook | None] = None

    def __init__(self, options: ConfigT, http: Http, link_hosts: Collection[str] = ()) -> None:
        self.options = options
        self.http = http
        self.link_hosts = frozenset(host.lower() for host in link_hosts)

    @classmethod
    @abstractmethod
    def connection(cls, options: ConfigT) -> Connection:
        """Return the base address, the authentication and the pace for these options. No I/O."""

    @classmethod
    def described(cls, options: ConfigT) -> frozenset[Capability]:  # noqa: ARG003 - for adapters to override
        """Return the capabilities that these options leave. Override it where the options decide. No I/O."""
        return cls.capabilities

    @classmethod
    def described_webhook(cls, options: ConfigT) -> Webhook | None:  # noqa: ARG003 - for adapters to override
        """Return what webhooks look like with these options. Override it where the options decide. No I/O."""
        return cls.webhook

    @classmethod
    def warnings(cls, options: ConfigT) -> tuple[str, ...]:  # noqa: ARG003 - for adapters to override
        """Return what an operator should hear about these options (a credential that will end), if anything."""
        return ()

    @abstractmethod
    async def check(self) -> Identity:
        """Tell who we are signed in as and whether tickets can be seen. Changes nothing.

        Raises PauseSystem when the credentials are refused, or when the vendor answers as to an anonymous caller.
        """

    async def available(self) -> frozenset[Capability]:
        """Tell which of the described capabilities the signed-in account may use; the core asks once after `check`.

        Override it where a capability hangs on the account's permissions. Never more than `described`.
        """
        return self.described(self.options)

    @abstractmethod
    async def resolve(self, ref: TicketRef) -> Ticket:
        """Find a ticket by its number or link.

        A link is parsed (`syncd.sources.links.parse_ticket_link`), never followed: its host must be the configured
        one or one of `link_hosts`, and the host called is always the configured one.

        Raises:
            InvalidTicketRef: it cannot be a ticket of this system.
            TicketUnavailable: gone, forbidden, or merged into another.
        """

    @abstractmethod
    async def tickets(self, ids: Sequence[str]) -> list[Ticket | Unavailable]:
        """Return the state of each of these tickets, in any order; one that cannot be followed as `Unavailable`.

        With BULK_TICKETS one request serves many ids; else the adapter asks one by one.
        """

    @abstractmethod
    def replies(self, ticket: Ticket, since: datetime | None) -> AsyncIterator[Reply]:
        """Yield the replies of a ticket, oldest first, that were created at `since` or later (all if None).

        It may yield some older ones or the same again in another call, and must never miss one. The first message is a
        reply too (`first_message=True`). Internal notes are yielded and marked.
        """

    async def trial(self, ref: TicketRef) -> list[TriedField]:
        """Tell field by field what becomes of a ticket and its replies; for `syncd check --ticket`.

        Override it where the settings decide what a field is made of; then a field that fails stops no other.

        Raises:
            InvalidTicketRef, TicketUnavailable: as `resolve` does.
        """
        ticket = await self.resolve(ref)
        tried = tried_fields("ticket", ticket)
        number = 0
        async for reply in self.replies(ticket, None):
            tried += tried_fields(f"replies[{number}]", reply)
            number += 1
        return tried

    def changes(self, start: Cursor | datetime) -> AsyncIterator[ChangePage]:
        """Yield pages of what changed (capability CHANGE_FEED), until the feed has nothing more for now.

        A datetime starts the feed there; a cursor goes on from it, with the overlap that this vendor needs. Each page
        carries the cursor that is safe once the page is stored. A page token that repeats is an UnexpectedAnswer.
        """
        raise UnexpectedAnswer(f"{type(self).__name__} has no change feed (asked from {start})")


class Refused(Exception):
    """The vendor answered a status that is not expected; the adapter may turn it into a named failure."""

    def __init__(self, status: int, path: str, excerpt: str = "") -> None:
        super().__init__(f"{path} answered {status}" + (f": {excerpt}" if excerpt else ""))
        self.status = status
        self.path = path
