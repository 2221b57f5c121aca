"""What the control API answers, as models that describe it. The values are those of the commands' --json.

Whoever reads an answer has to expect more keys than these: new ones may come with every version.
"""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from syncd.model.communication import Channel, Direction, ThreadStatus
from syncd.model.delivery import DeliveryKind, DeliveryState
from syncd.model.link import Cause, LinkState
from syncd.store.requests import RequestKind, RequestState


class Told(BaseModel):
    """An answer."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Problem(Told):
    """One mistake in what was sent: where, and what is wrong there."""

    place: str
    message: str


class Failure(Told):
    """What went wrong, in a sentence; `problems` are the single mistakes of a body or a query."""

    error: str
    problems: list[Problem] = []


class LinkTold(Told):
    """A link, what is known of its ticket, and how its deliveries stand."""

    id: int
    api: str
    customer_id: int
    thread_id: int
    system: str
    ticket_number: str | None
    ticket_link: str | None
    ticket_id: str | None
    state: LinkState
    cause: Cause | None
    reason: str | None
    merged_into: str | None
    begin: Annotated[datetime, Field(alias="from")]
    registered_at: datetime
    collected_at: datetime | None
    newest_reply_at: datetime | None
    vendor_status: str | None
    status: ThreadStatus | None
    status_sent: ThreadStatus | None
    failures: int
    deliveries: Annotated[dict[DeliveryState, int], Field(description="How many there are by state.")]


class LinksTold(Told):
    """Some links, newest first. `next` goes into `after` for those that follow; null at the end."""

    links: list[LinkTold]
    next: int | None


class RemovedTold(Told):
    """A removed link, and how many of its deliveries were waiting and are skipped now."""

    link: LinkTold
    skipped: int


class RequestTold(Told):
    """Something that the owner of a system was asked for, and how far it has come."""

    id: int
    kind: RequestKind
    system: str
    arguments: dict[str, Any]
    state: RequestState
    progress: dict[str, Any]
    result: dict[str, Any]
    who: str
    requested_at: datetime | None


class RequestsTold(Told):
    """What was asked for, one request for each system; `left_out` are the paused systems, with the reasons."""

    requests: list[RequestTold]
    left_out: dict[str, str]


class DeliveryTold(Told):
    """A communication on its way, without its contents."""

    id: int
    kind: DeliveryKind
    link_id: int
    api: str
    customer_id: int
    thread_id: int
    system: str
    ticket_number: str | None
    reply_id: str | None
    state: DeliveryState
    reason: str | None
    attempts: int
    created_at: datetime
    communication_id: int | None


class DeliveriesTold(Told):
    """Some deliveries, newest first. `next` goes into `after` for those that follow; null at the end.

    A page may have fewer than were asked for, or none, though others follow.
    """

    deliveries: list[DeliveryTold]
    next: int | None


class AttemptTold(Told):
    """One try, with what is known of it."""

    id: int
    number: int
    reason: str
    started_at: datetime
    reached: str | None
    http_status: int | None
    outcome: str | None
    error_text: str | None
    error_code: str | None
    trace_id: str | None
    duration_ms: int | None
    request_bytes: int | None
    answer_bytes: int | None


class DecisionTold(Told):
    """What somebody decided."""

    at: datetime
    who: str
    action: str
    reason: str


class MessageTold(Told):
    """The contents of a delivery."""

    subject: str
    content: str
    direction: Direction
    channel: Channel
    occurred_at: datetime
    agent: str | None
    ticket_number: str | None
    ticket_link: str | None
    flags: list[str]


class EvidenceTold(Told):
    """What is known about a delivery that waits for a decision, and what each decision risks."""

    why: str
    because: str
    reached: str | None
    reached_means: str
    came_back: str
    http_status: int | None
    error_code: str | None
    trace_id: str | None
    error_text: str | None
    seconds_waited: float | None
    at_utc: datetime
    at_local: datetime
    api_in_that_minute: dict[str, int] | None
    api_now: dict[str, Any]
    api_decisions: list[dict[str, Any]]
    sent_before: list[dict[str, Any]]
    sent_after: list[dict[str, Any]]
    look_for: dict[str, Any]
    risks: dict[str, str]


class DeliveryInFullTold(DeliveryTold):
    """A communication on its way, with its contents, its attempts, and what is known about it."""

    attempts: list[AttemptTold]  # type: ignore[assignment]  # in a list it is their number, as the command has it
    attempt_count: int
    occurred_at: datetime
    due_at: datetime
    flags: list[str]
    status_carried: str | None
    message: MessageTold | None
    decisions: list[DecisionTold]
    evidence: EvidenceTold | None


class ApiTold(Told):
    """A target of the Open API: whether it is sent to, and why not."""

    name: str
    state: str
    mode: str | None
    pending: int
    cause: str | None
    reason: str | None
    since_at: datetime | None
    retry_at: datetime | None
    throttled_until: datetime | None
    released_at: datetime | None
    last_success_at: datetime | None


class ApisTold(Told):
    """Every api."""

    apis: list[ApiTold]


class SystemTold(Told):
    """A ticketing system: whether it is polled, and why not."""

    name: str
    adapter: str
    state: str
    paused_by: str | None
    reason: str | None
    since_at: datetime | None
    retry_at: datetime | None
    failures: int
    last_success_at: datetime | None
    last_full_sweep_at: datetime | None
    full_sweep_found: int | None
    full_sweep_seconds: int | None


class SystemsTold(Told):
    """Every system."""

    systems: list[SystemTold]


class StatusTold(Told):
    """How everything stands, as `syncd status --json` has it."""

    systems: dict[str, SystemTold]
    apis: dict[str, ApiTold]
    links: dict[LinkState, int]
    deliveries: dict[DeliveryState, int]
    oldest_pending_seconds: int | None
    withheld: int
    workers: list[dict[str, Any]]
    requests: list[dict[str, Any]]
    needs_person: list[str]
