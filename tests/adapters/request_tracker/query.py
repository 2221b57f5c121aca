"""The query languages of the stand-in: as much of RT's TicketSQL, TransactionSQL and JSON searches as has traps."""

import json
import re
from datetime import UTC, datetime, timedelta

_TOKEN = re.compile(r"\s*(?:(\(|\))|(AND|OR)\b|([A-Za-z]+)\s*(>=|<=|!=|=|>|<)\s*('(?:[^'\\]|\\.)*'|\d+))")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BadQuery(Exception):
    """What RT answers 400 to."""


def by_sql(query, fields, zone):
    """Return a predicate for rows; `fields` tells how a row's field is read, `zone` is that of the account."""
    tokens, position = [], 0
    while position < len(query.rstrip()):
        match = _TOKEN.match(query, position)
        if match is None:
            raise BadQuery(f"Incomplete query near {query[position : position + 20]!r}")
        tokens.append(match.groups())
        position = match.end()
    predicate, rest = _any_of(tokens, fields, zone)
    if rest:
        raise BadQuery("Incomplete query, last element is not close paren or value")
    return predicate


def _any_of(tokens, fields, zone):
    left, tokens = _all_of(tokens, fields, zone)
    while tokens and tokens[0][1] == "OR":
        right, tokens = _all_of(tokens[1:], fields, zone)
        left = _either(left, right)
    return left, tokens


def _all_of(tokens, fields, zone):
    left, tokens = _one(tokens, fields, zone)
    while tokens and tokens[0][1] == "AND":
        right, tokens = _one(tokens[1:], fields, zone)
        left = _both(left, right)
    return left, tokens


def _either(left, right):
    return lambda row: left(row) or right(row)


def _both(left, right):
    return lambda row: left(row) and right(row)


def _one(tokens, fields, zone):
    if not tokens:
        raise BadQuery("Incomplete query, last element is not close paren or value")
    (paren, _, field, operator, value), *rest = tokens
    if paren == "(":
        inner, rest = _any_of(rest, fields, zone)
        if not rest or rest[0][0] != ")":
            raise BadQuery("Incomplete query, a paren is open")
        return inner, rest[1:]
    if field not in fields:
        raise BadQuery(f"Unknown field: {field}")
    text = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith("'") else value
    return _compare(fields[field], operator, text, zone), rest


def _compare(read, operator, text, zone):
    def compare(row):
        value = read(row)
        if isinstance(value, datetime):
            return _compare_times(value, operator, read_time(text, zone))
        if isinstance(value, int):
            return _holds(value, operator, int(text))
        return _holds(value, operator, text)

    return compare


def _compare_times(value, operator, wanted):
    if operator == "=":
        return wanted <= value < wanted + timedelta(days=1)
    return _holds(value, operator, wanted)


def _holds(value, operator, wanted):
    return {
        "=": value == wanted,
        "!=": value != wanted,
        ">": value > wanted,
        "<": value < wanted,
        ">=": value >= wanted,
        "<=": value <= wanted,
    }[operator]


def read_time(text, zone):
    """Read a time as RT does: in the account's zone, an ISO time cut to its day, nonsense as 1970."""
    for pattern, form in ((r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", "%Y-%m-%d %H:%M:%S"), (r"\d{4}-\d\d-\d\d", "%Y-%m-%d")):
        if match := re.match(pattern, text):
            return datetime.strptime(match[0], form).replace(tzinfo=zone).astimezone(UTC)
    return _EPOCH


def by_json(text, fields):
    """Return a predicate for a JSON search: fields that RT does not know are left out without a word."""
    wanted = {}
    for limit in json.loads(text):
        if limit["field"] in fields:
            values = limit["value"] if limit.get("operator") == "IN" else [limit["value"]]
            wanted.setdefault(limit["field"], set()).update(map(str, values))
    return lambda row: all(str(fields[field](row)) in values for field, values in wanted.items())
