"""Who is asked: the configured hosts alone, whatever an answer or a ticket link names."""

import re
from pathlib import Path

import pytest

from syncd.model.errors import InvalidTicketRef
from syncd.sources.links import parse_ticket_link
from syncd.sources.registry import adapter_names, load_adapter

TESTS = Path(__file__).parents[1]
BASE = "https://acme.example"
STRANGE_LINKS = [
    "https://acme.example@evil.invalid/tickets/1",
    "https://user:pass@acme.example/tickets/1",
    "https://evil.invalid#@acme.example/tickets/1",
    "https://evil.invalid\\@acme.example/tickets/1",
    "https://evil.invalid/https://acme.example/tickets/1",
    "https://acme.example.evil.invalid/tickets/1",
    "https://acme.example:8443/tickets/1",
    "https://acme.example:99999/tickets/1",
    "https://acme.example%2eevil.invalid/tickets/1",
    "https://acme.example%00.evil.invalid/tickets/1",
    "https://169.254.169.254/latest/meta-data/",
    "http://localhost/tickets/1",
    "http://127.0.0.1:6379/tickets/1",
    "http://[::1]/tickets/1",
    "http://[::ffff:169.254.169.254]/tickets/1",
    "http://2130706433/tickets/1",
    "http://0x7f.1/tickets/1",
    "http://0177.0.0.1/tickets/1",
    "file:///etc/passwd",
    "file://acme.example/etc/passwd",
    "gopher://acme.example/1",
    "javascript:alert(1)//acme.example",
    "data:text/html,acme.example",
    "ftp://acme.example/tickets/1",
    "//acme.example/tickets/1",
    "https:acme.example/tickets/1",
    "https:///acme.example/tickets/1",
    "https://acme.example/tickets/1\r\nHost: evil.invalid",
    "https://acme.example/tickets/1\x00",
    "https://acme.example/tickets/\x9b1",
    "https://acme.example/tickets/\x7f1",
    "https://acme.example/tickets/\u202e1",
    "https://\u0430cme.example/tickets/1",  # a Cyrillic letter
    "https://acme.\u212example/tickets/1",
    "https://acme\u3002example/tickets/1",  # a full stop that some libraries take for a dot
    "https://\uff41cme.example/tickets/1",
    "https://acme.example\u2215evil.invalid/tickets/1",
    "https://[acme.example]/tickets/1",
    "https://[/tickets/1",
    "https://acme.example/" + "1" * 4096,
]


@pytest.mark.parametrize("link", STRANGE_LINKS)
def test_a_strange_link_is_refused(link: str):
    """User info, other and inner hosts, other schemes, controls, look-alikes: refused, and none is asked."""
    with pytest.raises(InvalidTicketRef):
        parse_ticket_link(link, BASE, ["help.acme.example"])


@pytest.mark.parametrize("link", ["https://acme.example/t/1", "http://ACME.example/t/1", "https://help.acme.example/1"])
def test_an_honest_link_is_parsed(link: str):
    """The configured host and those of link_hosts are fine."""
    assert parse_ticket_link(link, BASE, ["help.acme.example"]).path.endswith("1")


def test_a_refused_link_shows_no_credentials():
    """User info of a link is a secret that somebody pasted."""
    with pytest.raises(InvalidTicketRef) as refused:
        parse_ticket_link("https://user:hush-4711@acme.example/tickets/1", BASE, [])
    assert "hush" not in str(refused.value)


def test_every_adapter_is_led_astray():
    """No adapter of the registry is left out of the test that leads it to another host (tests/security/strays.py)."""
    suites = [
        file.read_text()
        for file in [*TESTS.glob("adapters/*/test_contract.py"), TESTS / "testing" / "test_in_memory.py"]
    ]
    tested = {
        name
        for text in suites
        if re.search(r"AdapterContract, (MainJob|LeadAstray)", text)
        for name in re.findall(r"^    adapter = (\w+)", text, re.MULTILINE)
    }
    assert {load_adapter(name).__name__ for name in adapter_names()} <= tested
