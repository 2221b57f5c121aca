"""Adapters by name, and their options checked all at once."""

import subprocess
import sys
import textwrap
from enum import StrEnum
from importlib import import_module, invalidate_caches

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from syncd.model.errors import SettingsError
from syncd.sources.adapter import AdapterConfig
from syncd.sources.registry import adapter_names, load_adapter, open_adapter, validate_options
from syncd.testing.in_memory import InMemory


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a module with an adapter's name on it, as a package of somebody else would be."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install_one(name, target, source):
        (site / f"{target.partition(':')[0]}.py").write_text(textwrap.dedent(source))
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[syncd.adapters]\n{name} = {target}\n")
        invalidate_caches()

    return install_one


def test_adapters_are_listed_and_loaded_by_name():
    """An installed adapter is listed, and its name gives its class."""
    assert "in_memory" in adapter_names()
    assert load_adapter("in_memory") is InMemory


def test_nothing_is_imported_that_is_not_asked_for():
    """Naming one adapter imports no other: an adapter that is broken or slow harms only those who use it."""
    program = """
        import sys
        from syncd.sources.registry import adapter_names, load_adapter
        load_adapter("in_memory")
        print([name for name in sys.modules if name.startswith("adapters")], adapter_names())
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("[] ")
    assert "zendesk" in run.stdout


def test_an_unknown_name_is_told_with_the_nearest_one():
    """A slip of the pen is answered with the name that was meant."""
    with pytest.raises(SettingsError, match="no adapter 'in_memroy'; did you mean 'in_memory'"):
        load_adapter("in_memroy")


def test_a_name_like_no_other_is_told_with_all_names():
    """Where nothing is near, all names are told."""
    with pytest.raises(SettingsError, match=r"installed are .*in_memory, in_memory_plain, .*zendesk"):
        load_adapter("xyzzy")


def test_somebody_elses_adapter_is_found(install):
    """An adapter of another package is found by its entry point."""
    install("third", "third_party:Third", "from syncd.testing.in_memory import InMemory\nclass Third(InMemory): pass\n")
    assert load_adapter("third") is import_module("third_party").Third


@pytest.mark.parametrize(
    ("target", "source", "words"),
    [
        ("broken_a:Adapter", "import no_such_module_here", "cannot be imported: No module named 'no_such_module_here'"),
        ("broken_b:Missing", "", "cannot be imported"),
        ("broken_c:Thing", "def oops(:", "cannot be imported"),
        ("broken_d:Thing", "class Thing: pass", "is no subclass of syncd.sources.adapter.Adapter"),
        ("broken_e:Thing", "Thing = 5", "is no subclass"),
    ],
)
def test_an_adapter_that_cannot_be_used_is_a_mistake_in_the_settings(install, target, source, words):
    """What is wrong with an adapter's package is told in words, with the place."""
    install("broken", target, source)
    with pytest.raises(SettingsError, match=words) as caught:
        load_adapter("broken")
    assert target in str(caught.value)


class Speed(StrEnum):
    """A choice."""

    SLOW = "slow"
    FAST = "fast"


class Inner(BaseModel):
    """A table inside the options."""

    model_config = ConfigDict(extra="forbid")

    mailbox: str = "inbox"


class DemandingConfig(AdapterConfig):
    """Options of many kinds."""

    token: SecretStr
    pages: int = Field(default=5, ge=1)
    speed: Speed = Speed.SLOW
    inner: Inner = Inner()

    @field_validator("token")
    @classmethod
    def check_token(cls, token):
        """Refuse a token in words that are careless enough to repeat it."""
        if not token.get_secret_value().startswith("ok"):
            raise ValueError(f"{token.get_secret_value()} must begin with ok")
        return token


class Demanding(InMemory):
    """An adapter with these options."""

    config = DemandingConfig


GOOD = {"base_url": "https://acme.test", "token": "ok-hush"}


def problems(options):
    """Return the mistakes in options, by place."""
    with pytest.raises(SettingsError) as caught:
        validate_options(Demanding, options)
    return {problem.place: problem.message for problem in caught.value.problems}


def test_good_options_become_the_adapters_config():
    """Options are checked and typed."""
    options = validate_options(Demanding, {**GOOD, "speed": "fast", "inner": {"mailbox": "x"}})
    assert isinstance(options, DemandingConfig)
    assert (options.speed, options.inner.mailbox) == (Speed.FAST, "x")


def test_all_mistakes_are_told_at_once_without_what_was_written():
    """Every mistake comes with its place; neither a secret nor any other text of the options is repeated."""
    found = problems({"token": "secret-value", "pages": "many-pages", "speed": "warp", "inner": {"mailbxo": "private"}})
    assert found == {
        "base_url": "is missing",
        "token": "... must begin with ok",
        "pages": "Input should be a valid integer, unable to parse string as an integer",
        "speed": "Input should be 'slow' or 'fast'",
        "inner.mailbxo": "is not a known key; did you mean 'mailbox'?",
    }


def test_an_unknown_key_is_told_with_the_nearest_one():
    """A misspelt key is answered with the key that was meant, and its value is not repeated."""
    found = problems({**GOOD, "tokne": "other-secret", "xyzzy": 1})
    assert found == {"tokne": "is not a known key; did you mean 'token'?", "xyzzy": "is not a known key"}


def test_the_base_address_is_checked_before_any_request():
    """An address that would send the credentials in the clear is found by the check of the settings."""
    assert "must begin with https" in problems({**GOOD, "base_url": "http://acme.test"})["base_url"]


async def test_an_opened_adapter_has_its_options_and_closes_its_http(clock):
    """The adapter is handed its options, the hosts of links and the HTTP; closing it without a request is harmless."""
    options = validate_options(InMemory, {"base_url": "https://acme.test", "token": "hush-4711"})
    async with open_adapter(InMemory, options, clock=clock, link_hosts=["Help.Acme.test"]) as opened:
        assert isinstance(opened.adapter, InMemory)
        assert opened.adapter.options is options
        assert opened.adapter.http is opened.http
        assert opened.adapter.link_hosts == {"help.acme.test"}
        assert opened.http.requests_sent == 0
        assert "hush-4711" not in repr(opened)
