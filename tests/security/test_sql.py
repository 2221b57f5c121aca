"""Values reach the databases as bound parameters alone: no statement is put together from texts."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TAKES_SQL = frozenset(
    {"text", "execute", "executemany", "executescript", "exec_driver_sql", "literal_column", "fetch", "fetchval", "DDL"}
)
TAKES_TEXT_ALONE = frozenset({"text", "literal_column", "exec_driver_sql", "executescript", "DDL"})
OF_SQLALCHEMY = {"text", "literal_column", "DDL"}
STATEMENT = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|VACUUM|PRAGMA|SET|BEGIN|SHOW|WITH|LOCK) ")
ALLOWED = {
    "f'{verb} {name}'": "the name of a setting, one of four constants of durability.py; names cannot be bound",
    "f'PRAGMA {pragma}'": "constants of the same function; SQLite binds nothing in a PRAGMA",
    "f'BEGIN {mode}'": "DEFERRED or IMMEDIATE, constants of sqlite.py; no value can be bound in a BEGIN",
    "f'SET lock_timeout = {max(1, round(wait_seconds * 1000))}'": "a whole number that was just rounded",
    "f'VACUUM (FULL, VERBOSE) \"{table}\"'": "the name of a table of ours; names cannot be bound",
    "f'ANALYZE \"{table}\"'": "the name of a table of ours; names cannot be bound",
    "str(place)": "the place of an hour in a list; a bound one would make SELECT and GROUP BY differ on PostgreSQL",
}
"""What is put together all the same, and why nothing foreign can get into it."""


def _composed(node: ast.AST) -> bool:
    """Tell whether a text is put together."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add | ast.Mod) and any(
            _composed(side) or (isinstance(side, ast.Constant) and isinstance(side.value, str))
            for side in (node.left, node.right)
        )
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"format", "join"}


def _first_text(node: ast.AST) -> str:
    return next(
        (part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)), ""
    )


def _suspects(tree: ast.AST) -> Iterator[str]:
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy")
        for alias in node.names
    }
    for node in ast.walk(tree):
        if _composed(node) and STATEMENT.match(_first_text(node)):
            yield ast.unparse(node)
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name not in TAKES_SQL or (
            name in OF_SQLALCHEMY and isinstance(node.func, ast.Name) and name not in imported
        ):
            continue
        given = node.args[0]
        if _composed(given) or (name in TAKES_TEXT_ALONE and not isinstance(given, ast.Constant)):
            yield ast.unparse(given)


def test_no_statement_is_put_together():
    """No f-string, format, join, + or % makes SQL, but for what is allowed here with its reason."""
    found = {
        suspect: file.relative_to(ROOT)
        for file in sorted((ROOT / "syncd").rglob("*.py"))
        for suspect in _suspects(ast.parse(file.read_text()))
    }
    assert {suspect: str(file) for suspect, file in found.items() if suspect not in ALLOWED} == {}
    assert set(ALLOWED) <= set(found), "no longer there, so no longer allowed"


def test_the_search_finds_what_it_looks_for():
    """Each way to put a statement together is seen, and honest statements are not."""
    bad = (
        "from sqlalchemy import text\n"
        "c.execute(text(f'DELETE FROM t WHERE a = {x}'))\n"
        "c.exec_driver_sql('a' + x)\n"
        "c.execute('SELECT %s' % x)\n"
        "q = 'SELECT {}'.format(x)\n"
        "text(x)\n"
        "q = f'UPDATE t SET a = {x}'\n"
    )
    good = (
        "from sqlalchemy import select, text\n"
        "c.execute(select(t).where(t.c.a == x))\n"
        "c.execute(text('SELECT 1'), {'a': x})\n"
        "read.text()\n"
        "message = f'the system {x} is paused'\n"
    )
    assert len(set(_suspects(ast.parse(bad)))) == 6
    assert list(_suspects(ast.parse(good))) == []


HOSTILE = [
    "'; DROP TABLE link; --",
    '"; DROP TABLE link; --',
    "x' OR '1'='1",
    "%' OR 1=1 --",
    ":name ? %s {} \\",
    "\u0000 NUL",
    "\ud800 lone",
    "x" * 100_000,
]


def test_hostile_values_are_values(syncd):
    """Quotes, placeholders, NUL, surrogates and long texts are stored as they are or refused by line, and change no
    other row; as filters and names they find nothing."""
    syncd.link(thread_id=500)
    file = syncd.directory / "links.jsonl"
    rows = [
        {"api": "berlin", "customer_id": 1, "thread_id": 600 + place, "system": "desk", "ticket_number": value}
        for place, value in enumerate(HOSTILE)
    ]
    file.write_text("\n".join(json.dumps(row) for row in rows))
    imported = syncd("links", "import", file)
    assert imported.code in {0, 1}
    assert "a bug of syncd" not in imported.err
    listed = {one["thread_id"]: one["ticket_number"] for one in syncd("links", "list", "--json").json}
    assert listed.pop(500) == "HD-1"
    assert {HOSTILE[thread - 600] for thread in listed} >= set(HOSTILE[:5])
    assert all(HOSTILE[thread - 600] == number for thread, number in listed.items())
    for value in HOSTILE[:5]:
        ran = syncd("deliveries", "list", "--system", value, "--api", value, "--json")
        assert ran.code == 2 or ran.json == []
        assert "a bug of syncd" not in ran.err
    assert len(syncd("links", "list", "--json").json) == len(listed) + 1
