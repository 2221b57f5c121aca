"""Log lines: their two forms, what stays out of them, and what libraries may say."""

import io
import logging
import os
import pty
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson
import pytest
from loguru import logger

from syncd.model.errors import RetryLater
from syncd.service.log import configure_log


class State(StrEnum):
    """Something that is not a plain text."""

    OPEN = "open"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave the process's logging as it was."""
    handlers, level = logging.root.handlers, logging.root.level
    yield
    logger.remove()
    logging.root.handlers = handlers
    logging.root.setLevel(level)


@pytest.fixture
def stream() -> io.StringIO:
    """Return a stream in memory, which is no terminal and not the journal."""
    return io.StringIO()


def line_of(stream: io.StringIO) -> dict[str, Any]:
    """Return the one line of a stream, parsed."""
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1, lines
    parsed = orjson.loads(lines[0])
    assert isinstance(parsed, dict)
    return parsed


def test_a_line_is_json_where_no_terminal_is(stream: io.StringIO):
    """A line has time, level, the constant text and the bound fields, numbers as numbers."""
    configure_log(stream=stream, environ={})
    logger.bind(system="support", new=12, took=0.5, state=State.OPEN, at=datetime(2026, 1, 2, tzinfo=UTC)).info("Swept")
    line = line_of(stream)
    assert datetime.fromisoformat(line.pop("time")).tzinfo == UTC
    assert line == {
        "level": "info",
        "message": "Swept",
        "system": "support",
        "new": 12,
        "took": 0.5,
        "state": "open",
        "at": "2026-01-02T00:00:00+00:00",
    }


def test_a_field_cannot_take_the_place_of_a_key(stream: io.StringIO):
    """Bound fields named like our own keys stand beside them."""
    configure_log(stream=stream, environ={})
    logger.bind(level="high", message="other").warning("Told")
    line = line_of(stream)
    assert (line["level"], line["level_"], line["message"], line["message_"]) == ("warning", "high", "Told", "other")


@pytest.mark.parametrize("form", ["json", "human"])
def test_nothing_can_forge_a_line_or_colour_a_terminal(stream: io.StringIO, form: str):
    """Line breaks, escapes, C1 controls, turned writing and lone surrogates in values become harmless letters."""
    configure_log(form=form, stream=stream, environ={})
    evil = "a\nb\r\x1b[31mc\x9bd\u202ee\u2028f\x00g\udc80"
    logger.bind(number=evil, deep={evil: [evil]}).info(evil)
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert text[:-1].isprintable()


def test_long_values_are_cut(stream: io.StringIO):
    """One value cannot fill the journal."""
    configure_log(stream=stream, environ={})
    logger.bind(value="x" * 100_000).info("Told")
    assert len(line_of(stream)["value"]) < 2100


def test_a_value_that_cannot_be_shown_does_not_fail_the_work(stream: io.StringIO):
    """A field whose text raises costs the line's contents, never the caller."""

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("hidden")

    configure_log(stream=stream, environ={})
    logger.bind(value=Broken()).info("Told")
    assert line_of(stream)["message"] == "A log line could not be written"
    assert "hidden" not in stream.getvalue()


def test_a_closed_stream_does_not_fail_the_work(stream: io.StringIO):
    """A log that went away loses lines, and the work goes on."""
    configure_log(stream=stream, environ={})
    stream.close()
    logger.info("Told")


def fail_with(error: Exception, cause: Exception | None = None) -> Exception:
    """Return an exception that was raised here, and so has a frame with a secret in it."""

    def fail() -> None:
        secret = "value-of-a-variable"
        assert secret
        raise error from cause

    with pytest.raises(type(error)):
        fail()
    return error


def test_of_a_foreign_exception_only_type_and_frames_are_written(stream: io.StringIO):
    """What libraries put in their messages and what stood in variables is not written, nor that of the causes."""
    configure_log(stream=stream, environ={})
    cause = fail_with(ValueError("content of a reply"))
    logger.opt(exception=fail_with(KeyError("more content"), cause)).error("Failed")
    found = line_of(stream)["exception"]
    assert "content" not in stream.getvalue()
    assert "value-of-a-variable" not in stream.getvalue()
    assert (found["type"], found["cause"]["type"]) == ("KeyError", "ValueError")
    assert [frame.rsplit(":", 1)[1] for frame in found["frames"]] == ["fail_with", "fail"]
    assert found["frames"][0].split(":")[0] == __file__


def test_our_own_errors_say_what_they_say(stream: io.StringIO):
    """The message of a SyncdError is made for operators and is written, without its control characters."""
    configure_log(stream=stream, environ={})
    logger.opt(exception=fail_with(RetryLater("the vendor\nrests"))).error("Failed")
    assert line_of(stream)["exception"]["message"] == "the vendor\\nrests"


def test_an_exception_as_a_field_is_its_type(stream: io.StringIO):
    """Binding an exception shows no more of it than logging it does."""
    configure_log(stream=stream, environ={})
    logger.bind(one=ValueError("content"), two=RetryLater("rests")).warning("Failed")
    line = line_of(stream)
    assert (line["one"], line["two"]) == ("ValueError", "rests")


def test_os_errors_keep_their_code_and_groups_their_members(stream: io.StringIO):
    """ECONNREFUSED says much and holds nothing; a group of a TaskGroup names what it holds."""
    configure_log(stream=stream, environ={})
    group = ExceptionGroup("content", [ConnectionRefusedError(111, "content"), fail_with(TypeError("content"))])
    logger.opt(exception=group).error("Failed")
    found = line_of(stream)["exception"]
    assert [one["type"] for one in found["group"]] == ["ConnectionRefusedError", "TypeError"]
    assert found["group"][0]["errno"] == "ECONNREFUSED"
    assert "content" not in stream.getvalue()


def test_the_human_form_has_fields_and_frames(stream: io.StringIO):
    """A person reads text, fields as key=value, and exceptions indented below; again without their messages."""
    configure_log(form="human", stream=stream, environ={})
    logger.bind(system="support", note="two words").opt(exception=fail_with(ValueError("content"))).error("Failed")
    first, second, third, _ = stream.getvalue().splitlines()
    assert first.endswith('ERROR   Failed  system=support  note="two words"')
    assert second == "  ValueError"
    assert third.startswith(f"    {__file__}:")
    assert "\x1b" not in stream.getvalue()


def test_a_terminal_gets_the_human_form_in_colour():
    """`auto` asks the stream: on a terminal lines are for people, and NO_COLOR is heeded."""
    shown = {}
    for name, environ in (("colour", {}), ("plain", {"NO_COLOR": "1"})):
        master, slave = pty.openpty()
        with os.fdopen(slave, "w") as terminal:
            configure_log(stream=terminal, environ=environ)
            logger.bind(n=1).info("Swept")
            shown[name] = os.read(master, 1000)
        os.close(master)
    assert b"Swept" in shown["plain"]
    assert b"{" not in shown["plain"]
    assert b"\x1b[32m" in shown["colour"]
    assert b"\x1b" not in shown["plain"]


def test_the_journal_gets_priorities_on_every_line(tmp_path: Path):
    """Where $JOURNAL_STREAM names the stream, each line begins with its priority; elsewhere none does."""
    with (tmp_path / "log").open("w+") as stream:
        found = os.fstat(stream.fileno())
        configure_log(form="human", stream=stream, environ={"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        logger.info("Swept")
        logger.opt(exception=fail_with(ValueError("x"))).error("Failed")
        configure_log(stream=stream, environ={"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"})
        logger.info("Swept")
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line[:3] for line in lines[:4]] == ["<6>", "<3>", "<3>", "<3>"]
    assert lines[5].startswith("{")


def test_the_level_holds(stream: io.StringIO):
    """Lines below the level are not written."""
    configure_log(level="WARNING", stream=stream, environ={})
    logger.info("Swept")
    logger.warning("Slow")
    assert line_of(stream)["message"] == "Slow"


def test_libraries_are_heard_without_their_arguments(stream: io.StringIO):
    """A library's warning keeps its constant text; its arguments, which may be contents, and further lines go."""
    configure_log(level="DEBUG", stream=stream, environ={})
    error = fail_with(ValueError("content"))
    logging.getLogger("aiohttp.server").error("Error handling %s\ncontent", "content", exc_info=error)
    line = line_of(stream)
    assert (line["message"], line["logger"], line["level"]) == ("Error handling %s", "aiohttp.server", "error")
    assert line["exception"]["type"] == "ValueError"
    assert "content" not in stream.getvalue()


def test_the_scheduler_may_name_its_jobs(stream: io.StringIO):
    """Job names are ours, so APScheduler's arguments are shown; its everyday lines are not."""
    configure_log(level="DEBUG", stream=stream, environ={})
    logging.getLogger("apscheduler.executors.default").info("Running job %s", "sweep")
    logging.getLogger("apscheduler.executors.default").error('Job "%s" raised an exception', "sweep support {x}")
    assert line_of(stream)["message"] == 'Job "sweep support {x}" raised an exception'


def test_one_system_can_be_heard_in_full(stream: io.StringIO):
    """Of a system that somebody looks into every line is written, of the others those of the level alone."""
    configure_log("INFO", "json", stream, verbose=["support"])
    logger.bind(system="other").debug("not wanted")
    logger.debug("of nothing")
    logger.bind(system="support").debug("wanted")
    with logger.contextualize(system="support"):
        logger.bind(path="/tickets").debug("wanted too")
    logger.bind(system="other").info("severe enough")
    lines = [orjson.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["message"] for line in lines] == ["wanted", "wanted too", "severe enough"]
    assert lines[1]["system"] == "support"
