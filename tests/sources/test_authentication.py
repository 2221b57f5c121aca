"""Signing: OAuth tokens are fetched once, renewed in time, and shown to nobody."""

import asyncio
import json
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from pydantic import SecretStr

from syncd.model.errors import PauseSystem, RetryLater, SettingsError, UnexpectedAnswer
from syncd.sources.adapter import (
    BasicAuthentication,
    HeaderAuthentication,
    ParameterAuthentication,
    Refused,
    SessionAuthentication,
    TokenAuthentication,
)

CLIENT_SECRET = "client-hush"


def token(**more):
    """Return an authentication by client credentials."""
    return TokenAuthentication("/oauth/token", "client-1", SecretStr(CLIENT_SECRET), **more)


def grant(name="token-1", lifetime=3600):
    """Return the body of an answer with a token."""
    return json.dumps({"access_token": name, "expires_in": lifetime})


def paths(vendor):
    """Return what was asked, and with which Authorization."""
    return [(asked.path, asked.headers.get("Authorization")) for asked in vendor.asked]


async def test_a_token_is_fetched_once_and_used(open_http, vendor):
    """The first request fetches a token by form; the next ones use it."""
    vendor.then(body=grant()).then().then()
    http = open_http(vendor.base_url, token(form={"grant_type": "client_credentials", "scope": "read"}))
    await http.get("/a")
    await http.get("/b")
    assert paths(vendor) == [("/oauth/token", None), ("/a", "Bearer token-1"), ("/b", "Bearer token-1")]
    assert parse_qs(vendor.asked[0].body.decode()) == {
        "grant_type": ["client_credentials"],
        "scope": ["read"],
        "client_id": ["client-1"],
        "client_secret": [CLIENT_SECRET],
    }


async def test_a_token_can_be_asked_for_in_json(open_http, vendor):
    """A vendor that wants JSON gets JSON, numbers as numbers; the scheme is the vendor's too."""
    vendor.then(body=grant()).then()
    http = open_http(vendor.base_url, token(form={"expires_in": 300}, as_json=True, scheme="Zoho-oauthtoken"))
    await http.get("/a")
    sent = json.loads(vendor.asked[0].body)
    assert sent == {"expires_in": 300, "client_id": "client-1", "client_secret": CLIENT_SECRET}
    assert vendor.asked[1].headers["Authorization"] == "Zoho-oauthtoken token-1"


async def test_many_readers_share_one_fetch(open_http, vendor):
    """Requests that need a token at the same time wait for one fetch."""
    vendor.then(body=grant())
    for _ in range(8):
        vendor.then()
    http = open_http(vendor.base_url, token())
    await asyncio.gather(*(http.get("/x") for _ in range(8)))
    assert [path for path, _ in paths(vendor)].count("/oauth/token") == 1


async def test_a_token_is_renewed_before_its_end(open_http, vendor, clock):
    """A minute before its end a token is replaced, so that no request meets its end."""
    vendor.then(body=grant("token-1", 3600)).then().then().then(body=grant("token-2", 3600)).then()
    http = open_http(vendor.base_url, token())
    await http.get("/a")
    await clock.sleep(3500)
    await http.get("/b")
    await clock.sleep(50)
    await http.get("/c")
    assert paths(vendor)[2:] == [("/b", "Bearer token-1"), ("/oauth/token", None), ("/c", "Bearer token-2")]


async def test_a_token_without_an_end_is_kept(open_http, vendor, clock):
    """A vendor that tells no lifetime is believed until it refuses."""
    vendor.then(body='{"access_token": "token-1"}').then().then()
    http = open_http(vendor.base_url, token())
    await http.get("/a")
    await clock.sleep(1_000_000)
    await http.get("/b")
    assert len(vendor.asked) == 3


async def test_a_refused_token_is_replaced_once(open_http, vendor):
    """A 401 fetches a new token and asks again, and the caller sees nothing of it."""
    vendor.then(body=grant("token-1")).then(401).then(body=grant("token-2")).then(body="[1]")
    http = open_http(vendor.base_url, token())
    assert (await http.get("/a")).json() == [1]
    assert paths(vendor)[3] == ("/a", "Bearer token-2")


async def test_two_refused_tokens_pause_the_system(open_http, vendor):
    """If the new token is refused too, a person must look."""
    vendor.then(body=grant("token-1")).then(401).then(body=grant("token-2")).then(401)
    http = open_http(vendor.base_url, token())
    with pytest.raises(PauseSystem):
        await http.get("/a")


async def test_requests_refused_one_after_the_other_renew_once(open_http, vendor, clock):
    """Requests under way when a token ends share one new one: a late 401 does not throw the new token away."""
    good = "token-1"
    fetched = 0

    async def answer(request):
        nonlocal fetched
        if request.path == "/oauth/token":
            fetched += 1
            return web.Response(text=grant(good))
        await clock.sleep(len(vendor.asked))
        return web.Response(status=200 if request.headers["Authorization"] == f"Bearer {good}" else 401, text="[]")

    for _ in range(11):
        vendor.then_do(answer)
    http = open_http(vendor.base_url, token())
    await http.get("/x")
    good = "token-2"
    await asyncio.gather(*(http.get("/x") for _ in range(4)))
    assert fetched == 2
    assert http.requests_sent == len(vendor.asked) == 11


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_refused_client_credentials_pause_the_system(open_http, vendor, status):
    """A vendor that gives no token needs a person; the message holds no secret."""
    vendor.then(status, body=f'{{"error": "invalid_client {CLIENT_SECRET}"}}')
    error = None
    try:
        await open_http(vendor.base_url, token()).get("/a")
    except PauseSystem as caught:
        error = caught
    assert error is not None
    assert "no access token" in str(error)
    assert CLIENT_SECRET not in repr(error)
    assert not isinstance(error.__context__, Refused)


async def test_a_busy_token_endpoint_is_retried(open_http, vendor):
    """The fetch of a token is as patient as any read."""
    vendor.then(503).then(429, headers={"Retry-After": "900"})
    with pytest.raises(RetryLater) as caught:
        await open_http(vendor.base_url, token()).get("/a")
    assert caught.value.wait_seconds == 900


@pytest.mark.parametrize("status", [501, 520, 522, 530])
async def test_a_token_endpoint_out_of_reach_is_no_wrong_credential(open_http, vendor, status):
    """What stands before a token endpoint and cannot reach it says nothing about credentials: it is tried later."""
    vendor.then(status, body="<html>timed out</html>", content_type="text/html")
    with pytest.raises(RetryLater, match=f"now .status {status} from /oauth/token"):
        await open_http(vendor.base_url, token()).get("/a")


async def test_who_gives_out_the_tokens_is_named_when_it_is_away(open_http, vendor):
    """When tokens come from another host and that one is away, the message names it, and not the one with the data."""
    elsewhere = token(base_url=vendor.base_url)
    vendor.then(503).then(503).then(503)
    with pytest.raises(RetryLater, match=r"^127\.0\.0\.1 cannot answer /oauth/token now"):
        await open_http("https://desk.acme.test", elsewhere).get("/a")
    vendor.then(301, headers={"Location": "https://accounts.acme.test/"})
    with pytest.raises(PauseSystem, match=r"^127\.0\.0\.1 redirects /oauth/token to accounts"):
        await open_http("https://desk.acme.test", elsewhere).get("/a")


@pytest.mark.parametrize(
    "body",
    ["[]", "{}", '{"access_token": ""}', '{"access_token": "a\\nb"}', '{"access_token": "a", "expires_in": "soon"}'],
)
async def test_an_answer_without_a_usable_token_is_unexpected(open_http, vendor, body):
    """What is no token, or no lifetime, is told without repeating it."""
    vendor.then(body=body)
    with pytest.raises(UnexpectedAnswer, match="/oauth/token answered"):
        await open_http(vendor.base_url, token()).get("/a")


async def test_a_lifetime_may_be_written_as_text(open_http, vendor):
    """A server that writes the seconds of a token's life as text gives tokens that can be used, until they end."""
    vendor.then(body='{"access_token": "a", "expires_in": "3600"}').then(body="{}")
    assert (await open_http(vendor.base_url, token()).get("/a")).status == 200


@pytest.mark.parametrize("secret", ["", "abc\n", "a\x00b"])
async def test_a_secret_that_no_header_can_carry_is_a_settings_error(open_http, secret):
    """An empty secret, or one with the line end of its file, is found before any request, and not repeated."""
    kinds = (
        HeaderAuthentication(SecretStr(secret)),
        BasicAuthentication("me", SecretStr(secret)),
        TokenAuthentication("/t", "id", SecretStr(secret)),
    )
    for authentication in kinds:
        with pytest.raises(SettingsError) as caught:
            open_http("https://acme.test", authentication)
        assert not secret or secret not in str(caught.value)


async def test_a_user_name_with_a_colon_is_a_settings_error(open_http):
    """HTTP Basic cannot tell where such a name ends."""
    with pytest.raises(SettingsError, match="colon"):
        open_http("https://acme.test", BasicAuthentication("a:b", SecretStr("c")))


def zoho(vendor, elsewhere=""):
    """Return an authentication by a refresh token, given out at another address."""
    return token(
        form={"grant_type": "refresh_token"},
        secret_form={"refresh_token": SecretStr("refresh-hush")},
        base_url=elsewhere,
    )


async def test_a_secret_of_the_form_is_sent_and_shown_to_nobody(open_http, vendor):
    """A refresh token goes into the form, and into no repr."""
    vendor.then(body=grant()).then()
    authentication = zoho(vendor)
    await open_http(vendor.base_url, authentication).get("/a")
    assert parse_qs(vendor.asked[0].body.decode())["refresh_token"] == ["refresh-hush"]
    assert "hush" not in repr(authentication)


async def test_tokens_may_be_given_out_elsewhere(open_http, vendor):
    """With an address of its own the token comes from there, and everything else from the base address."""
    vendor.then(body=grant()).then()
    http = open_http(f"{vendor.base_url}/desk", zoho(vendor, f"{vendor.base_url}/accounts"))
    await http.get("/tickets")
    assert [path for path, _ in paths(vendor)] == ["/accounts/oauth/token", "/desk/tickets"]


async def test_headers_of_the_connection_stay_at_its_address(open_http, vendor):
    """What goes with every request to a vendor, secrets among it, is not shown where its tokens are given out."""
    vendor.then(body=grant()).then()
    more = {"headers": {"orgId": "7"}, "secret_headers": {"App-Token": SecretStr("app-hush")}}
    http = open_http(f"{vendor.base_url}/desk", zoho(vendor, f"{vendor.base_url}/accounts"), **more)
    await http.get("/tickets")
    shown = [(one.headers.get("orgId"), one.headers.get("App-Token")) for one in vendor.asked]
    assert shown == [(None, None), ("7", "app-hush")]


async def test_an_error_inside_a_200_pauses_the_system(open_http, vendor):
    """A token endpoint that refuses with 200 and an error is heard."""
    vendor.then(body='{"error": "invalid_code"}')
    with pytest.raises(PauseSystem, match="refuses the credentials"):
        await open_http(vendor.base_url, zoho(vendor)).get("/a")


@pytest.mark.parametrize("status", [200, 400])
async def test_too_many_tokens_is_no_wrong_credential(open_http, vendor, status):
    """Being asked for too many tokens passes by itself, so it does not pause the system."""
    said = "You have made too many requests continuously."
    vendor.then(status, body=json.dumps({"error": "Access Denied", "error_description": said}))
    with pytest.raises(RetryLater):
        await open_http(vendor.base_url, zoho(vendor)).get("/a")


async def test_parameters_sign_every_request(open_http, vendor):
    """Secrets that a vendor takes in the query alone stand behind the request's own parameters."""
    vendor.then()
    signed = ParameterAuthentication({"UserLogin": "syncd", "Password": SecretStr("p+w&d")})
    await open_http(vendor.base_url, signed).get("/a", params={"x": 1})
    assert vendor.asked[0].path == "/a?x=1&UserLogin=syncd&Password=p%2Bw%26d"
    assert "p+w" not in repr(signed)


def session(**more):
    """Return an authentication by a session that a GET opens."""
    signed = {"Authorization": SecretStr("user_token session-hush")}
    return SessionAuthentication("/initSession", "session_token", headers=signed, **{"header": "Session-Token", **more})


async def test_a_session_is_opened_once_and_carried(open_http, vendor):
    """The first request opens a session, with its own headers alone; the next ones carry it."""
    vendor.then(body='{"session_token": "s-1"}').then().then()
    http = open_http(vendor.base_url, session(), secret_headers={"App-Token": SecretStr("app-hush")})
    await http.get("/a")
    await http.get("/b")
    told = [
        (one.method, one.path, one.headers.get("Authorization"), one.headers.get("Session-Token"))
        for one in vendor.asked
    ]
    opening = ("GET", "/initSession", "user_token session-hush", None)
    assert told == [opening, ("GET", "/a", None, "s-1"), ("GET", "/b", None, "s-1")]
    assert {one.headers.get("App-Token") for one in vendor.asked} == {"app-hush"}


async def test_a_session_can_be_opened_by_post_and_carried_in_the_query(open_http, vendor):
    """Where a vendor wants it so, the credentials go as JSON and the session in a parameter."""
    vendor.then(body='{"SessionID": "s-1"}').then()
    form = {"UserLogin": "syncd", "Password": SecretStr("hush")}
    signed = SessionAuthentication("/Session", "SessionID", form=form, parameter="SessionID")
    await open_http(vendor.base_url, signed).get("/Ticket/1")
    assert json.loads(vendor.asked[0].body) == {"UserLogin": "syncd", "Password": "hush"}
    assert vendor.asked[1].path == "/Ticket/1?SessionID=s-1"


@pytest.mark.parametrize(
    ("status", "body"), [(401, '["ERROR_SESSION_TOKEN_INVALID","x"]'), (200, '{"Error": "AuthFail"}')]
)
async def test_a_session_that_is_over_is_opened_anew(open_http, vendor, status, body):
    """On 401, and on a 200 that says the same, the session is opened again and the request repeated once."""
    vendor.then(body='{"session_token": "s-1"}').then(status, body).then(body='{"session_token": "s-2"}').then(
        body="[1]"
    )
    http = open_http(vendor.base_url, session(is_over=lambda response: b"AuthFail" in response.body))
    assert (await http.get("/a")).json() == [1]
    assert [one.headers.get("Session-Token") for one in vendor.asked] == [None, "s-1", None, "s-2"]


async def test_a_session_in_the_query_is_opened_anew(open_http, vendor):
    """A session that is carried in a parameter and has ended is replaced there, too."""
    vendor.then(body='{"SessionID": "s-1"}').then(401).then(body='{"SessionID": "s-2"}').then()
    signed = SessionAuthentication("/Session", "SessionID", form={"UserLogin": "syncd"}, parameter="SessionID")
    await open_http(vendor.base_url, signed).get("/Ticket/1")
    assert [one.path for one in vendor.asked] == [
        "/Session",
        "/Ticket/1?SessionID=s-1",
        "/Session",
        "/Ticket/1?SessionID=s-2",
    ]


async def test_a_session_that_is_refused_again_pauses_the_system(open_http, vendor):
    """A new session that is as little good as the old one is for a person to look at, in a 200 too."""
    for name in ("s-1", "s-2"):
        vendor.then(body=f'{{"session_token": "{name}"}}').then(body='{"Error": "AuthFail"}')
    http = open_http(vendor.base_url, session(is_over=lambda response: b"AuthFail" in response.body))
    with pytest.raises(PauseSystem, match="refuses the credentials"):
        await http.get("/a")


@pytest.mark.parametrize(
    ("status", "body"), [(200, '{"Error": {"ErrorCode": "AuthFail"}}'), (401, '["ERROR"]'), (400, "[]")]
)
async def test_no_session_no_system(open_http, vendor, status, body):
    """Credentials that open no session pause the system, and the message holds none of them."""
    vendor.then(status, body)
    with pytest.raises(PauseSystem) as caught:
        await open_http(vendor.base_url, session()).get("/a")
    assert "hush" not in str(caught.value)


async def test_a_token_that_has_ended_is_not_told_either(open_http, vendor):
    """A vendor that quotes the token it refused, when it gives out no other, does not get it into a message."""
    refusal = json.dumps({"error": "invalid_token", "error_description": "token-1-hush has ended"})
    vendor.then(body=grant("token-1-hush")).then(401).then(400, body=refusal).then(body=grant("token-2-hush"))
    vendor.then(400, body=refusal)
    http = open_http(vendor.base_url, token())
    for _ in range(2):
        with pytest.raises((PauseSystem, Refused)) as failed:
            await http.get("/a")
        assert "token-1-hush" not in str(failed.value)


def test_no_part_of_a_sign_in_is_in_a_repr():
    """User names are often somebody's address; they are as little shown as secrets."""
    shown = repr(BasicAuthentication("someone@example.com/token", SecretStr("hush")))
    assert "someone" not in shown
    assert "hush" not in shown
