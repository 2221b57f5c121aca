"""The part of SOQL that the stand-in for Salesforce understands: one object, conditions, an order, and a limit.

It is strict where Salesforce is: strings have quotes and escapes, instants have none, and every field must be there.
"""

import re
from datetime import datetime
from functools import cmp_to_key

TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<at>\d{4}-\d\d-\d\dT[\d:.]+Z)|(?P<number>\d+)"
    r"|(?P<word>[A-Za-z_][\w.]*)|(?P<sign>>=|<=|!=|[(),=<>]))"
)
QUERY = re.compile(
    r"SELECT (?P<fields>[\w., ]+?) FROM (?P<kind>\w+)(?: WHERE (?P<where>.+?))?(?: ORDER BY (?P<order>[\w ,]+?))?"
    r"(?: LIMIT (?P<limit>\d+))?"
)


class Malformed(Exception):
    """Not understood; `code` is what Salesforce calls it."""

    def __init__(self, code, message=""):
        super().__init__(message or code)
        self.code = code


class Query:
    """A query, taken apart; `field(row, name)` tells what a row has, and raises for names that are not there."""

    def __init__(self, soql, field):
        match = QUERY.fullmatch(soql)
        if match is None:
            raise Malformed("MALFORMED_QUERY", soql)
        self.kind, self._field = match["kind"], field
        self.fields = [name.strip() for name in match["fields"].split(",")]
        self.limit = int(match["limit"]) if match["limit"] else None
        self.order = [part.split() for part in (match["order"] or "").split(",") if part.strip()]
        self._tokens = list(tokens_of(match["where"] or ""))
        self._condition = self._any() if self._tokens else bool
        if self._tokens:
            raise Malformed("MALFORMED_QUERY", "unexpected token")

    def run(self, rows):
        """Return the rows that fit, in order. Without an order they come as they please: backwards."""
        found = [row for row in rows if self._condition(row)]
        found.sort(key=lambda row: row["Id"], reverse=True)
        for name, *direction in reversed(self.order):
            found.sort(
                key=cmp_to_key(lambda a, b, name=name: compare(self._field(a, name), self._field(b, name))),
                reverse=direction == ["DESC"],
            )
        return found[: self.limit]

    def _any(self):
        parts = [self._all()]
        while self._take("OR"):
            parts.append(self._all())
        return lambda row: any(part(row) for part in parts)

    def _all(self):
        parts = [self._one()]
        while self._take("AND"):
            parts.append(self._one())
        return lambda row: all(part(row) for part in parts)

    def _one(self):
        if self._take("("):
            inner = self._any()
            self._need(")")
            return inner
        name, sign = self._next(), self._next()
        if sign == "IN":
            self._need("(")
            values = [self._value(name)]
            while self._take(","):
                values.append(self._value(name))
            self._need(")")
            return lambda row: self._field(row, name) in values
        value = self._value(name)
        if sign == "LIKE":
            pattern = re.compile(re.escape(value).replace("%", ".*"))
            return lambda row: bool(pattern.fullmatch(str(self._field(row, name))))
        return lambda row: fits(self._field(row, name), sign, value)

    def _value(self, name):
        kind, value = self._tokens.pop(0) if self._tokens else ("", None)
        wants_instant = name in {"SystemModstamp", "CreatedDate", "MessageDate", "LastModifiedDate"}
        if wants_instant != (kind == "at"):
            raise Malformed("INVALID_FIELD", f"value of filter criterion for field '{name}' must be of type dateTime")
        if kind == "word" and value == "null":
            return None
        if kind not in {"text", "at"}:
            raise Malformed("MALFORMED_QUERY", "unexpected token")
        return value

    def _next(self):
        if not self._tokens:
            raise Malformed("MALFORMED_QUERY", "unexpected end")
        return self._tokens.pop(0)[1]

    def _take(self, word):
        if self._tokens and self._tokens[0][1] == word and self._tokens[0][0] != "text":
            self._tokens.pop(0)
            return True
        return False

    def _need(self, word):
        if not self._take(word):
            raise Malformed("MALFORMED_QUERY", f"expecting {word}")


def tokens_of(text):
    """Yield the tokens of a condition, as pairs of kind and value."""
    place = 0
    while text[place:].strip():
        match = TOKEN.match(text, place)
        if match is None:
            raise Malformed("MALFORMED_QUERY", "unexpected token")
        place, kind = match.end(), match.lastgroup
        value = match[kind]
        if kind == "text":
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        yield kind, datetime.fromisoformat(value) if kind == "at" else value


def compare(one, other):
    """Compare two values; nothing comes first."""
    if one == other:
        return 0
    return -1 if one is None or (other is not None and one < other) else 1


def fits(one, sign, other):
    """Tell whether a value compares to another as a sign says; nothing is neither more nor less."""
    if sign in {"=", "!="}:
        return (one == other) == (sign == "=")
    if one is None or other is None:
        return False
    order = compare(one, other)
    return {">": order > 0, ">=": order >= 0, "<": order < 0, "<=": order <= 0}[sign]
