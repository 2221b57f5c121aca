"""HubSpot's answers: pages of lists, refusals, and how long it wants to be left alone. No I/O.

https://developers.hubspot.com/docs/api-reference/error-handling
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

from syncd.model.errors import PauseSystem, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import Unavailability, Unavailable
from syncd.sources.adapter import Response
from syncd.sources.records import Record, record_of

UNAVAILABLE = {403: Unavailability.FORBIDDEN, 404: Unavailability.GONE}
LATER = frozenset({423, 429, 477})  # locked, too many requests, an account that is being moved
WAIT_SECONDS = 10.0  # the window of the shorter limit
DAY_WAIT_SECONDS = 3600.0  # for the daily limit, where its end is not known
LONGEST_WAIT_SECONDS = 86_400.0
ABOUT_SCOPES = (
    "the app needs the scopes tickets (or crm.objects.tickets.read) and conversations.read, and an account that has "
    "conversations; mend it, then resume the system"
)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, the token of the next one, and when it was answered, by HubSpot's clock."""

    records: list[Record]
    after: str | None
    answered_at: datetime | None


def stamp(instant: datetime) -> str:
    """Return an instant as HubSpot writes it: milliseconds, in UTC."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def answer_of(response: Response) -> Record:
    """Return the object in an answer.

    Raises:
        UnexpectedAnswer: none, or an error though the status is a good one.
    """
    record = record_of(response)
    if record.raw("status") == "error":
        raise UnexpectedAnswer(f"{response.path} answered {response.status} with an error inside")
    return record


def page_of(response: Response) -> Page:
    """Return a page. Its next token is sent on as it was before somebody encoded it for an address."""
    answer = answer_of(response)
    paging = answer.find_record("paging")
    following = paging.find_record("next") if paging is not None else None
    after = None if following is None else unquote(following.get_key("after"))
    return Page(answer.get_records("results"), after, response.answered_at)


def find_ticket_id(thread: Record) -> str | None:
    """Return the ticket that a thread names, if it names one."""
    associations = thread.find_record("threadAssociations")
    return None if associations is None else associations.find_key("associatedTicketId")


def raise_unavailable(response: Response, ticket_id: str) -> None:
    """Raise TicketUnavailable if an answer refuses a ticket, and PauseSystem if it refuses us."""
    if response.status in UNAVAILABLE:
        if insist_on_theirs(response).raw("category") == "MISSING_SCOPES":
            raise PauseSystem(f"HubSpot refuses {response.path}: {ABOUT_SCOPES}")
        raise TicketUnavailable(Unavailable(ticket_id, UNAVAILABLE[response.status]))


def insist_on_theirs(response: Response) -> Record:
    """Return the refusal if it bears HubSpot's marks: a proxy has a 403 and a 404 too.

    Raises:
        UnexpectedAnswer: it is somebody else's, and says nothing about what was asked for.
    """
    record = record_of(response)
    if "correlationId" not in record:
        raise UnexpectedAnswer(f"{response.path} answered {response.status}, but not as HubSpot does: check base_url")
    return record


def wait_seconds(response: Response, local_time: datetime | None) -> float:
    """Return for how long HubSpot wants to be left alone; `local_time` is the account's own.

    The limit of a day begins anew at midnight in the account's time zone.
    https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
    """
    if _is_daily(response):
        if local_time is None:
            return DAY_WAIT_SECONDS
        midnight = local_time.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return (midnight - local_time).total_seconds()
    for name, parts in (("Retry-After", 1), ("X-HubSpot-RateLimit-Interval-Milliseconds", 1000)):
        text = response.headers.get(name, "")
        if text.isascii() and text.isdecimal():
            return min(float(text[:12]) / parts, LONGEST_WAIT_SECONDS)
    return WAIT_SECONDS


def _is_daily(response: Response) -> bool:
    try:
        return response.status == 429 and record_of(response).raw("policyName") == "DAILY"
    except UnexpectedAnswer:
        return False
