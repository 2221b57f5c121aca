"""Which tickets the body of a webhook names. It is read with suspicion, and nothing but ids is taken out of it."""

from collections.abc import Callable, Iterator
from typing import Any

from syncd.model.errors import UnexpectedAnswer
from syncd.sources.body import parse_json
from syncd.sources.records import Record, records_in
from syncd.sources.webhook import HookRequest, Named

BODY = "the webhook"
TICKET_ID, TICKET_NUMBER = "ticket_id", "ticket_number"


def value_of(request: HookRequest) -> Any:
    """Return the JSON of a body; None if there is none, as of a call that only tries the address.

    Raises:
        UnexpectedAnswer: it is not JSON, or too deep.
    """
    if not request.body.strip():
        return None
    try:
        return parse_json(request.body, "", BODY)
    except UnexpectedAnswer:
        raise UnexpectedAnswer(f"{BODY} is not JSON; let the vendor send application/json") from None


def find_record_of(request: HookRequest) -> Record | None:
    """Return the JSON object of a body; None if there is no body.

    Raises:
        UnexpectedAnswer: it is anything else.
    """
    value = value_of(request)
    return None if value is None else Record(value, BODY)


def records_of(request: HookRequest) -> list[Record]:
    """Return the JSON objects of a body that is a list of them, or one alone.

    Raises:
        UnexpectedAnswer: it is anything else.
    """
    value = value_of(request)
    if value is None:
        return []
    return records_in(value, BODY) if isinstance(value, list) else [Record(value, BODY)]


def find_key_at(record: Record, path: str) -> str | None:
    """Return the id at a place such as `ticket.id`; None if there is none.

    Raises:
        UnexpectedAnswer: something else is there.
    """
    *outer, name = path.split(".")
    inside: Record | None = record
    for part in outer:
        inside = None if inside is None else inside.find_record(part)
    return None if inside is None else inside.find_key(name)


def named_at(*paths: str) -> Callable[[HookRequest], Named]:
    """Return a reader of the first of these places that holds an id; a body without any is about something else."""

    def read(request: HookRequest) -> Named:
        record = find_record_of(request)
        found = next(_keys_at(record, paths), None) if record is not None else None
        return Named() if found is None else Named(ids=frozenset({found}))

    return read


def named_by_operator(*paths: str) -> Callable[[HookRequest], Named]:
    """Return a reader of a body that an operator writes: `ticket_id`, the vendor's own places, or `ticket_number`.

    A body without any is a mistake of the operator's, which is said, and which the vendor's own log of webhooks shows.
    """
    places = (TICKET_ID, *paths)

    def read(request: HookRequest) -> Named:
        record = find_record_of(request)
        if record is None:
            return Named()
        if (found := next(_keys_at(record, places), None)) is not None:
            return Named(ids=frozenset({found}))
        if (number := record.find_key(TICKET_NUMBER)) is not None:
            return Named(numbers=frozenset({number}))
        raise UnexpectedAnswer(f"{BODY} names no ticket: it has none of {', '.join((*places, TICKET_NUMBER))}")

    return read


def _keys_at(record: Record, paths: tuple[str, ...]) -> Iterator[str]:
    for path in paths:
        key = find_key_at(record, path)
        if key is not None:
            yield key
