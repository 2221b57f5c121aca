"""What vendors write reaches people through many commands and the log; none of it can do anything to a terminal.

A hostile helpdesk and a hostile database put escape sequences, line ends, marks that turn the direction and C1
controls into every text that is theirs, and every command that prints is called.
"""

import asyncio
import importlib
import io
import logging
import socket
from collections.abc import Iterator

import orjson
import pytest
import typer
from aiohttp import web
from loguru import logger

from syncd.console.main import COMMANDS
from syncd.model.clock import SystemClock
from syncd.model.delivery import DeliveryState
from syncd.model.errors import RetryLater
from syncd.service.log import configure_log
from syncd.service.notify import Notifier
from syncd.testing.helpdesk import Helpdesk

HOSTILE = (
    "X\x1b]8;;http://evil.invalid\x07click\x1b[31m\x9b2J\r\nINJECTED: all is well\u202egnp\u2028\u2066\x7f\x08\ud800"
)
"""An OSC 8 link, colours, a C1 sequence, a line of its own, turned writing, a lone surrogate."""
STORED = HOSTILE.replace("\ud800", "")
"""The same as far as a database and a helpdesk can keep it."""

SILENT = {"run", "demo", "sandbox", "completion"}
"""They serve or play, or print what is ours alone; what `run` writes is the log, which is tested below."""
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "check": (),
    "check --ticket": ("check", "--system", "desk", "--ticket", "HD-1"),
    "status": (),
    "adapters": (),
    "poll": (),
    "preview": ("preview", "HD-1", "--system", "desk"),
    "backfill": ("backfill", "--dry-run"),
    "backfill list": (),
    "backfill stop": ("backfill", "stop", "1", "--reason", STORED),
    "audit": (),
    "why": ("why", STORED),
    "why --link": ("why", "--link", "{link}"),
    "why --delivery": ("why", "--delivery", "{delivery}"),
    "alert test": (),
    "links list": (),
    "links show": ("links", "show", "{link}"),
    "links add": ("links", "add", "--api", STORED, "--customer", "1", "--thread", "2", "--system", STORED,
                  "--ticket-number", STORED),
    "links import": ("links", "import", "{file}"),
    "links resume": ("links", "resume", "{link}"),
    "links remove": ("links", "remove", "{link}", "--yes"),
    "deliveries list": (),
    "deliveries show": ("deliveries", "show", "{delivery}"),
    "apis list": (),
    "apis pause": ("apis", "pause", "berlin", "--reason", STORED),
    "apis resume": ("apis", "resume", "berlin"),
    "apis release": ("apis", "release", "hamburg"),
    "systems list": (),
    "systems pause": ("systems", "pause", "desk", "--reason", STORED),
    "systems resume": ("systems", "resume", "desk"),
    "erase": ("erase", "--customer", "7", "--reason", STORED, "--yes"),
    "db version": (),
    "db upgrade": (),
    "db restored": ("db", "restored", "--yes", "--reason", STORED),
    "db copy": ("db", "copy", "--to", STORED, "--yes"),
    "rename system": ("rename", "system", "desk", STORED),
    "rename api": ("rename", "api", STORED, "berlin"),
}  # fmt: skip


class HostileHelpdesk(Helpdesk):
    """The account, too, has a name that is none."""

    async def _get_me(self, _request: web.Request) -> web.Response:
        return web.json_response({"account": STORED, "role": STORED})


def _commands() -> Iterator[str]:
    """Yield every command with its subcommands."""
    for name, (place, _) in COMMANDS.items():
        module, _, attribute = place.partition(":")
        found = getattr(importlib.import_module(module), attribute)
        if isinstance(found, typer.Typer):
            yield from (f"{name} {one.name}" for one in found.registered_commands)
        else:
            yield name


def _must_be_harmless(text: str, where: str) -> None:
    bad = {char for char in text if not char.isprintable() and char != "\n"}
    assert not bad, f"{where}: {bad!r} in {text!r}"
    assert not [line for line in text.splitlines() if line.startswith("INJECTED")], f"{where}: {text!r}"


def _fill(syncd) -> dict[str, object]:
    """Store what a hostile vendor and a hostile API leave behind; return the ids."""
    link = syncd.link(thread_id=501, number=STORED)
    syncd.link(thread_id=502, number="HD-1")
    delivery = syncd.deliver(link, STORED, DeliveryState.PARKED, reason=STORED, subject=STORED, content=STORED)
    file = syncd.directory / "links.csv"
    file.write_text(f'api,customer_id,thread_id,system,ticket_number\nberlin,1,x,"{STORED}","{STORED}"\n')
    return {"link": link, "delivery": delivery, "file": file}


async def test_no_command_passes_foreign_text_on(ends):
    """Whatever a vendor calls its tickets, statuses, accounts and errors: plain letters come out, on lines of ours."""
    await ends.helpdesk.close()
    ends.helpdesk = HostileHelpdesk(ends.clock)
    await ends.helpdesk.start()
    ends.configure(more='[api.hamburg]\nbase_url = "http://127.0.0.1:1"\napi_key = "key-hamburg"\nmode = "hold"')
    ticket = ends.ticket(STORED)
    ticket.subject, ticket.assignee = STORED, STORED
    for reply in ticket.replies:
        reply.author, reply.text, reply.channel = STORED, STORED, STORED
    ids = await asyncio.to_thread(_fill, ends.program)
    await ends.link(ticket)
    called = {}
    for name, given in ARGUMENTS.items():
        arguments = [str(one).format(**ids) if one.startswith("{") else one for one in given or name.split()]
        ran = await ends.program.call(*arguments)
        _must_be_harmless(ran.out + ran.err, name)
        assert "a bug of syncd" not in ran.err, f"{name}: {ran.err}"
        called[name] = ran
    ticket.status = STORED
    for name in ("poll", "check --ticket", "status", "links list"):
        ran = await ends.program.call(*(ARGUMENTS[name] or name.split()))
        _must_be_harmless(ran.out + ran.err, name)
    shown = called["deliveries show"].out + called["links list"].out + called["preview"].out + called["check"].out
    assert shown.count("click") > 4, "the hostile texts did not even come by"


def test_an_argument_that_is_no_text_is_refused(syncd):
    """Bytes that are no UTF-8 end in a usage error, and not deep in a database driver."""
    ran = syncd("apis", "pause", "berlin", "--reason", HOSTILE)
    assert ran.code == 2
    assert "no UTF-8 text" in ran.err


def test_every_command_is_called_or_said_to_be_silent():
    """A new command that prints is a new way out for foreign text."""
    # What deciding about a delivery prints, the commands above print too.
    deciding = {name for name in _commands() if name.startswith("deliveries ")} - {"deliveries list", "deliveries show"}
    assert set(_commands()) - set(ARGUMENTS) - SILENT - deciding == set()


def _lines(form: str) -> str:
    stream = io.StringIO()
    configure_log(level="DEBUG", form=form, stream=stream, environ={})
    bound = logger.bind(ticket=HOSTILE, status=[HOSTILE], **{"account\x1b": {HOSTILE: HOSTILE}})
    bound.warning(HOSTILE)
    bound.opt(exception=RetryLater(HOSTILE)).error("Failed")
    logger.remove()
    return stream.getvalue()


@pytest.fixture
def own_log():
    """Put the logging of the process back."""
    handlers, level = logging.root.handlers, logging.root.level
    yield
    logging.root.handlers = handlers
    logging.root.setLevel(level)


@pytest.mark.parametrize("form", ["human", "json"])
def test_no_log_line_passes_foreign_text_on(form: str, own_log):
    """In fields, names of fields, texts and errors, in both forms: two records are as many lines as they have to be."""
    text = _lines(form)
    _must_be_harmless(text, form)
    assert "click" in text
    if form == "json":
        assert [orjson.loads(line)["level"] for line in text.splitlines()] == ["warning", "error"]


def test_the_service_manager_hears_one_line(tmp_path, clock_free):
    """A status line is one line: a line end in it could say WATCHDOG=1 or READY=1 in its name."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}, clock_free).status(HOSTILE)
        said = manager.recv(4096).decode()
    assert said.startswith("STATUS=X")
    _must_be_harmless(said, "STATUS")


@pytest.fixture
def clock_free():
    """The machine's clock, which only the watchdog's interval needs."""
    return SystemClock()
