"""Whatever stands in the settings: they are good, or every mistake is named with its place, and no secret is told."""

import random
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncd.model.errors import SettingsError
from syncd.service.settings import Settings, load_settings
from tests.fuzz.material import ANY_CHARACTER, ODD_TIMES, TEXTS
from tests.fuzz.runs import fuzz

SECRET = "s3cr3t-that-nobody-may-read"
GOOD = f"""
timezone = "Europe/Berlin"
[database]
url = "sqlite:////tmp/syncd.db"
[log]
level = "INFO"
[api.berlin]
base_url = "https://studio.example"
api_key = "{SECRET}"
requests_per_minute = 900
in_doubt = "hold"
[systems.desk]
adapter = "in_memory"
poll_seconds = 60
link_hosts = ["help.example"]
status_note_text = "The ticket was {{status}}."
[systems.desk.options]
base_url = "https://desk.example"
token = "{SECRET}"
[systems.desk.channels]
"api" = "OTHER"
"""
LINES = GOOD.strip().split("\n")
VALUES = st.one_of(
    st.sampled_from(
        ("1", "-1", "0", "1e400", "nan", "inf", "true", "[]", "{}", "[1, 2]", "[[]]", '"x"', '""', "''",
         '"\\u0000"', "0x1",
         "2026-03-02", "1979-05-27T07:32:00Z", "{a = 1}", "[{a = 1}]", '"Europe/Nowhere"', '"../../etc/passwd"',
         '"sqlite:///x"', '"https://user:pass@h/"', '"http://[::1"', '"https://h:99999"', '"\\\\"', "9" * 5000,
         "'''", '"'),
    ),
    TEXTS,
)  # fmt: skip
KEYS = st.sampled_from(
    ("timezone", "api", "api.berlin", "systems", "options", "database", "url", "api_key", "api_key_file", "token_file",
     "adapter", "poll_seconds", "log", "a.b.c", '"x y"', "\u00e4", "state_directory", "statuses", "channels",
     "in_flight",
     "base_url", "link_hosts", "requests_per_minute", "on_500", "mode", "listen", "console", "retention"),
)  # fmt: skip
PLACES = st.sampled_from(
    ("", "API", "API__BERLIN", "API__BERLIN__API_KEY", "API__BERLIN__API_KEY_FILE", "API__BERLIN__API_KEY__X",
     "API__OTHER",
     "API__BERLIN__BASE_URL", "API__OTHER__BASE_URL", "API____", "SYSTEMS__DESK", "SYSTEMS__DESK__OPTIONS",
     "SYSTEMS__DESK__OPTIONS__TOKEN", "SYSTEMS__DESK__OPTIONS__TOKEN_FILE", "SYSTEMS__DESK__OPTIONS__X__Y",
     "SYSTEMS__DESK__CHANNELS", "SYSTEMS__DESK__CHANNELS__EMAIL", "SYSTEMS__DESK__LINK_HOSTS", "SYSTEMS__DESK__ADAPTER",
     "SYSTEMS__NEW__ADAPTER", "SYSTEMS__NEW__OPTIONS", "DATABASE", "DATABASE__URL", "DATABASE__URL_FILE", "TIMEZONE",
     "TIMEZONE__X", "LOG__LEVEL", "STATE_DIRECTORY", "RETENTION__CONTENTS_DAYS", "RETENTION", "NO_SUCH", "A__B"),
)  # fmt: skip
WORDS = st.one_of(
    st.sampled_from(
        (
            "",
            "1",
            "x",
            "[",
            "[]",
            "[1]",
            "{}",
            '{"a":',
            '{"base_url":1}',
            "null",
            "in_memory",
            "zendesk",
            "\x00",
            "a,b",
            "[" * 900,
        )
    ),
    ODD_TIMES,
    st.text(st.characters(blacklist_characters="\x00", codec=None), max_size=12),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for settings."""
    (tmp_path / "credentials").mkdir()
    return tmp_path


def load(folder: Path, content: bytes, environ: Mapping[str, str] | None = None) -> Settings | None:
    """Load settings; None if they were refused as they have to be."""
    file = folder / "config.toml"
    file.write_bytes(content)
    file.chmod(0o600)
    try:
        return load_settings(file, {"HOME": str(folder), **(environ or {})})
    except SettingsError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.place
            assert problem.message
            assert "\n" not in str(problem)
        assert SECRET not in str(error)
        return None


def test_the_settings_that_are_spoilt_here_are_good(folder: Path) -> None:
    """What the others change is right before they do, so that they find their way past the first mistake."""
    assert load(folder, GOOD.encode())


@fuzz(20)
@given(st.lists(st.tuples(st.integers(0, len(LINES) - 1), KEYS | st.just(""), VALUES), min_size=1, max_size=3))
@example([(0, "timezone", "[" * 100_000)])
@example([(0, "timezone", "{a=" * 100_000)])
@example([(0, "x", ".".join("a" * 2_000))])
@example([(0, "a." * 2_000 + "a", "1")])
@example([(0, "timezone", "9" * 5000)])
@example([(3, "url", '"sqlite:////tmp/a\\u0000b"')])
@example([(0, "state_directory", '"a\\u0000b"')])
@example([(7, "api_key_file", '"a\\u0000b"')])
def test_spoilt_lines_are_mistakes_with_a_place(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, str, str]]
) -> None:
    """A line that became something else is named with its place, or is still good; nothing else happens."""
    lines = list(LINES)
    for place, key, value in changes:
        lines[place] = f"{key} = {value}" if key else value
    load(tmp_path_factory.getbasetemp(), "\n".join(lines).encode("utf-8", "surrogatepass"))


@fuzz(13)
@given(st.integers(0, len(GOOD)), st.integers(0, 30), st.binary(max_size=4), st.integers(0, 2**32))
def test_spoilt_bytes_are_mistakes_with_a_place(
    tmp_path_factory: pytest.TempPathFactory, begin: int, length: int, bytes_in_place: bytes, seed: int
) -> None:
    """So it is with bytes that went missing or were overwritten."""
    content = GOOD.encode()
    spoilt = content[:begin] + bytes_in_place + content[begin + length :]
    load(tmp_path_factory.getbasetemp(), spoilt)
    shuffled = list(LINES)
    random.Random(seed).shuffle(shuffled)
    load(tmp_path_factory.getbasetemp(), "\n".join(shuffled).encode())


@fuzz(26)
@given(st.dictionaries(PLACES, WORDS, min_size=1, max_size=4))
@example({"SYSTEMS__DESK__OPTIONS": "[1]", "SYSTEMS__DESK__OPTIONS__TOKEN": "x"})
@example({"SYSTEMS__DESK__OPTIONS": "7", "SYSTEMS__DESK__OPTIONS__TOKEN": "x"})
@example({"SYSTEMS__DESK__CHANNELS": "[1]", "SYSTEMS__DESK__CHANNELS__EMAIL": "x"})
@example({"API__BERLIN__API_KEY": "\udcff"})
@example({"STATE_DIRECTORY": "\udcff"})
@example({"SYSTEMS__DESK__OPTIONS": "[" * 100_000})
def test_spoilt_variables_are_mistakes_with_a_place(
    tmp_path_factory: pytest.TempPathFactory, given_ones: dict[str, str]
) -> None:
    """So it is with variables of whatever text, at places that are there and at such that are not."""
    environ = {f"SYNCD_{place}": text for place, text in given_ones.items()}
    load(tmp_path_factory.getbasetemp(), GOOD.encode(), environ)


NAMES = st.sampled_from(
    ("api.berlin.api_key", "credentials_api.berlin.api_key", "systems.desk.options.token", "database.url",
     "api..api_key",
     "api.berlin", "api", "systems.desk.options", "systems.desk.options.token.x", "systems.desk",
     "credentials_", "other",
     "api.berlin.api_key.x", "database.url.x", "api.berlin.base_url", "systems.desk.adapter"),
)  # fmt: skip


@fuzz(13)
@given(
    st.dictionaries(
        NAMES, st.binary(max_size=30) | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")), max_size=3
    ),
    st.booleans(),
)
@example({"api.berlin.api_key": b"x" * 100_000}, False)
def test_spoilt_secrets_are_mistakes_with_a_place(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], without_keys: bool
) -> None:
    """So it is with files of secrets, whatever is in them, and nothing of them is told."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "credentials").mkdir()
    for name, content in files.items():
        (folder / "credentials" / name).write_bytes(content)
    kept = [line for line in LINES if not (without_keys and SECRET in line)]
    load(folder, "\n".join(kept).encode())


@fuzz(10)
@given(st.text(ANY_CHARACTER, min_size=1, max_size=12), st.sampled_from(("api_key", "token", "url", "password")))
def test_a_mistyped_key_does_not_tell_its_secret(tmp_path_factory: pytest.TempPathFactory, key: str, near: str) -> None:
    """A secret under a key that is none, or of another type, stays out of the message."""
    quoted = key.encode("unicode_escape").decode().replace("\\x", "\\u00").replace('"', "x")
    for line in (
        f'"{quoted}" = "{SECRET}"',
        f'{near}x = "{SECRET}"',
        f'{near} = ["{SECRET}"]',
        f'{near} = {{a = "{SECRET}"}}',
    ):
        load(
            tmp_path_factory.getbasetemp(),
            f"{GOOD}\n[systems.two.options]\n{line}\n[systems.two]\nadapter = 'in_memory'".encode(),
        )
