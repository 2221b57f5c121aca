"""Mistakes in the settings: all of them at once, each with its place and what to do, none with a secret."""

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from syncd.model.errors import SettingsError
from syncd.service.settings import Settings, load_settings

Load = Callable[..., Settings]
Refused = Callable[..., dict[str, str]]

API = '[api.berlin]\nbase_url = "https://studio.open-api.magicline.com"\napi_key = "k"\n'
OPTIONS = '[systems.support.options]\nbase_url = "https://desk.example"\nclient_id = "us"\nclient_secret = "s"\n'
SYSTEM = '[systems.support]\nadapter = "desk"\n'


def test_every_mistake_is_told_at_once(refused: Refused):
    """Mistakes of the files, of the variables, of the adapter's name and of its options come in one go."""
    text = """
bogus = 1
timezone = "Europe/Berln"
[api.berlin]
base_url = "http://studio.example"
pace = 1
[systems.one]
adapter = "dsk"
poll_seconds = 0
[systems.two]
adapter = "desk"
[systems.two.options]
base_url = "http://desk.example"
client_secert = "s"
[systems.two.channels]
api = "OTHR"
"""
    found = refused(text, {"SYNCD_API__BERLIN__IN_FLIGT": "1", "SYNCD_API__BONN__MODE": "hold"})
    assert set(found) == {
        "bogus",
        "timezone",
        "api.berlin.base_url",
        "api.berlin.pace",
        "api.berlin.api_key",
        "systems.one.adapter",
        "systems.one.poll_seconds",
        "systems.two.options.base_url",
        "systems.two.options.client_id",
        "systems.two.options.client_secert",
        "systems.two.options.client_secret",
        "systems.two.channels.api",
        "SYNCD_API__BERLIN__IN_FLIGT",
        "SYNCD_API__BONN__MODE",
    }


@pytest.mark.parametrize(
    ("text", "place", "word"),
    [
        (SYSTEM + "pol_seconds = 1\n" + OPTIONS, "systems.support.pol_seconds", "did you mean poll_seconds?"),
        (API + 'api_key_fle = "x"\n', "api.berlin.api_key_fle", "did you mean api_key_file?"),
        (SYSTEM + 'client_id = "x"\n' + OPTIONS, "systems.support.client_id", "belongs in [systems.support.options]"),
        (SYSTEM + OPTIONS + 'client_di = "x"\n', "systems.support.options.client_di", "did you mean client_id?"),
        ("[databse]\n", "databse", "did you mean database?"),
        ('[console]\nlisen = "x"\n', "console.lisen", "did you mean listen?"),
        ('timezone = "europe/Belrin"\n', "timezone", "did you mean Europe/Berlin?"),
        (API + 'mode = "hodl"\n', "api.berlin.mode", "did you mean hold?"),
        ('[systems.x]\nadapter = "desc"\n', "systems.x.adapter", "did you mean desk?"),
        (
            SYSTEM + '[systems.support.channels]\n"web form" = "CHATT"\n' + OPTIONS,
            'systems.support.channels."web form"',
            "did you mean CHAT?",
        ),
        (
            SYSTEM + '[systems.support.statuses]\nhold = "ongoin"\n' + OPTIONS,
            "systems.support.statuses.hold",
            "did you mean ONGOING?",
        ),
    ],
)
def test_the_nearest_known_word_is_named(refused: Refused, text: str, place: str, word: str):
    """A key, a table or a choice that is misspelt is refused at its place with what was probably meant."""
    found = refused(text)
    assert list(found) == [place]
    assert word in found[place]


@pytest.mark.parametrize(
    ("variable", "word"),
    [
        ("SYNCD_API__BERLIN__API_KYE", "did you mean api_key?"),
        ("SYNCD_API__BERLN__API_KEY", "did you mean berlin?"),
        ("SYNCD_APY__BERLIN__API_KEY", "did you mean api?"),
        ("SYNCD_SYSTEMS__SUPPORT__OPTIONS__CLIENT_SECERT", "did you mean client_secret?"),
        ("SYNCD_SYSTEMS__SUPPORT__ADAPTER_CLASS", "no setting"),
        ("SYNCD_API__BERLIN", "one by one"),
        ("SYNCD_API__", "is no setting"),
        ("SYNCD_API__MUNICH__API_KEY", "needs SYNCD_API__MUNICH__BASE_URL too"),
    ],
)
def test_a_variable_that_reaches_nothing_is_a_mistake(refused: Refused, variable: str, word: str):
    """A misspelt variable would otherwise leave the old value in force, unnoticed."""
    found = refused(API + SYSTEM + OPTIONS, {variable: "x"})
    assert len(found) == 1
    assert word in " ".join(found.values())


def test_a_variable_that_two_names_answer_to_is_a_mistake(refused: Refused):
    """With a-b and a_b configured, A_B could be either."""
    text = API.replace("berlin", "a-b") + API.replace("berlin", "a_b")
    assert "api.a-b and api.a_b" in refused(text, {"SYNCD_API__A_B__MODE": "hold"})["SYNCD_API__A_B__MODE"]


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("https://studio.open-api.magicline.com", True),
        ("https://gateway.example:8443/magicline/", True),
        ("http://127.0.0.1:8080", True),
        ("http://localhost", True),
        ("http://[::1]:9", True),
        ("http://studio.example", False),
        ("http://127.0.0.1.example", False),
        ("https://user@studio.example", False),
        ("https://user:word@studio.example", False),
        ("https://studio.example?x=1", False),
        ("https://studio.example#x", False),
        ("https://studio.example/v1", False),
        ("https://studio.example/v1/", False),
        ("ftp://studio.example", False),
        ("studio.example", False),
        ("https://", False),
        ("https://studio.example:port", False),
        ("https://studio .example", False),
        ("", False),
    ],
)
def test_addresses_are_https_and_nothing_else(load: Load, address: str, *, good: bool):
    """Plain http is for loopback alone; user names, queries, fragments and the appended /v1 are refused."""
    text = API.replace("https://studio.open-api.magicline.com", address)
    if good:
        assert load(text).api["berlin"].base_url == address.rstrip("/")
        return
    with pytest.raises(SettingsError) as caught:
        load(text)
    assert [problem.place for problem in caught.value.problems] == ["api.berlin.base_url"]


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("sqlite:////srv/syncd.db", True),
        ("postgresql://syncd:word@db.example/syncd", True),
        ("postgresql+asyncpg://db.example:5432/syncd?ssl=require", True),
        ("sqlite:///syncd.db", False),
        ("sqlite://", False),
        ("sqlite:////srv/", False),
        ("sqlite:////srv/syncd.db?mode=ro", False),
        ("postgres://db.example/syncd", False),
        ("postgresql://db.example", False),
        ("mysql://db.example/syncd", False),
        ("postgresql://[broken/syncd", False),
    ],
)
def test_databases_are_a_file_by_its_absolute_path_or_a_server(load: Load, url: str, *, good: bool):
    """A relative file would be another one in every directory that a command is started in."""
    text = f'[database]\nurl = "{url}"\n'
    if good:
        assert load(text).database.url.get_secret_value() == url
        return
    with pytest.raises(SettingsError) as caught:
        load(text)
    assert [problem.place for problem in caught.value.problems] == ["database.url"]


@pytest.mark.parametrize("name", ["Berlin", "a b", "a.b", "a__b", "-a", "a-", "ä", "", "x" * 65])
def test_names_that_cannot_be_written_everywhere_are_refused(refused: Refused, name: str):
    """A name stands in variables, credentials and units, so it has small letters, digits and single - or _."""
    found = refused(API.replace("api.berlin", f'api."{name}"'))
    assert len(found) == 1
    assert "small letters" in next(iter(found.values()))


@pytest.mark.parametrize(
    "line",
    [
        "poll_seconds = 0.5",
        "poll_seconds = inf",
        "poll_seconds = nan",
        'poll_seconds = "often"',
        "requests_per_minute = 0",
        "requests_per_minute = inf",
        "sweep_deadline_seconds = -1",
        "flood_replies = -1",
        "flood_replies = 1.5",
        "flood_older_hours = -1",
        'status_note_text = " "',
        'status_note_text = "now {state}"',
        'status_note_text = "now {status.__class__}"',
        'status_note_text = "now {status"',
        'status_note_text = "now {}"',
        'link_hosts = ["https://desk.example"]',
        'link_hosts = "desk.example"',
        "channels = 1",
        'adapter_class = "x"',
    ],
)
def test_values_that_cannot_work_are_refused(refused: Refused, line: str):
    """Spans are finite and positive, texts can be filled in, hosts are hosts: exactly the one place is named."""
    found = refused(SYSTEM + line + "\n" + OPTIONS)
    assert len(found) == 1
    assert next(iter(found)).startswith(f"systems.support.{line.split(' ', 1)[0]}")


@pytest.mark.parametrize("listen", ["8765", "127.0.0.1", "::1:8765", "127.0.0.1:99999", "http://x:1", ":80"])
def test_listen_is_host_and_port(refused: Refused, listen: str):
    """What cannot be listened on is refused when it is read, not when the console starts."""
    assert list(refused(f'[console]\nlisten = "{listen}"\n')) == ["console.listen"]


def test_ipv6_can_be_listened_on(load: Load):
    """An IPv6 address stands in brackets, as in web addresses."""
    assert load('[console]\nlisten = "[::1]:8765"\n').console.address == ("::1", 8765)


def test_a_key_in_two_files_names_both(refused: Refused, directory: Path):
    """Which of two files would win is nobody's to guess; a table against a value is the same mistake."""
    (directory / "conf.d").mkdir()
    (directory / "conf.d" / "a.toml").write_text("[api.berlin]\nin_flight = 1\ntimeout_seconds = 5\n")
    (directory / "conf.d" / "b.toml").write_text("timezone = 'UTC'\n[api.berlin]\nin_flight = 2\n[log.level]\nx = 1\n")
    found = refused("timezone = 'UTC'\n[log]\nlevel = 'INFO'\n" + API)
    assert found == {
        "timezone": "stands in config.toml and in conf.d/b.toml; leave one of them",
        "api.berlin.in_flight": "stands in conf.d/a.toml and in conf.d/b.toml; leave one of them",
        "log.level": "stands in config.toml and in conf.d/b.toml; leave one of them",
    }


def test_with_several_files_the_place_names_the_file(refused: Refused, directory: Path):
    """A mistake in conf.d says in which file; so does a missing key, by where its table is."""
    (directory / "conf.d").mkdir()
    (directory / "conf.d" / "bonn.toml").write_text('[api.bonn]\nmode = "x"\nbase_url = "https://b.example"\n')
    assert list(refused(API)) == ["api.bonn.api_key (conf.d/bonn.toml)", "api.bonn.mode (conf.d/bonn.toml)"]


def test_a_mistake_in_a_variable_names_the_variable(refused: Refused):
    """The place of a value that a variable gave is shown with the variable: the file is not at fault."""
    assert list(refused(API, {"SYNCD_API__BERLIN__MODE": "x"})) == ["api.berlin.mode (SYNCD_API__BERLIN__MODE)"]


def test_broken_toml_names_file_line_and_column(load: Load, directory: Path):
    """All broken files are named in one go, each with the line; nothing of the line itself is shown."""
    (directory / "conf.d").mkdir()
    (directory / "conf.d" / "a.toml").write_text("x = [\n")
    (directory / "conf.d" / "b.toml").write_bytes(b"x = '\xff'\n")
    with pytest.raises(SettingsError) as caught:
        load("a = 1\nb = hunter2\n")
    places = [problem.place for problem in caught.value.problems]
    assert places == [
        f"{directory}/config.toml, line 2, column 5",
        f"{directory}/conf.d/a.toml, at its end",
        f"{directory}/conf.d/b.toml",
    ]
    assert "hunter2" not in str(caught.value)


def test_a_missing_file_says_what_to_do(tmp_path: Path):
    """Whoever starts syncd for the first time is told of the example and of --config."""
    with pytest.raises(SettingsError, match=r"config\.example\.toml.*--config or SYNCD_CONFIG") as caught:
        load_settings(tmp_path / "none.toml", {})
    assert caught.value.exit_code == 2


def test_a_directory_is_no_file(tmp_path: Path):
    """What cannot be read is a mistake in the settings, not a crash."""
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path, {})


@pytest.mark.parametrize("text", ["api = 1", "systems = []", "[api]\nberlin = 1", "systems.x = 'desk'", "database = 1"])
def test_a_value_where_a_table_should_be_is_one_mistake(refused: Refused, text: str):
    """The shape of the file may be wrong at any level, and it stays a mistake with a place."""
    assert len(refused(text)) == 1


SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f'[api.berlin]\nbase_url = "https://a.example"\napi_key = ["{SECRET}"]\n',
        f'[api.berlin]\nbase_url = "https://a.example"\napi_key = "{SECRET} with blanks"\n',
        f'[api.berlin]\nbase_url = "https://me:{SECRET}@a.example"\napi_key = "k"\n',
        f'[api.berlin]\nbase_url = "https://a.example"\napi_key = "k"\napi_kye = "{SECRET}"\n',
        f'[api]\nberlin = "{SECRET}"\n',
        f'[database]\nurl = "mysql://me:{SECRET}@db.example/syncd"\n',
        f'[database]\nurl = {{ password = "{SECRET}" }}\n',
        SYSTEM + f'[systems.support.options]\nbase_url = "https://d.example"\nclient_secret = {{x = "{SECRET}"}}\n',
        SYSTEM + f'[systems.support.options]\nbase_url = "https://d.example"\nclient_secert = "{SECRET}"\n',
        SYSTEM + f'client_secret = "{SECRET}"\n' + OPTIONS,
        SYSTEM + OPTIONS.replace('"s"', f'"{SECRET}"') + f'spare_secret = "{SECRET}"\n',
    ],
)
def test_no_mistake_shows_a_secret(load: Load, text: str):
    """Wherever a secret stands and whatever is wrong with it, neither message, repr nor traceback show it."""
    with pytest.raises(SettingsError) as caught:
        load(text)
    assert SECRET not in str(caught.value) + repr(caught.value) + "".join(traceback.format_exception(caught.value))
    assert SECRET not in repr(caught.value.__context__)


def test_one_mistake_is_told_once(refused: Refused):
    """An unknown adapter is not followed by complaints about options that nobody could check."""
    assert list(refused('[systems.x]\nadapter = "dsk"\n[systems.x.options]\nanything = 1\n')) == ["systems.x.adapter"]
    assert list(refused("[systems.x]\n")) == ["systems.x.adapter"]


def test_rules_over_several_options_are_told_in_the_adapters_words(refused: Refused):
    """A rule of the adapter's own has the table of the options as its place; a secret that it quotes is taken out."""
    found = refused(SYSTEM + OPTIONS.replace('"s"', f'"{SECRET}"') + f'spare_secret = "{SECRET}"\n')
    assert found == {"systems.support.options": "the spare secret is the other one: ..."}
