"""Looks after every test for what may stand nowhere: secrets in any output or file, message contents in any log.

Nothing is listed: every secret that a test unwraps, every token and session that a vendor hands out, and the content
of every message that is made is noted on its way. What the test printed and logged, and the files that it left, are
searched for them at its end: the secrets as they are, percent-encoded, and in base64 (HTTP Basic).

The hooks are imported by tests/conftest.py; tests/security/test_planted.py shows that the search can fail.
"""

import functools
from base64 import b64encode
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

import pytest
from loguru import logger
from pydantic import SecretStr

from syncd.model.communication import Message
from syncd.service import log
from syncd.sources.passes import SessionSource, TokenSource

SHORTEST_SECRET = 8
"""A shorter one is a word that may stand anywhere."""
SHORTEST_CONTENT = 12
MOST_CONTENTS = 200
MAY_HOLD_CONTENTS = ("stdout", "page")
"""What is shown to a person who decides about a message may hold its content, and no secret all the same."""
SEARCHED_FILES = ("*.db", "*.db-wal", "*.db-journal", "*.lock", "*.log", "high-water*")


class Notes:
    """What one test had in its hands, and what it said."""

    def __init__(self) -> None:
        self.secrets: set[str] = set()
        self.contents: set[str] = set()
        self.said: list[tuple[str, str]] = []
        self.logged: list[str] = []

    def note_secret(self, value: str) -> None:
        """Note a secret; of an address only its password is one."""
        if "://" in value:
            value = unquote(urlsplit(value).password or "")
        if len(value) >= SHORTEST_SECRET:
            self.secrets.add(value)

    def note_content(self, text: str) -> None:
        """Note a message's text if it is a sentence of its own."""
        if len(self.contents) < MOST_CONTENTS and len(text) >= SHORTEST_CONTENT and " " in text:
            self.contents.add(text)

    def look_at(self, where: str, *texts: str | bytes) -> None:
        """Have texts searched that the test took away, such as the output of another process."""
        for text in texts:
            self.said.append((where, text if isinstance(text, str) else text.decode(errors="replace")))

    def leaks(self, sections: Iterable[tuple[str, str]], folder: Path | None) -> Iterator[str]:
        """Yield what stands where it may not."""
        said = [*self.said, *sections, ("log", "\n".join(self.logged))]
        places = [(where, text.encode(errors="surrogateescape")) for where, text in said]
        everything = [*places, *_files(folder)] if self.secrets else places
        for secret in sorted(self.secrets):
            for form in forms_of(secret):
                yield from (f"a secret in {where}: {form!r}" for where, text in everything if form in text)
        for content in sorted(self.contents):
            form = content.encode(errors="surrogatepass")
            yield from (
                f"a message's content in {where}: {content!r}"
                for where, text in places
                if not any(word in where for word in MAY_HOLD_CONTENTS) and form in text
            )


notes = Notes()


@functools.cache
def forms_of(secret: str) -> tuple[bytes, ...]:
    """Return a secret as it can be written: plain, percent-encoded, and in base64 wherever it begins in it."""
    plain = secret.encode()
    forms = {plain, quote(secret, safe="").encode(), quote_plus(secret).encode()}
    for before in range(3):
        # The letters at both ends hold bits of the neighbours, too, and are left out.
        first, last = (0, 2, 3)[before], (before + len(plain)) // 3 * 4
        forms.add(b64encode(b"\0" * before + plain)[first:last])
    return tuple(form for form in forms if len(form) >= SHORTEST_SECRET)


def _files(folder: Path | None) -> list[tuple[str, bytes]]:
    if folder is None or not folder.is_dir():
        return []
    found = {file for pattern in SEARCHED_FILES for file in folder.rglob(pattern) if file.is_file()}
    return [(file.name, file.read_bytes()) for file in sorted(found)]


def _observed(kind: type, name: str, observe: Callable[[Any, Any, tuple[Any, ...]], None]) -> None:
    """Let a method be observed; what it does stays as it is."""
    own = getattr(kind, name)

    @functools.wraps(own)
    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        result = own(self, *arguments, **named)
        observe(self, result, arguments)
        return result

    setattr(kind, name, method)


def pytest_configure() -> None:
    """Begin to observe where secrets and contents pass."""
    _observed(SecretStr, "get_secret_value", lambda _self, value, _: notes.note_secret(value))
    _observed(TokenSource, "parse", lambda _self, given, _: notes.note_secret(given[0]))
    _observed(SessionSource, "parse", lambda _self, given, _: notes.note_secret(given[0]))
    _observed(Message, "__init__", lambda made, _result, _: notes.note_content(made.content))
    _observed(pytest.CaptureFixture, "readouterr", lambda _self, read, _: _note_output(read))


def _note_output(read: Any) -> None:
    notes.look_at("stdout", read.out)
    notes.look_at("stderr", read.err)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Forget the test before, and hear every line of the log as it would be written."""
    notes.__init__()  # type: ignore[misc]  # fixtures hold this very object
    heard = notes.logged
    item.stash[_SINK] = logger.add(lambda line: heard.append(log._json_line(line.record)), level=0, format=_no_text)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test fail that left a secret or a message's content behind."""
    report = yield
    if call.when != "teardown" or item.get_closest_marker("leaks_on_purpose"):
        return report
    with suppress(KeyError, ValueError):  # never added, or removed by the code that was tested
        logger.remove(item.stash[_SINK])
    sections = [(what, text) for _, what, text in item._report_sections]
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    leaks = list(notes.leaks(sections, folder))
    if leaks and report.passed:
        report.outcome, report.longrepr = "failed", "\n".join(["What may stand nowhere stands here:", *leaks[:20]])
    return report


_SINK = pytest.StashKey[int]()


def _no_text(_record: object) -> str:
    return ""
