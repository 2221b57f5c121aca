"""Whatever file is imported: each bad line is told by its number, the good ones are kept, and nothing else happens."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncd.console.context import CommandContext
from syncd.console.links import parse_from
from syncd.console.links_import import import_links, read_import
from syncd.model.errors import UsageError
from syncd.service.settings import load_settings
from syncd.store import links
from syncd.store.database import open_database
from syncd.store.schema import ensure_schema
from syncd.testing.virtual_clock import run_virtual
from tests.fuzz.material import ANY_CHARACTER, ODD_TIMES, SCALARS, TEXTS, deep
from tests.fuzz.runs import fuzz

HEADING = "api,customer_id,thread_id,system,ticket_number,ticket_link,from"
LONGEST_MESSAGE = 900
CELLS = st.one_of(
    st.sampled_from(
        ("berlin", "desk", "1", "HD-1", "https://desk.example/1", "", '"', '"a""b"', '"a', "\x00", "\ufeff", "a,b")
    ),
    ODD_TIMES,
    st.integers().map(str),
    st.text(ANY_CHARACTER, max_size=10),
)
LINES = st.one_of(
    st.lists(CELLS, max_size=9).map(",".join),
    TEXTS,
    st.dictionaries(
        st.sampled_from(HEADING.split(",")) | st.text(ANY_CHARACTER, max_size=5), SCALARS | TEXTS, max_size=8
    ).map(json.dumps),
)
ENDS = st.sampled_from(("\n", "\r\n", "\r"))
GOOD = "berlin,1,{thread},desk,HD-{thread},,"
GOOD_JSON = '{{"api":"berlin","customer_id":1,"thread_id":{thread},"system":"desk","ticket_number":"HD-{thread}"}}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with settings."""
    made = tmp_path_factory.mktemp("import")
    (made / "config.toml").write_text(
        f"""
        [database]
        url = "sqlite:///{made}/syncd.db"
        [api.berlin]
        base_url = "http://127.0.0.1:1"
        api_key = "key-berlin"
        [systems.desk]
        adapter = "in_memory"
        [systems.desk.options]
        base_url = "http://127.0.0.1:1"
        token = "token"
        """
    )
    return made


def import_file(folder: Path, content: bytes) -> tuple[list[int], dict[int, str], set[int]]:
    """Import a file into a new database; return the numbers of its lines, what is bad, and the linked threads."""
    file = folder / "links.csv"
    file.write_bytes(content)
    lines = read_import(str(file))

    for one in folder.glob("syncd.db*"):
        one.unlink()

    async def run(clock: object) -> tuple[dict[int, str], set[int]]:
        settings = load_settings(folder / "config.toml", {})
        database = open_database(settings.database.url.get_secret_value())
        await ensure_schema(database, migrate=True)
        context = CommandContext(settings, database, clock, "test")
        result = await import_links(context, lines, parse_from)
        threads = {link.thread.thread_id for link in await database.read(links.listed)}
        await database.close()
        assert result.added == len(threads)
        assert result.added + result.there + len(result.bad) == len(lines)
        return dict(result.bad), threads

    bad, threads = run_virtual(run)
    return [line.number for line in lines], bad, threads


@fuzz(4)
@given(
    bad=st.lists(LINES, max_size=6),
    end=ENDS,
    form=st.sampled_from((GOOD, GOOD_JSON)),
    mark=st.sampled_from(("", "\ufeff")),
)
@example(
    bad=['{"api":"berlin","customer_id":1,"thread_id":5,"system":"desk","ticket_number":"\\ud800"}'],
    end="\n",
    form=GOOD_JSON,
    mark="",
)
@example(
    bad=['{"api":"berlin","customer_id":1,"thread_id":5,"system":"desk","ticket_number":"a\\u0000b"}'],
    end="\n",
    form=GOOD_JSON,
    mark="",
)
@example(bad=["berlin,1,5,desk,HD\x00,,"], end="\n", form=GOOD, mark="")
@example(
    bad=["berlin,1,5,desk,HD-5,,0001-01-01", "berlin,1,6,desk,HD-6,,9999-12-31T23:59:59-12:00"],
    end="\n",
    form=GOOD,
    mark="",
)
def test_good_lines_are_kept_among_whatever_others(
    folder: Path, bad: list[str], end: str, form: str, mark: str
) -> None:
    """Lines of whatever is in between cost the good ones nothing; each is linked, or told by number in a sentence."""
    good = [form.format(thread=thread) for thread in (7_000_001, 7_000_002)]
    heading = [HEADING] if form is GOOD else []
    text = mark + end.join([*heading, good[0], *bad, good[1]])
    numbers, told, threads = import_file(folder, text.encode("utf-8", "surrogatepass"))
    assert {7_000_001, 7_000_002} <= threads
    assert set(told) <= set(numbers)
    for message in told.values():
        assert message
        assert len(message) < LONGEST_MESSAGE
        assert message.isprintable()


@fuzz(20)
@given(st.binary(max_size=80) | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"\xff\xfe")
@example(b"\x00" * 50)
@example(b"," * 100_000)
@example(b'"' * 100_000)
@example(b"a" * 1_000_000)
@example(b"{" * 1_000_000)
@example(b'{"' + b"a" * 1_000_000 + b'":1}')
@example(HEADING.encode() + b'\n"' + b"a" * 1_000_000)
@example(deep('{"api":', "}", 100_000).encode())
@example(b'{"api":' + b"9" * 10_000 + b"}")
def test_what_is_no_import_is_refused_in_a_sentence(folder: Path, content: bytes) -> None:
    """Any other file is refused before anything is changed, and the sentence about it fits a terminal."""
    file = folder / "other.csv"
    file.write_bytes(content)
    try:
        lines = read_import(str(file))
    except UsageError as error:
        assert len(str(error)) < LONGEST_MESSAGE + len(str(file))
        assert str(error).isprintable()
    else:
        assert all(line.bad is None or len(line.bad) < LONGEST_MESSAGE for line in lines)
