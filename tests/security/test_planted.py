"""The search for planted secrets and contents, which every test of this project is under, finds what it looks for."""

import os
import re
import subprocess
import sys
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from syncd.model.communication import Channel, Direction, Message
from tests.planted import Notes, forms_of, notes

ROOT = Path(__file__).parents[2]
LEAKS = """
import logging, pathlib, sqlite3, sys
from base64 import b64encode
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from loguru import logger
from pydantic import SecretStr

from syncd.model.communication import Channel, Direction, Message
from tests.planted import notes

SECRET, SENTENCE = "hush/4711 hush", "Where is my membership card?"


@pytest.fixture
def secret():
    return SecretStr(SECRET).get_secret_value()


@pytest.fixture
def message():
    return Message("s", SENTENCE, Direction.INCOMING, Channel.EMAIL, datetime.now(UTC))


def test_leaks_on_stdout(secret): print("key", secret)
def test_leaks_percent_encoded(secret): print(quote(secret, safe=""), file=sys.stderr)
def test_leaks_in_basic_authentication(secret): print(b64encode(f"user:{secret}".encode()).decode())
def test_leaks_in_a_field_of_the_log(secret): logger.bind(key=secret).debug("Signed in")
def test_leaks_in_the_message_of_a_library(secret): logging.getLogger("library").warning("used %s", secret)
def test_leaks_to_a_test_that_reads_it_itself(secret, capsys): print(secret); capsys.readouterr()
def test_leaks_into_a_file(secret, tmp_path): (tmp_path / "x").mkdir(); (tmp_path / "x" / "a.log").write_text(secret)
def test_leaks_in_another_process(secret): notes.look_at("stderr of a process", secret.encode())
def test_leaks_content_in_a_log(message): logger.bind(said=message.content).info("Mapped")
def test_leaks_content_on_stderr(message): print(message.content, file=sys.stderr)


def test_leaks_into_a_database(secret, tmp_path):
    with sqlite3.connect(tmp_path / "syncd.db") as database:
        database.execute("CREATE TABLE t AS SELECT ? AS c", [secret])


def test_good_content_on_stdout(message): print(message.content)
def test_good_content_in_a_database(message, tmp_path): (tmp_path / "syncd.db").write_text(message.content)
def test_good_secret_without_words(secret): print(SecretStr(secret), "somewhere else")
def test_good_secret_of_another_test(): print(SECRET)
"""


def test_each_kind_of_leak_fails_its_test(tmp_path: Path):
    """A test that prints, logs or stores a secret fails, however it is written; so does one that logs a content."""
    (tmp_path / "conftest.py").write_text(
        "from tests.planted import pytest_configure, pytest_runtest_makereport, pytest_runtest_setup"
    )
    (tmp_path / "test_leaks.py").write_text(LEAKS)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    outcomes = {name: kind for kind, name in re.findall(r"^(PASSED|ERROR) .*::(\w+)", ran.stdout, re.MULTILINE)}
    tests = re.findall(r"def (test_\w+)", LEAKS)
    assert outcomes == {name: "ERROR" if "_leaks_" in name else "PASSED" for name in tests}, ran.stdout + ran.stderr


def test_a_secret_is_known_in_every_form():
    """Wherever a secret begins in what is encoded, what is searched for is part of it."""
    secret = "pass/word+4711"
    for before in range(6):
        coded = b64encode(b"u" * before + b":" + secret.encode() + b"!")
        assert any(form in coded for form in forms_of(secret)), before
    assert b"pass%2Fword%2B4711" in forms_of(secret)


def test_secrets_and_contents_are_noted_by_themselves():
    """Unwrapping a secret or making a message is enough; of an address only the password counts."""
    for value in ("hush-4711-hush", "short", "postgresql://someone:open%20sesame@127.0.0.1/syncd"):
        SecretStr(value).get_secret_value()
    Message("s", "A sentence of its own", Direction.INCOMING, Channel.EMAIL, datetime.now(UTC))
    assert notes.secrets == {"hush-4711-hush", "open sesame"}
    assert notes.contents == {"A sentence of its own"}


@pytest.mark.parametrize("where", ["stdout", "stderr", "log"])
def test_nothing_is_found_where_nothing_is(where: str, tmp_path: Path):
    """Words that are no secret lie where they like."""
    looked = Notes()
    looked.note_secret("hush-4711-hush")
    looked.note_content("A sentence of its own")
    assert list(looked.leaks([(where, "hush-4712-hush, a sentence of its own")], tmp_path)) == []
