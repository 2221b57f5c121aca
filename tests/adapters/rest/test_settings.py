"""What stands in the settings is checked when they are loaded, and each mistake is told with its place."""

import tomllib
from pathlib import Path

import pytest

from adapters.rest import Rest
from syncd.model.errors import PauseSystem, SettingsError, TicketUnavailable, UnexpectedAnswer
from syncd.model.ticket import TicketRef
from syncd.service.settings import load_settings
from syncd.sources.adapter import Capability
from syncd.sources.registry import validate_options
from tests.adapters.rest.flavours import PAGING, put, settings
from tests.adapters.rest.stand_in import RestStandIn

RECIPES = sorted((Path(__file__).parents[3] / "docs" / "recipes").glob("*.toml"))
REST_OF_SETTINGS = """timezone = "Europe/Berlin"
[api.berlin]
base_url = "https://api.example.com"
api_key = "fake"
mode = "hold"
"""


@pytest.fixture
def options():
    """Settings with everything in them."""
    desk = RestStandIn(None, paging="page_number")
    desk.base_url = "https://desk.example"
    return settings(desk, replies="list", feed=True)


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("ticket.fields.subject", "title[ x", "JMESPath: not expected at column 8"),
        ("ticket.fields.subject", "title $", "JMESPath: a character that cannot stand there at column 7"),
        ("ticket.fields.subject", "a[?b == `1`", "JMESPath: the expression ends too early at column 12"),
        ("ticket.fields.subject", "", "JMESPath: the expression is empty"),
        ("replies.fields.body", "titel(@)", "JMESPath: there is no function titel()"),
        ("replies.fields.author_kind", "join('a')", "JMESPath: join() takes 2 values and is given 1"),
        ("replies.fields.attachments.size", "to_number()", "JMESPath: to_number() takes 1 values and is given 0"),
        ("replies.fields.public", "`yes`", "JMESPath: what stands between ` is no JSON; a text is written 'text'"),
        ("changes.paging.more", "[", "JMESPath: the expression ends too early at column 2"),
        ("ticket.number_pattern", "(a", "is no regular expression: missing ), unterminated subpattern at column 1"),
        ("ticket.link_pattern", "/view/", "needs a group (?P<number>...) or (?P<id>...) for what names the ticket"),
        ("times.zone", "Mars/Olympus", "is no time zone that is known here, such as Europe/Berlin"),
        ("replies.fields.public", "kind != 'note'", "gives true where a record tells nothing"),
        ("replies.fields.public", "!private", "gives true where a record tells nothing"),
        ("replies.fields.public", "private == _ticket.private", "gives true where a record tells nothing"),
        ("authentication.header.name", "Host", "is no name of a header that can be set"),
        ("times.format", "%Y-%m-%d %I:%M", "tells morning from evening"),
        ("times.format", "%H:%M", "must be iso, epoch, epoch_ms or a format such as %Y-%m-%d.%H:%M:%S"),
        ("ticket.statuses.done", "SHUT", "Input should be 'CREATED', 'ONGOING' or 'CLOSED'"),
        ("replies.author_kinds.staff", "boss", "Input should be 'customer', 'agent', 'system' or 'unknown'"),
        ("replies.channels.mail", "MAIL", "Input should be 'LETTER'"),
        ("ticket.by_id.path", "tickets/{id}", "must be a path that begins with /"),
        ("ticket.by_id.path", "//evil.test/{id}", "must be a path that begins with /"),
        ("ticket.by_id.path", "/tickets/../{id}", "must be a path that begins with /"),
        ("ticket.by_id.path", "/tickets/{id}?a=b", "without a query"),
        ("ticket.by_id.path", "/tickets/{number}", "has a place that cannot be filled in; here can stand: {id}"),
        ("ticket.by_id.path", "/tickets/{id.__class__}", "has a place that cannot be filled in"),
        ("replies.path", "/replies/{since}", "cannot hold {since}"),
        ("changes.params", {"q": "{"}, "has a { or } that stands alone"),
        ("ticket.fields.link_template", "{host}/x", "here can stand: {base_url}, {id}, {number}"),
        ("changes.paging.kind", "pages", "Input should be 'none'"),
        ("ticket.fields.titel", "title", "Extra inputs"),
    ],
)
def test_a_mistake_is_told_with_its_place(options, place, value, told):
    """A wrong expression, pattern, zone, word, path or key is refused when the settings are loaded."""
    put(options, place, value)
    with pytest.raises(ValueError) as caught:
        Rest.config.model_validate(options)
    (error,) = caught.value.errors()
    assert ".".join(map(str, error["loc"])) == place
    assert told in error["msg"]


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("authentication", {}, "authentication: give exactly one of the tables"),
        ("authentication.basic", {"user": "a", "secret": "b"}, "authentication: give exactly one of the tables"),
        ("ticket.by_id.rows", "rows", "ticket.by_id: give record or rows"),
        ("ticket.by_ids.params", {"ids": "1,2"}, "ticket.by_ids: needs the place {ids}"),
        ("replies.ids", "message_ids", "replies: ids and by_ids belong together"),
        ("replies.path", ..., "replies: params and paging are for a list of its own"),
        ("replies.params", {"since": "{since}"}, "say what the first message is"),
        ("replies.path", "/messages", "replies: needs the place {id} or {number}"),
        ("headers", {"Host": "elsewhere.test"}, "is no name of a header that can be set"),
        ("secret_headers", {"host": "elsewhere.test"}, "is no name of a header that can be set"),
        ("headers", {"X-A: b\r\nHost": "elsewhere.test"}, "is no name of a header that can be set"),
        ("changes.params", ..., "changes: needs the place {since}"),
        ("changes.about", "replies", "changes: a list of replies needs ticket_id and changed_at"),
        ("changes.replies", "thread", "replies is for systems whose tickets hold their replies"),
        ("ticket.fields.updated_at", ..., "needs changed_at, or ticket.fields.updated_at"),
        ("changes.paging", {"kind": "cursor", "parameter": "c"}, "changes.paging: kind cursor needs next"),
        ("changes.paging", {"kind": "offset"}, "changes.paging: kind offset needs parameter"),
        ("changes.paging", {"kind": "link_header", "total": "t"}, "total, more and short_page_ends are for"),
        ("changes.paging", {**PAGING["offset"], "more": "more"}, "give one of total, more and short_page_ends"),
        ("changes.paging", {"size_parameter": "n"}, "changes.paging: size_parameter needs size"),
    ],
)
def test_what_does_not_fit_together_is_told(options, place, value, told):
    """Keys that need or exclude each other are told with their table."""
    put(options, place, value)
    with pytest.raises(ValueError) as caught:
        Rest.config.model_validate(options)
    told_now = "\n".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in caught.value.errors())
    assert told in told_now


def test_a_mistake_shows_no_secret(options):
    """A secret that was put into the place of an expression is not repeated."""
    put(options, "check.account", "hush hush")
    with pytest.raises(SettingsError) as caught:
        validate_options(Rest, options)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_loads(tmp_path, recipe):
    """Each recipe is one complete system, as it stands in the file."""
    text = recipe.read_text(encoding="utf-8")
    assert list(tomllib.loads(text)) == ["systems"]
    file = tmp_path / "config.toml"
    file.write_text(REST_OF_SETTINGS + text, encoding="utf-8")
    (system,) = load_settings(file, {}).systems.values()
    assert system.adapter_class is Rest
    assert system.options.authentication.model_fields_set


@pytest.mark.parametrize("expression", ["`true`", "id != null && private != `true`", "private == `false`"])
def test_a_constant_and_what_is_always_there_may_say_public(options, expression):
    """All replies of a system without notes are public by a constant, and others by a field that is always there."""
    put(options, "replies.fields.public", expression)
    assert Rest.config.model_validate(options).replies.fields.public.text == expression


def test_the_recipe_of_django_helpdesk_tells_no_address_of_a_file():
    """The address of a file holds the key of its ticket, which opens it to anybody: no reply carries it."""
    recipe = tomllib.loads((RECIPES[0].parent / "django_helpdesk.toml").read_text(encoding="utf-8"))
    assert "link" not in recipe["systems"]["helpdesk"]["options"]["replies"]["fields"]["attachments"]


def test_a_secret_may_come_from_outside(tmp_path):
    """The secret inside a table of `authentication` may be a variable or stand in a file of its own."""
    text = (RECIPES[0].parent / "roundup.toml").read_text(encoding="utf-8")
    file = tmp_path / "config.toml"
    file.write_text(REST_OF_SETTINGS + text, encoding="utf-8")
    variable = {"SYNCD_SYSTEMS__TRACKER__OPTIONS__AUTHENTICATION__BASIC__SECRET": "hush"}
    (tmp_path / "secret").write_text("hush\n", encoding="utf-8")
    options = [load_settings(file, variable).systems["tracker"].options]
    file.write_text(REST_OF_SETTINGS + text.replace('secret = "..."', 'secret_file = "secret"'), encoding="utf-8")
    options.append(load_settings(file, {}).systems["tracker"].options)
    assert [one.authentication.basic.secret.get_secret_value() for one in options] == ["hush", "hush"]


async def test_the_settings_say_what_can_be_done(serve, describe):
    """Reading in bulk and a list of changes are there if they are described, and not else."""
    desk = await serve()
    alone = describe(desk, {"ticket.by_ids": ...})
    assert await alone.available() == frozenset()
    assert await describe(desk, feed=True).available() == {Capability.BULK_TICKETS, Capability.CHANGE_FEED}
    carrying = describe(desk, {"changes.replies": "thread"}, replies="ticket", feed=True)
    assert await carrying.available() == frozenset(Capability)


@pytest.mark.parametrize("signing", ["header", "basic", "parameter", "oauth", "session"])
async def test_each_way_to_sign_in(serve, describe, signing):
    """The account is named for each of the ways to sign in."""
    desk = await serve(signing=signing)
    assert (await describe(desk).check()).account == "syncd"


async def test_a_session_that_ended_is_opened_anew(serve, describe):
    """A session that the system has forgotten is opened again without a failure."""
    desk = await serve(signing="session")
    adapter = describe(desk)
    await adapter.check()
    desk.sessions += 1
    await adapter.check()
    assert desk.count("/session") == 2


async def test_another_account_pauses(desk, describe):
    """An account that is not the one expected, or that is not named, pauses the system; so does a refusal."""
    desk.role = "guest"
    with pytest.raises(PauseSystem, match=r"check\.require"):
        await describe(desk).check()
    desk.role = "agent"
    with pytest.raises(PauseSystem, match=r"check\.account gives nothing"):
        await describe(desk, {"check.account": "user.login"}).check()
    with pytest.raises(PauseSystem, match="404"):
        await describe(desk, {"check.path": "/whoami"}).check()


async def test_a_failure_inside_a_good_answer(desk, describe):
    """What `failed` recognises is a failure and no ticket."""
    ticket, _ = desk.open_ticket(desk.clock.now())
    adapter = describe(desk, {"failed": "ticket.title == 'Printer'", "ticket.by_ids": ...})
    with pytest.raises(UnexpectedAnswer, match=rf"/tickets/{ticket} answered 200 with a failure inside"):
        await adapter.tickets([str(ticket)])


async def test_headers_go_with_every_request(desk, describe):
    """Further headers are sent, also secret ones."""
    seen = {}
    answer = desk.answer

    async def look(request, path):
        seen.update(request.headers)
        return await answer(request, path)

    desk.answer = look
    adapter = describe(desk, {"headers": {"X-Team": "a"}, "secret_headers": {"X-Gate": "b"}})
    with pytest.raises(TicketUnavailable):
        await adapter.resolve(TicketRef(number="T-1"))
    assert (seen["X-Team"], seen["X-Gate"]) == ("a", "b")
