"""Settings: what is read from where, what is stronger, and what comes of it."""

import os
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from syncd.model.communication import Channel, ThreadStatus
from syncd.model.delivery import InDoubtPolicy
from syncd.model.policy import ApiPolicy, Mode, On500, OnEdit, Order, SystemPolicy
from syncd.service.settings import Settings, find_settings_path, load_settings

Load = Callable[..., Settings]

API = """
[api.berlin]
base_url = "https://studio.open-api.magicline.com"
api_key = "key-of-berlin"
"""
SYSTEM = """
[systems.support]
adapter = "desk"
[systems.support.options]
base_url = "https://desk.example"
client_id = "us"
client_secret = "secret-of-support"
"""


def test_the_option_beats_the_variable_beats_the_default():
    """The settings file is what --config says, else SYNCD_CONFIG, else /etc/syncd/config.toml."""
    assert find_settings_path(Path("a.toml"), {"SYNCD_CONFIG": "b.toml"}) == Path("a.toml")
    assert find_settings_path(None, {"SYNCD_CONFIG": "b.toml"}) == Path("b.toml")
    assert find_settings_path(None, {"SYNCD_CONFIG": ""}) == Path("/etc/syncd/config.toml")


def test_unset_keys_have_the_defaults_of_the_policies(load: Load):
    """An api and a system with nothing but what they need get exactly the defaults of ApiPolicy and SystemPolicy."""
    settings = load(API + SYSTEM)
    assert settings.api_policies() == {"berlin": ApiPolicy("berlin", ZoneInfo("Europe/Berlin"))}
    assert settings.system_policies() == {"support": SystemPolicy("support")}
    assert settings.api["berlin"].timeout_seconds == 30
    assert settings.retention.contents_days == 90
    assert settings.database.sqlite_path == Path("/var/lib/syncd/syncd.db")
    assert settings.console.address is None


def test_every_field_of_the_policies_can_be_set(load: Load):
    """No field of ApiPolicy or SystemPolicy keeps its default when the file says otherwise."""
    text = """
timezone = "Europe/London"
[api.berlin]
base_url = "https://studio.open-api.magicline.com/"
api_key = "k"
requests_per_minute = 5
in_flight = 2
timeout_seconds = 3
timezone = "America/New_York"
in_doubt = "resend"
on_500 = "hold"
order = "strict"
mode = "hold"
[systems.support]
adapter = "desk"
poll_seconds = 1
status_notes = "never"
status_note_text = "Now {status}"
on_edit = "correction"
on_merge = "follow"
automatic_messages = true
active_hours = 2
quiet_poll_seconds = 1.5
closed_watch_days = 2
full_sweep_hours = 3
sweep_deadline_seconds = 4
flood_replies = 5
flood_older_hours = 0.5
link_hosts = ["Help.Example.org"]
[systems.support.channels]
api = "OTHER"
[systems.support.statuses]
"on hold" = "ONGOING"
[systems.support.options]
base_url = "https://desk.example"
client_id = "us"
client_secret = "s"
"""
    settings = load(text)
    api = settings.api_policies()["berlin"]
    assert api == ApiPolicy(
        "berlin", ZoneInfo("America/New_York"), 5, 2, InDoubtPolicy.RESEND, On500.HOLD, Order.STRICT, Mode.HOLD
    )
    system = settings.system_policies()["support"]
    plain = SystemPolicy("support")
    kept = [one.name for one in fields(SystemPolicy) if getattr(system, one.name) == getattr(plain, one.name)]
    assert kept == ["name"]
    assert system.on_edit is OnEdit.CORRECTION
    assert (system.channels, system.statuses) == ({"api": Channel.OTHER}, {"on hold": ThreadStatus.ONGOING})
    assert settings.systems["support"].link_hosts == ("help.example.org",)
    assert settings.api["berlin"].base_url == "https://studio.open-api.magicline.com"


def test_options_are_the_adapters_own(load: Load):
    """The options of a system are an instance of its adapter's config class, and the class itself is at hand."""
    system = load(SYSTEM).systems["support"]
    assert system.adapter == "desk"
    assert isinstance(system.options, system.adapter_class.config)
    assert system.adapter_class.connection(system.options).base_url == "https://desk.example"


def test_files_of_conf_d_are_merged(load: Load, directory: Path):
    """Tables of conf.d/*.toml are joined to those of the main file; hidden files and other endings are passed over."""
    (directory / "conf.d").mkdir()
    (directory / "conf.d" / "10-bonn.toml").write_text(API.replace("berlin", "bonn"))
    (directory / "conf.d" / "20-berlin.toml").write_text("[api.berlin]\nin_flight = 7\n")
    (directory / "conf.d" / ".30.toml").write_text("broken")
    (directory / "conf.d" / "40.toml.orig").write_text("broken")
    settings = load(API)
    assert list(settings.api) == ["berlin", "bonn"]
    assert settings.api["berlin"].in_flight == 7


def test_a_variable_is_stronger_than_a_credential_is_stronger_than_the_file(load: Load, directory: Path):
    """The order is environment, credential, file; the weaker ones are not even read when they are files."""
    (directory / "creds").mkdir()
    (directory / "creds" / "api.berlin.api_key").write_text("from-credential\n")
    text = API.replace('api_key = "key-of-berlin"', 'api_key_file = "is-not-there"')
    environ = {"CREDENTIALS_DIRECTORY": str(directory / "creds")}
    assert load(text, environ).api["berlin"].api_key.get_secret_value() == "from-credential"
    environ["SYNCD_API__BERLIN__API_KEY"] = "from-environment"
    assert load(text, environ).api["berlin"].api_key.get_secret_value() == "from-environment"
    assert load(API).api["berlin"].api_key.get_secret_value() == "key-of-berlin"


@pytest.mark.parametrize("secret", ["123", "null", "true", '{"a": 1}', "[1]", "1,2", "1e5"])
def test_a_variable_is_taken_as_the_text_that_it_is(load: Load, secret: str):
    """A secret that looks like a number, a list or JSON stays the same letters."""
    environ = {"SYNCD_SYSTEMS__SUPPORT__OPTIONS__CLIENT_SECRET": secret, "SYNCD_API__BERLIN__API_KEY": secret[:3]}
    settings = load(API + SYSTEM, environ)
    assert settings.systems["support"].options.client_secret.get_secret_value() == secret
    assert settings.api["berlin"].api_key.get_secret_value() == secret[:3]


def test_variables_reach_every_kind_of_value(load: Load):
    """Numbers, booleans, choices, lists, tables and the vendor's words in any case can be set by variables."""
    environ = {
        "SYNCD_TIMEZONE": "Europe/Paris",
        "SYNCD_LOG__LEVEL": "debug",
        "SYNCD_API__BERLIN__IN_FLIGHT": "3",
        "SYNCD_API__BERLIN__ON_500": "hold",
        "SYNCD_SYSTEMS__SUPPORT__AUTOMATIC_MESSAGES": "true",
        "SYNCD_SYSTEMS__SUPPORT__LINK_HOSTS": "a.example, b.example",
        "SYNCD_SYSTEMS__SUPPORT__OPTIONS__GROUPS": '["x, y", "z"]',
        "SYNCD_SYSTEMS__SUPPORT__CHANNELS": '{"api": "OTHER"}',
        "SYNCD_SYSTEMS__SUPPORT__STATUSES__ON_HOLD": "CLOSED",
        "syncd_systems__support__poll_seconds": "5",
    }
    settings = load(API + SYSTEM + '[systems.support.statuses]\n"On-Hold" = "ONGOING"\n', environ)
    system = settings.systems["support"]
    assert (settings.timezone, settings.log.level, settings.api["berlin"].in_flight) == ("Europe/Paris", "DEBUG", 3)
    assert settings.api["berlin"].on_500 is On500.HOLD
    assert (system.automatic_messages, system.poll_seconds) == (True, 5)
    assert system.link_hosts == ("a.example", "b.example")
    assert system.options.groups == ["x, y", "z"]
    assert system.channels == {"api": Channel.OTHER}
    assert system.statuses == {"On-Hold": ThreadStatus.CLOSED}


def test_a_hyphen_is_an_underscore_in_variables(load: Load):
    """A shell cannot write SYNCD_API__BERLIN-MITTE__API_KEY, so an underscore reaches berlin-mitte."""
    settings = load(API.replace("berlin", "berlin-mitte"), {"SYNCD_API__BERLIN_MITTE__API_KEY": "other"})
    assert settings.api["berlin-mitte"].api_key.get_secret_value() == "other"


def test_the_environment_alone_can_be_enough():
    """Without a file, variables found apis: a container needs no file."""
    environ = {
        "SYNCD_API__BERLIN__BASE_URL": "https://a.example",
        "SYNCD_API__BERLIN__API_KEY": "k",
        "HOME": "/home/me",
    }
    settings = load_settings(None, environ)
    assert settings.api["berlin"].base_url == "https://a.example"


def test_the_adapter_can_come_from_a_variable(load: Load):
    """A system whose adapter is named by a variable gets that adapter's options."""
    text = SYSTEM.replace('adapter = "desk"', "").replace("client_id", "#")
    environ = {"SYNCD_SYSTEMS__SUPPORT__ADAPTER": "desk", "SYNCD_SYSTEMS__SUPPORT__OPTIONS__CLIENT_ID": "us"}
    assert load(text, environ).systems["support"].options.client_id == "us"


def test_the_state_directory_is_found(load: Load):
    """It is the key, else systemd's first directory, else the SQLite file's, else the user's directory for states."""
    environ = {"STATE_DIRECTORY": "/var/lib/one:/var/lib/two", "HOME": "/home/me"}
    server = '[database]\nurl = "postgresql://db.example/syncd"\n'
    assert load('state_directory = "/srv/state"', environ).state_directory == Path("/srv/state")
    assert load("", environ).state_directory == Path("/var/lib/one")
    assert load('[database]\nurl = "sqlite:////srv/db/syncd.db"').state_directory == Path("/srv/db")
    assert load(server, {"HOME": "/home/me"}).state_directory == Path("/home/me/.local/state/syncd")
    assert load(server, {"XDG_STATE_HOME": "/x"}).state_directory == Path("/x/syncd")


def test_hundreds_of_apis_load_at_once(load: Load, directory: Path):
    """Three hundred studios, one file each and keys as credentials, load in well under a second of work."""
    (directory / "conf.d").mkdir()
    (directory / "credentials").mkdir()
    for number in range(300):
        text = f'[api.studio-{number}]\nbase_url = "https://s{number}.open-api.magicline.com"\n'
        (directory / "conf.d" / f"{number:03}.toml").write_text(text)
        (directory / "credentials" / f"api.studio-{number}.api_key").write_text(f"key-{number}\n")
    begun = time.process_time()
    settings = load(SYSTEM)
    assert time.process_time() - begun < 0.8
    assert settings.api["studio-299"].api_key.get_secret_value() == "key-299"


def test_equal_files_make_equal_settings(load: Load):
    """A reload that changes nothing can be told by comparing; one that changes a secret differs."""
    assert load(API + SYSTEM) == load(API + SYSTEM)
    assert load(API) != load(API.replace("key-of", "new-key-of"))


@pytest.mark.parametrize(
    ("text", "place", "word"),
    [
        (API + "requests_per_minute = 1001\n", "api.berlin.requests_per_minute", "1000"),
        (SYSTEM.replace('"us"', '"old"'), "systems.support.options", "will end in May"),
        ('timezone = "CET"\n', "timezone", "place"),
        ('timezone = "Etc/GMT-1"\n', "timezone", "AHEAD"),
        ('[console]\nlisten = "0.0.0.0:80"\n', "console.listen", "beyond this machine"),
        (
            SYSTEM.replace(
                "[systems.support.options]", 'webhook_secret = "secret-of-hooks"\n[systems.support.options]'
            ),
            "systems.support.webhook_secret",
            "listen",
        ),
        ("", "systems", "nothing to do"),
    ],
)
def test_what_works_and_is_odd_is_a_warning(load: Load, text: str, place: str, word: str):
    """A pace above the contract's, what the adapter says, and odd zones do not stop the start, and are told."""
    found = [problem.message for problem in load(text).warnings() if problem.place == place]
    assert len(found) == 1
    assert word in found[0]


def test_good_settings_have_no_warnings(load: Load):
    """Nothing is warned about when nothing is odd; the contract's own limit is not above it."""
    assert load(API + "requests_per_minute = 1000\n" + SYSTEM).warnings() == []


def test_a_foreign_variable_is_a_warning(load: Load):
    """SYNCD_FOO may belong to somebody else's script; it is told, with the nearest key, and stops nothing."""
    settings = load(API + SYSTEM, {"SYNCD_TIMEZON": "UTC", "SYNCD_CONFIG": "x", "SYNCD_TEST_SERVERS": "required"})
    assert [str(problem) for problem in settings.warnings()] == [
        "SYNCD_TIMEZON: timezon is no setting; did you mean timezone?"
    ]


def test_the_process_environment_is_not_read(load: Load, monkeypatch: pytest.MonkeyPatch):
    """Only the variables that are passed count, so that a test or a reload knows what it is given."""
    monkeypatch.setenv("SYNCD_API__BERLIN__API_KEY", "from-outside")
    monkeypatch.setenv("API", '{"x": 1}')
    assert load(API).api["berlin"].api_key.get_secret_value() == "key-of-berlin"
    assert "API" in os.environ
