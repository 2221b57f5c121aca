"""Who may ask what: names, origins, tokens, addresses, and how often."""

import asyncio

import pytest

from syncd.console.web.guards import BURST, MOST_CLIENTS, WRONG_TOKENS_PER_MINUTE, Buckets, Refused
from tests.console.web.conftest import TOKEN

READ, WRITE = "/api/v1/links", "/api/v1/polls"
BEARER = f"Authorization: Bearer {TOKEN}"


def read(host, *more, path=READ, version="1.1"):
    """Return the lines of a request that reads."""
    return f"GET {path} HTTP/{version}", f"Host: {host}", *more


PUBLIC = f'token = "{TOKEN}"\nhosts = ["syncd.example.org"]'
OURS = ["127.0.0.1", "127.0.0.1:8765", "localhost", "LOCALHOST:1", "[::1]:8765", "Syncd.Example.org"]
OURS += ["syncd.example.org:443"]
FOREIGN = ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", ""]
FOREIGN += ["[::1", "[", "localhost@evil.example", "syncd.example.org.evil.example", "a" * 4000]


async def test_our_names_are_answered(unstarted):
    """This machine's own names and the configured ones pass, in any letters and with any port."""
    served = await unstarted.start(PUBLIC)
    assert {host: (await served.say(*read(host, BEARER))).status for host in OURS} == dict.fromkeys(OURS, 200)


async def test_other_names_are_refused(unstarted):
    """A page of another site that has its name lead here gets nothing, with the token or without."""
    served = await unstarted.start(PUBLIC)
    for more in [(), (BEARER,)]:
        answers = {host: await served.say(*read(host, *more)) for host in FOREIGN}
        assert {host: answer.status for host, answer in answers.items()} == dict.fromkeys(FOREIGN, 421)
    assert "[console] hosts" in answers["evil.example"].json["error"]
    assert (await served.say(*read("evil.example", BEARER, path="/static/syncd.css"))).status == 421


async def test_a_request_without_a_name_is_refused(served):
    """Whoever does not say under which name they ask is not answered."""
    assert (await served.say(f"GET {READ} HTTP/1.0", BEARER)).status == 421
    assert (await served.say(f"GET {READ} HTTP/1.1", BEARER)).status in {400, 421}


async def test_an_address_of_an_interface_is_a_name(unstarted):
    """Where it listens at every address, asking for an address is good, with the token; other names are not."""
    served = await unstarted.start(listen="0.0.0.0:0")
    assert (await served.say(*read("192.0.2.7:8765", BEARER))).status == 200
    assert (await served.say(*read("evil.example", BEARER))).status == 421


async def test_reading_takes_no_token_on_this_machine(served):
    """What changes nothing is answered to this machine itself."""
    assert (await served.get(READ, token=None)).status == 200
    assert (await served.get("/", token=None)).status == 200


async def test_reading_through_a_proxy_takes_the_token(served):
    """What was passed on comes from anybody, though the proxy stands on this machine."""
    lines = ["Forwarded: for=192.0.2.1", "X-Forwarded-For: 192.0.2.1", "X-Real-IP: 192.0.2.1", "Via: 1.1 proxy"]
    lines += ["X-Forwarded-Proto: https", "X-Forwarded-Host: syncd.example.org"]
    for more, status in (((), 401), ((BEARER,), 200)):
        found = {line: (await served.say(*read("127.0.0.1", line, *more))).status for line in lines}
        assert found == dict.fromkeys(lines, status)


async def test_reading_through_a_silent_proxy_takes_the_token(served):
    """A proxy that is set up with no word about itself speaks HTTP/1.0, under the name of this machine."""
    assert (await served.say(*read("127.0.0.1", version="1.0"))).status == 401
    assert (await served.say(*read("127.0.0.1", BEARER, version="1.0"))).status == 200


async def test_reading_under_a_public_name_takes_the_token(unstarted):
    """Whoever asks under a configured name comes from elsewhere, as far as anybody can tell."""
    served = await unstarted.start(f'token = "{TOKEN}"\nhosts = ["syncd.example.org"]')
    assert (await served.say(*read("syncd.example.org"))).status == 401


async def test_reading_from_elsewhere_takes_the_token(unstarted):
    """Where other machines reach it, nobody reads without the token, whatever name they ask under."""
    served = await unstarted.start(listen="0.0.0.0:0")
    assert (await served.say(*read("127.0.0.1"))).status == 401
    assert (await served.say(*read("0.0.0.0"))).status == 401


async def test_without_a_token_in_the_settings_nothing_is_changed(unstarted):
    """With none set this machine reads, and nobody writes, whatever they send as one."""
    served = await unstarted.start("")
    assert (await served.get(READ, token=None)).status == 200
    for token, status in ((None, 403), (TOKEN, 401), ("", 401)):
        answer = await served.ask("POST", WRITE, token=token, body={})
        assert answer.status == status
    assert "[console] token" in (await served.ask("POST", WRITE, token=None, body={})).json["error"]


async def test_changing_takes_the_token(served):
    """What changes something is refused without the token, on this machine as well, and says how to give it."""
    answer = await served.ask("POST", WRITE, token=None, body={})
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "Authorization: Bearer" in answer.json["error"]
    assert served.poked == []


async def test_any_other_method_takes_the_token(served):
    """A method that nobody thought of is one that changes something."""
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
        answer = await served.say(f"{method} {READ} HTTP/1.1", "Host: localhost", "Content-Length: 0")
        assert (method, answer.status) == (method, 401)


async def test_a_wrong_token_is_refused(served):
    """Anything but the token itself is refused, and bytes that are no text are no bug."""
    wrong = [f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer", "Bearer ", f"Bearer {TOKEN.upper()}", TOKEN]
    wrong += [f"Basic {TOKEN}", "Bearer \xe9\xff\xfe", b"Bearer \xc3\xa9\xe2\x82\xac", "Bearer " + "x" * 8000]
    lines = (f"POST {WRITE} HTTP/1.1", "Host: localhost", "Content-Type: application/json", "Content-Length: 2")
    for given in wrong:
        raw = given.encode("latin-1") if isinstance(given, str) else given
        answer = await served.say(*lines, b"Authorization: " + raw, body=b"{}")
        assert (given, answer.status) == (given, 401)
        assert TOKEN not in answer.text


async def test_the_scheme_is_read_as_the_standard_has_it(served):
    """Its letters may be small or large."""
    for scheme in ("bearer", "BEARER", "Bearer  "):
        line = f"Authorization: {scheme} {TOKEN}"
        assert (await served.say(*read("localhost", "Via: 1.1 proxy", line))).status == 200


async def test_wrong_tokens_are_counted(served):
    """After some wrong ones the right one is not looked at either, for a while, and then it is."""
    for _ in range(WRONG_TOKENS_PER_MINUTE):
        assert (await served.get(READ, token="wrong")).status == 401
    for token in ("wrong", TOKEN):
        answer = await served.get(READ, token=token)
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) == 60
    await served.clock.sleep(60)
    assert (await served.get(READ)).status == 200


async def test_a_stranger_behind_the_proxy_keeps_nobody_else_out(served):
    """Behind one proxy each address is counted for itself, and what the client wrote itself is not believed."""
    wrong = "Authorization: Bearer wrong"
    for number in range(WRONG_TOKENS_PER_MINUTE + 1):
        spoofed = f"X-Forwarded-For: 198.51.100.{number}, 192.0.2.1"
        answer = await served.say(*read("localhost", spoofed, wrong))
        assert answer.status == (401 if number < WRONG_TOKENS_PER_MINUTE else 429)
    assert (await served.say(*read("localhost", "X-Forwarded-For: 192.0.2.2", BEARER))).status == 200


async def test_a_network_of_addresses_is_one_client(served):
    """Whoever has a whole network of IPv6 is counted once."""
    for number in range(WRONG_TOKENS_PER_MINUTE + 1):
        line = f"X-Forwarded-For: 2001:db8::{number:x}"
        answer = await served.say(*read("localhost", line, "Authorization: Bearer wrong"))
    assert answer.status == 429


async def test_an_address_that_is_none_is_the_proxys(served):
    """What a proxy passes on as an address and is none is counted with the proxy's own."""
    for number in range(WRONG_TOKENS_PER_MINUTE + 1):
        answer = await served.say(*read("localhost", f"X-Forwarded-For: none-{number}", "Authorization: Bearer wrong"))
    assert answer.status == 429


async def test_too_many_requests_are_refused(served):
    """Beyond a burst requests are paced, with the seconds to wait, and one client's are not another's."""
    answers = await asyncio.gather(*(served.get("/static/syncd.css") for _ in range(BURST + 5)))
    refused = [answer for answer in answers if answer.status == 429]
    assert len(refused) >= 4
    wait = int(refused[0].headers["Retry-After"])
    assert wait >= 1
    assert (await served.say(*read("localhost", "X-Forwarded-For: 192.0.2.2", BEARER))).status == 200
    await served.clock.sleep(wait)
    assert (await served.get(READ)).status == 200


async def test_the_counts_do_not_grow_for_ever(clock):
    """Very many clients push out those who have been away the longest, and nobody who has just been refused."""
    buckets = Buckets(clock, per_minute=1, burst=1)
    buckets.take("first")
    for number in range(MOST_CLIENTS - 1):
        buckets.take(f"client {number}")
    with pytest.raises(Refused):
        buckets.take(f"client {MOST_CLIENTS - 2}")
    buckets.take("one more")
    with pytest.raises(Refused):
        buckets.take(f"client {MOST_CLIENTS - 2}")
    buckets.take("first")
    assert len(buckets._left) == MOST_CLIENTS
    await clock.sleep(120)
    buckets.take("much later")
    assert len(buckets._left) == 1


OWN_PAGES = ["", "Origin: http://localhost:8765", "Origin: https://LOCALHOST:8765", "Sec-Fetch-Site: same-origin"]
OWN_PAGES += ["Sec-Fetch-Site: none"]
OTHER_PAGES = ["Origin: http://evil.example", "Origin: http://localhost:3000", "Origin: null", "Origin: "]
OTHER_PAGES += ["Origin: http://localhost:8765.evil.example", "Origin: http://[::1", "Sec-Fetch-Site: cross-site"]
OTHER_PAGES += ["Sec-Fetch-Site: same-site"]


async def test_another_sites_page_changes_nothing(served):
    """A browser says which page sends; only our own may, whatever token or cookie comes with it."""
    first = (f"POST {WRITE} HTTP/1.1", "Host: localhost:8765", BEARER, "Content-Type: application/json")
    for lines, status in ((OTHER_PAGES, 403), (OWN_PAGES, 202)):
        assert served.poked == []
        for line in lines:
            answer = await served.say(*first, "Content-Length: 2", *filter(None, [line]), body=b"{}")
            assert (line, answer.status) == (line, status)
    assert served.poked


async def test_another_sites_page_embeds_nothing(served):
    """What is read here is not loaded into a page of another site; a link from one is followed."""
    foreign = "Sec-Fetch-Site: cross-site"
    assert (await served.say(*read("localhost", foreign, "Sec-Fetch-Mode: no-cors"))).status == 403
    assert (await served.say(*read("localhost", "Sec-Fetch-Site: same-site"))).status == 403
    assert (await served.say(*read("localhost", foreign, "Sec-Fetch-Mode: navigate", path="/"))).status == 200
    assert (await served.say(*read("localhost", "Sec-Fetch-Site: same-origin"))).status == 200


async def test_no_other_site_may_read(served):
    """No answer allows another origin anything, not even where it is asked for."""
    for method in ("GET", "OPTIONS"):
        headers = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "PUT"}
        answer = await served.ask(method, READ, headers=headers)
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


async def test_who_asks_is_named_in_the_records(served):
    """The name that a program gives itself stands in the records, without anything that could be taken for more."""
    said = {"X-Syncd-Who": "crm-sync \x9b31m \u202e" + "x" * 200}
    body = {"reason": "maintenance"}
    await served.ask("POST", "/api/v1/systems/desk/pause", body=body, headers=said)
    (system,) = [one for one in (await served.get("/api/v1/systems")).json["systems"] if one["name"] == "desk"]
    who = system["reason"].partition(": ")[0]
    assert who.startswith("crm-sync")
    assert who.endswith(" (API)")
    assert who.isprintable()
    assert len(who) < 100
