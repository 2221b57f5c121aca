"""Secrets: credentials, files and variables; what is read anew; what is never shown."""

from collections.abc import Callable
from pathlib import Path

import pytest

from syncd.service.settings import Settings

Load = Callable[..., Settings]
Refused = Callable[..., dict[str, str]]

API = '[api.berlin]\nbase_url = "https://studio.open-api.magicline.com"\n'
SYSTEM = """
[systems.support]
adapter = "desk"
[systems.support.options]
base_url = "https://desk.example"
client_id = "us"
"""


def write_secret(path: Path, text: str = "secret\n") -> Path:
    """Write a file that its owner alone can read."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("prefix", ["", "credentials_"])
def test_credentials_are_named_like_the_place(load: Load, directory: Path, prefix: str):
    """api.X.api_key, systems.X.options.KEY and database.url are taken, with or without systemd's prefix."""
    given = directory / "given"
    write_secret(given / f"{prefix}api.berlin.api_key", "one\n")
    write_secret(given / f"{prefix}systems.support.options.client_secret", "two\r\n")
    write_secret(given / f"{prefix}systems.support.options.client_id", "me")
    write_secret(given / f"{prefix}database.url", "postgresql://syncd:three@db.example/syncd")
    settings = load(API + SYSTEM, {"CREDENTIALS_DIRECTORY": str(given)})
    assert settings.api["berlin"].api_key.get_secret_value() == "one"
    assert settings.systems["support"].options.client_secret.get_secret_value() == "two"
    assert settings.systems["support"].options.client_id == "me"
    assert settings.database.url.get_secret_value().endswith("three@db.example/syncd")
    assert settings.warnings() == []


def test_the_directory_beside_the_file_is_read_by_hand(load: Load, directory: Path):
    """Without $CREDENTIALS_DIRECTORY a command reads `credentials` beside the settings, as systemd does for us."""
    write_secret(directory / "credentials" / "api.berlin.api_key", "by-hand\n")
    assert load(API).api["berlin"].api_key.get_secret_value() == "by-hand"


def test_what_systemd_puts_in_for_a_missing_directory_is_ignored(load: Load, directory: Path):
    """SetCredential=credentials:none leaves a file of that name, which is no setting and no warning."""
    given = directory / "given"
    write_secret(given / "credentials", "none")
    write_secret(given / "ca.pem", "somebody else's")
    settings = load(API + 'api_key = "k"\n' + SYSTEM + 'client_secret = "s"\n', {"CREDENTIALS_DIRECTORY": str(given)})
    assert settings.warnings() == []


def test_a_credential_that_belongs_to_nothing_is_a_warning(load: Load, directory: Path):
    """The key of a studio that left must not stop the start; a misspelt one is found by the warning."""
    write_secret(directory / "credentials" / "api.berln.api_key")
    option = "systems.support.options.client_secert"
    write_secret(directory / "credentials" / option)
    settings = load(API + 'api_key = "k"\n' + SYSTEM + 'client_secret = "s"\n')
    assert [str(problem) for problem in settings.warnings()] == [
        "credential api.berln.api_key: belongs to no setting; did you mean api.berlin.api_key?",
        f"credential {option}: belongs to no setting; did you mean systems.support.options.client_secret?",
    ]


def test_files_of_secrets_are_read_at_every_load(load: Load, directory: Path):
    """api_key_file, url_file and an option's ..._file are read again by a reload, without their last line break."""
    write_secret(directory / "key", "old\n")
    write_secret(directory / "url", "postgresql://syncd:word@db.example/syncd\n")
    secret = write_secret(directory / "deep" / "secret", " blank before\n\n")
    text = f'[database]\nurl_file = "url"\n{API}api_key_file = "key"\n{SYSTEM}client_secret_file = "{secret}"\n'
    settings = load(text)
    assert settings.api["berlin"].api_key.get_secret_value() == "old"
    assert settings.systems["support"].options.client_secret.get_secret_value() == " blank before"
    assert settings.database.sqlite_path is None
    write_secret(directory / "key", "new\n")
    assert load(text).api["berlin"].api_key.get_secret_value() == "new"


def test_a_variable_may_name_the_file(load: Load, directory: Path):
    """SYNCD_..._API_KEY_FILE is the variable of api_key_file, and stronger than the key in the file."""
    path = write_secret(directory / "key", "from-file\n")
    settings = load(API + 'api_key = "inline"\n', {"SYNCD_API__BERLIN__API_KEY_FILE": str(path)})
    assert settings.api["berlin"].api_key.get_secret_value() == "from-file"


def test_a_secret_and_its_file_together_are_a_mistake(refused: Refused, directory: Path):
    """Nobody can say which of the two was meant."""
    write_secret(directory / "key")
    found = refused(API + 'api_key = "k"\napi_key_file = "key"\n')
    assert found == {"api.berlin.api_key_file": "and api_key are both set; leave one of them"}


def test_a_file_key_is_for_secrets_alone(refused: Refused):
    """base_url_file is no setting: only a secret may be kept elsewhere."""
    assert "base_url_file" in next(iter(refused(API + 'api_key = "k"\nbase_url_file = "x"\n')))


@pytest.mark.parametrize(
    ("content", "word"),
    [(None, "is not there"), (b"", "is empty"), (b"\n", "is empty"), (b"\xff\xfe", "UTF-8"), (b"x" * 70_000, "larger")],
)
def test_a_file_that_holds_no_secret_is_named_once(refused: Refused, directory: Path, content: bytes | None, word: str):
    """A secret's file that is missing, empty or nonsense is one mistake, at its key, with the path."""
    if content is not None:
        (directory / "key").write_bytes(content)
    found = refused(API + 'api_key_file = "key"\n')
    assert list(found) == ["api.berlin.api_key_file"]
    assert str(directory / "key") in found["api.berlin.api_key_file"]
    assert word in found["api.berlin.api_key_file"]


def test_an_empty_credential_is_a_mistake(refused: Refused, directory: Path):
    """A credential that was made and never filled is named as what it is."""
    write_secret(directory / "credentials" / "api.berlin.api_key", "\n")
    found = refused(API)
    assert list(found.values()) == ["the credential api.berlin.api_key is empty"]


def test_a_missing_secret_names_every_way_to_give_it(refused: Refused):
    """The message holds the key, its file, its variable and its credential, ready to be copied."""
    message = refused(API.replace("berlin", "berlin-mitte"))["api.berlin-mitte.api_key"]
    assert "api_key_file" in message
    assert "SYNCD_API__BERLIN_MITTE__API_KEY" in message
    assert "credential api.berlin-mitte.api_key" in message


def test_secrets_are_in_no_repr(load: Load):
    """Settings can be printed and logged whole: api keys, options and the database's password stay out."""
    text = '[database]\nurl = "postgresql://syncd:hidden-1@db.example/syncd"\n'
    settings = load(f'{text}{API}api_key = "hidden-2"\n{SYSTEM}client_secret = "hidden-3"\n')
    shown = f"{settings!r} {settings} {settings.api!r} {settings.model_dump()!r} {settings.model_dump_json()}"
    assert "hidden" not in shown + settings.database.shown_url
    assert settings.database.shown_url == "postgresql://db.example/syncd"


@pytest.mark.parametrize(
    ("text", "mode", "warned"),
    [
        (API + 'api_key = "k"\n', 0o644, True),
        (API + 'api_key = "k"\n', 0o640, False),
        (API + 'api_key_file = "key"\n', 0o644, False),
        ('[database]\nurl = "postgresql://me:word@db.example/x"\n', 0o644, True),
        ('[database]\nurl = "postgresql://me@db.example/x"\n', 0o644, False),
    ],
)
def test_a_file_with_a_secret_that_all_can_read_is_warned_about(
    load: Load, directory: Path, text: str, mode: int, *, warned: bool
):
    """Only files that hold a secret are meant, and only when everybody may read them."""
    write_secret(directory / "key")
    (directory / "conf.d").mkdir()
    part = directory / "conf.d" / "part.toml"
    part.write_text(text)
    part.chmod(mode)
    places = [problem.place for problem in load("").warnings() if "readable by everybody" in problem.message]
    assert places == ([str(part)] if warned else [])


def test_a_secrets_file_that_all_can_read_is_warned_about(load: Load, directory: Path):
    """A file that api_key_file names is held to the same."""
    write_secret(directory / "key").chmod(0o644)
    places = [problem.place for problem in load(API + 'api_key_file = "key"\n').warnings()]
    assert str(directory / "key") in places


def test_the_settings_library_logs_no_values(
    load: Load, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """PYDANTIC_SETTINGS_DEBUG makes the library log what it merges; not here."""
    monkeypatch.setenv("PYDANTIC_SETTINGS_DEBUG", "1")
    caplog.set_level("DEBUG")
    load(API + 'api_key = "hidden"\n')
    assert "hidden" not in caplog.text
    assert "pydantic_settings" not in {record.name for record in caplog.records}
