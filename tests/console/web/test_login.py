"""Logging in: the token for a cookie, and nothing else for it."""

import time
from http.cookies import SimpleCookie

from syncd.console.web import session
from syncd.console.web.guards import WRONG_TOKENS_PER_MINUTE
from syncd.console.web.login import safe_path
from tests.console.web.conftest import OTHER_TOKEN, TOKEN

FORM = "application/x-www-form-urlencoded"


async def log_in(served, body=f"token={TOKEN}&name=ann", content_type=FORM, **headers):
    """Send the form."""
    sent = {"Content-Type": content_type} | headers
    return await served.ask("POST", "/login", token=None, data=body.encode(), headers=sent)


def cookie_of(answer):
    """Return the cookie that an answer sets."""
    return SimpleCookie(answer.headers["Set-Cookie"])[session.COOKIE]


def bearing(answer):
    """Return the headers of whoever has logged in, as seen through a proxy, where reading takes a login."""
    return {"Cookie": f"{session.COOKIE}={cookie_of(answer).coded_value}", "X-Forwarded-For": "192.0.2.1"}


async def test_the_token_is_given_for_a_cookie(served):
    """With the token and a name somebody is logged in, and their name stands under what they decide."""
    answer = await log_in(served)
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    headers = bearing(answer)
    assert (await served.get("/", token=None, headers=headers)).status == 200
    body = {"reason": "holidays"}
    paused = await served.ask("POST", "/api/v1/systems/desk/pause", token=None, body=body, headers=headers)
    assert (paused.status, paused.json["reason"]) == (200, "ann: holidays")


async def test_the_cookie_is_kept_from_scripts_and_other_sites(served):
    """No script reads it, no other site's page has it sent, and behind TLS it goes nowhere else."""
    cookie = cookie_of(await log_in(served))
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
    assert not cookie["secure"]
    assert int(cookie["max-age"]) == session.LIFE.total_seconds()
    behind_tls = await log_in(served, Origin=f"https://127.0.0.1:{served.port}")
    assert cookie_of(behind_tls)["secure"]


async def test_a_cookie_ends(served):
    """It ends with its time, with the token in the settings, and by logging out."""
    headers = bearing(await log_in(served))
    out = await served.ask("POST", "/logout", token=None, headers=headers)
    assert (out.status, cookie_of(out)["max-age"]) == (303, "0")
    served.settings = served.load(f'token = "{OTHER_TOKEN}"')
    assert (await served.get("/", token=None, headers=headers)).status == 401
    served.settings = served.load()
    assert (await served.get("/", token=None, headers=headers)).status == 200
    await served.clock.sleep(session.LIFE.total_seconds())
    assert (await served.get("/", token=None, headers=headers)).status == 401


async def test_a_wrong_token_is_not_taken(served):
    """It is refused in the form, where it is not repeated, and after some the right one is not looked at."""
    for _ in range(WRONG_TOKENS_PER_MINUTE):
        answer = await log_in(served, "token=not-the-right-one&name=ann")
        assert answer.status == 401
    assert "not-the-right-one" not in answer.text
    assert "Set-Cookie" not in answer.headers
    refused = await log_in(served)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "60")
    assert "Set-Cookie" not in refused.headers


async def test_nobody_logs_in_without_a_name(served):
    """What is decided has a name under it; one of blanks and controls is none."""
    for name in ("", "+++", "%00%1b%0a"):
        assert (await log_in(served, f"token={TOKEN}&name={name}")).status == 400
    headers = bearing(await log_in(served, f"token={TOKEN}&name=%1b[31m" + "x" * 500))
    who = session.find_who(TOKEN, headers["Cookie"].partition("=")[2].strip('"'), served.clock.now())
    assert who is not None
    assert who.isprintable()
    assert len(who) == session.LONGEST_NAME


async def test_without_a_token_there_is_nothing_to_log_in_to(unstarted):
    """With none in the settings no form makes somebody out of nobody."""
    served = await unstarted.start("")
    for token in ("", "None", TOKEN):
        answer = await log_in(served, f"token={token}&name=ann")
        assert answer.status == 403
        assert "Set-Cookie" not in answer.headers


async def test_a_form_that_cannot_be_read(served):
    """What is no form is refused, and is no bug."""
    assert (await log_in(served, "token=%ff&name=%ff", f"{FORM}; charset=no-such-letters")).status == 400
    broken = await served.ask("POST", "/login", token=None, data=b"token=\xff\xfe", headers={"Content-Type": FORM})
    assert broken.status in {400, 401}
    assert (await log_in(served, "--x\r\nrubbish", "multipart/form-data; boundary=x")).status == 400
    assert (await log_in(served, "--x\r\n", "multipart/form-data")).status == 400
    assert (await log_in(served, "x" * 1_100_000)).status == 413
    assert (await log_in(served, "", "text/plain")).status == 400


async def test_letters_that_take_minutes_to_read(served):
    """A stranger's form in an encoding that Python reads in minutes is refused unread: the worker stands still else."""
    body = "a" * 60_000 + "-" + "a" * 60_000
    began = time.monotonic()
    assert (await log_in(served, body, f"{FORM}; charset=punycode")).status == 400
    assert time.monotonic() - began < 1


async def test_a_form_that_does_not_come(served):
    """Whoever sends the beginning of a login and then nothing is not waited for for ever."""
    first = ("POST /login HTTP/1.1", "Host: localhost", f"Content-Type: {FORM}", "Content-Length: 100")
    assert (await served.say(*first, body=b"token=")).status == 408


async def test_another_sites_form_logs_nobody_in(served):
    """Not even with the right token: what is done then would stand under another's name."""
    assert (await log_in(served, Origin="http://evil.example")).status == 403


async def test_a_login_leads_back_and_nowhere_else(served):
    """Where somebody came from is one of our pages, whatever the address says."""
    assert (await log_in(served, f"token={TOKEN}&name=ann&next=/links?state=active")).headers["Location"] == (
        "/links?state=active"
    )
    elsewhere = ["//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example"]
    elsewhere += ["javascript:alert(1)", "evil.example", "", " //evil.example", "/\r\nSet-Cookie: a=b", "/\u2028/x"]
    assert {path: safe_path(path) for path in elsewhere} == dict.fromkeys(elsewhere, "/")
    page = await served.get("/login?next=//evil.example", token=None)
    assert page.status == 200
    assert "evil.example" not in page.text
    odd = await log_in(served, f"token={TOKEN}&name=ann&next=/.//evil.example")
    assert not odd.headers["Location"].startswith("//")
