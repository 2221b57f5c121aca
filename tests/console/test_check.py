"""`syncd check` looks at everything, changes nothing, and says what to do."""

import asyncio
import sqlite3
from contextlib import closing

from syncd.console.check import find_all
from syncd.console.check_ends import ANSWER_SECONDS
from syncd.console.findings import Verdict
from syncd.model.health import PauseCause
from syncd.store import health


def verdicts(ran, about):
    """Return what was found about something: verdict and words."""
    return [(one["verdict"], one["found"]) for one in ran.json["findings"] if one["about"] == about]


async def test_all_is_good(syncd, ends):
    """Good credentials and a good key: everything is good, exit code 0, and nothing was changed or sent."""
    ran = await syncd.call("check", "--json")
    assert ran.code == 0
    assert ran.json["verdict"] == "good"
    (system,) = verdicts(ran, "system desk")
    assert system == ("good", "signed in as syncd (agent); has bulk replies, bulk tickets, change feed")
    assert verdicts(ran, "api berlin") == [("good", "the key is good")]
    assert ends.sandbox.requests == 0
    assert ends.helpdesk.requests == ["GET /api/me"]
    assert not (syncd.directory / "syncd.db").exists()
    table = await syncd.call("check")
    assert table.out.endswith("All good.\n")


async def test_bad_credentials_and_a_bad_key(syncd, ends):
    """A refused token and a refused key are two bad findings with what to do, and the exit code is 1."""
    ends.configure(options='token = "wrong"')
    text = syncd.config.read_text().replace("key-berlin", "key-nobody-has")
    syncd.config.write_text(text)
    ran = await syncd.call("check", "--json")
    assert ran.code == 1
    assert ran.json["verdict"] == "bad"
    assert verdicts(ran, "system desk")[0][0] == "bad"
    assert verdicts(ran, "api berlin") == [("bad", "the key is refused (401)")]
    assert "key-nobody-has" not in ran.out + ran.err
    assert "wrong" not in ran.out + ran.err


async def test_one_that_fails_hides_no_other(syncd, ends):
    """An api that nobody answers for is bad; the system beside it is still good."""
    await ends.sandbox.stop()
    ran = await syncd.call("check", "--json")
    assert ran.code == 1
    assert verdicts(ran, "system desk")[0][0] == "good"
    assert verdicts(ran, "api berlin")[0][0] == "bad"


async def test_the_database_is_looked_at(syncd, ends):
    """Schema, durability and the mode of the file are told; a file that others may read is a warning."""
    await ends.link(ends.ticket())
    (syncd.directory / "syncd.db").chmod(0o644)
    ran = await syncd.call("check", "--json")
    assert ran.code == 0
    assert ran.json["verdict"] == "warning"
    first, second = verdicts(ran, "database")
    assert first[0] == "good"
    assert "journal_mode wal, synchronous 2" in first[1]
    assert second[0] == "warning"


async def test_a_new_database_is_its_owners_alone(syncd, ends):
    """A database that syncd makes can be read by nobody else, so that nothing of it is a warning."""
    await ends.link(ends.ticket())
    assert (syncd.directory / "syncd.db").stat().st_mode & 0o077 == 0
    assert (await syncd.call("check", "--json")).json["verdict"] == "good"


async def test_a_newer_database(syncd, ends):
    """A database of a newer syncd is bad, and left alone."""
    await ends.link(ends.ticket())
    with closing(sqlite3.connect(syncd.directory / "syncd.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    ran = await syncd.call("check", "--json")
    assert ran.code == 1
    ((verdict, found),) = verdicts(ran, "database")
    assert verdict == "bad"
    assert "9999" in found


async def test_a_file_that_is_no_database(syncd, ends):
    """Garbage in the place of the database is one bad finding; systems and apis are asked all the same."""
    (syncd.directory / "syncd.db").write_bytes(b"no database" * 500)
    ran = await syncd.call("check", "--json")
    assert ran.code == 1
    assert [verdict for verdict, _ in verdicts(ran, "database")] == ["bad"]
    assert verdicts(ran, "api berlin")[0][0] == "good"


async def test_a_restored_database(syncd, ends):
    """A database that is behind its high-water mark is bad, with the command that mends it."""
    await ends.link(ends.ticket())
    with closing(sqlite3.connect(syncd.directory / "syncd.db")) as connection:
        (name,) = connection.execute("SELECT value FROM meta WHERE name = 'database_id'").fetchone()
    (syncd.directory / "syncd.db.high-water").write_text(f"{name} {12:020d}\n")
    ran = await syncd.call("check", "--json")
    assert ran.code == 1
    ((verdict, found),) = verdicts(ran, "high-water mark")
    assert verdict == "bad"
    assert "0 attempts and 12 were made" in found


async def test_work_without_settings(syncd, ends):
    """Links of an api that is not in the settings are named."""
    await ends.link(ends.ticket(), api="hamburg")
    ran = await syncd.call("check", "--json")
    assert ran.code == 1
    assert any("[api.hamburg] has" in found for verdict, found in verdicts(ran, "settings") if verdict == "bad")


async def test_what_is_paused(syncd, ends):
    """A paused api and a paused system are bad, with the command that resumes them."""
    now = ends.clock.now()
    await asyncio.to_thread(syncd.stored, lambda c: health.pause_api(c, "berlin", PauseCause.PERSON, "holidays", now))
    await asyncio.to_thread(syncd.stored, lambda c: health.pause_system(c, "desk", health.PERSON, "holidays", now))
    ran = await syncd.call("check", "--json")
    assert ran.code == 1
    advice = {one["about"]: one["advice"] for one in ran.json["findings"] if "holidays" in one["found"]}
    assert advice == {"api berlin": "syncd apis resume berlin", "system desk": "syncd systems resume desk"}


async def test_settings_mistakes(syncd, ends):
    """Settings that cannot be used end the check with 2, every mistake named."""
    ends.configure(api='mode = "snd"', more='timezone = "Mars"')
    ran = await syncd.call("check")
    assert ran.code == 2
    assert "api.berlin.mode" in ran.err
    assert "timezone" in ran.err


async def test_settings_warnings(syncd, ends):
    """What works and is worth a look is a warning, which is no failure."""
    ends.configure(api="requests_per_minute = 2000")
    ran = await syncd.call("check", "--json")
    assert ran.code == 0
    assert [verdict for verdict, found in verdicts(ran, "settings") if "requests_per_minute" in found] == ["warning"]


async def test_one_that_hangs(world):
    """A system that never answers ends in a finding of its own, and holds up nobody."""
    world.helpdesk.faults.hang(times=20)
    began = world.clock.monotonic()
    findings = {one.about: one for one in await find_all(world.settings(), world.clock)}
    assert findings["system desk"].verdict is Verdict.BAD
    assert findings["api berlin"].verdict is Verdict.GOOD
    assert world.clock.monotonic() - began <= ANSWER_SECONDS + 1
