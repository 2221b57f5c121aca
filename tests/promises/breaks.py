"""Ways to break each promise: one small change of the code, and the tests that must then fail.

They are what makes "held by tests" more than a word. `make promises` applies each to a copy of the tree and sees its
tests fail; the test beside this file sees to it that every promise has one, and that none has gone stale.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Break:
    """A change of one file, `found` becoming `made`, that breaks a promise; `tests` are those that must notice.

    `also` are more changes, of a file each, that it takes where two things hold the same promise.
    """

    promise: str
    file: str
    found: str
    made: str
    tests: tuple[str, ...]
    also: tuple[tuple[str, str, str], ...] = ()

    @property
    def changes(self) -> tuple[tuple[str, str, str], ...]:
        """Return every change: the file, what is found there, and what is made of it."""
        return ((self.file, self.found, self.made), *self.also)


DISPATCHER = "tests/delivery/test_dispatcher.py"
POLL = "tests/sync/test_poll.py"
BACKFILL = "tests/sync/test_backfill.py"

BREAKS = (
    Break(
        "P1",
        "syncd/delivery/payload.py",
        "        return self._begun\n",
        "        return False\n",
        ("tests/delivery/test_faults.py",),
        also=(
            (
                "syncd/delivery/payload.py",
                '        if self._begun:\n            raise RuntimeError("the body of a PUT is written once")\n',
                "",
            ),
            ("syncd/delivery/api.py", "        raise RequestEnded(exc) from exc\n", "        raise\n"),
        ),
    ),
    Break(
        "P2",
        "syncd/delivery/attempt.py",
        "        if attempt_id is None or not self._is_owner(now):\n",
        "        if not self._is_owner(now):\n",
        ("tests/delivery/test_commits.py",),
    ),
    Break(
        "P3",
        "syncd/delivery/attempt.py",
        "            outcome=verdict.outcome,\n            state=following.state,",
        "            outcome=Outcome.NOT_SENT,\n            state=following.state,",
        (f"{DISPATCHER}::test_every_put_is_an_attempt",),
    ),
    Break(
        "P4",
        "syncd/delivery/decide.py",
        "            return Next(DeliveryState.IN_DOUBT, message)\n",
        "            return _again(message, failures)\n",
        (f"{DISPATCHER}::test_what_may_have_been_applied_is_in_doubt_and_stays_so",),
    ),
    Break(
        "P5",
        "syncd/delivery/decide.py",
        "    if 200 <= status <= 299:\n",
        "    if 200 <= status <= 299 and evidence.body_complete:\n",
        ("tests/delivery/test_faults.py", "tests/delivery/test_decide.py"),
    ),
    Break(
        "P6",
        "syncd/store/standing.py",
        "    elif policy is InDoubtPolicy.RESEND and row.doubts == 0:",
        "    elif row.doubts == 0:",
        ("tests/store/test_standing.py::test_what_a_dead_worker_left_is_in_doubt",),
    ),
    Break(
        "P7",
        "syncd/delivery/attempt.py",
        "                    await sender.clock.sleep(COMMIT_AGAIN_SECONDS)\n",
        "                    return\n",
        ("tests/delivery/test_commits.py", "tests/end_to_end/test_outages.py"),
    ),
    Break(
        "P8",
        "syncd/delivery/dispatcher.py",
        "        while self._running:\n            await asyncio.gather(",
        "        while False:\n            await asyncio.gather(",
        ("tests/end_to_end/test_service.py::test_sigterm_drains",),
    ),
    Break(
        "P9",
        "syncd/store/settling.py",
        ".order_by(waiting.c.lane, waiting.c.occurred_at, waiting.c.id)",
        ".order_by(waiting.c.id.desc())",
        (f"{POLL}::test_replies_of_a_thread_arrive_in_order",),
    ),
    Break(
        "P10",
        "syncd/model/pace.py",
        "elapsed * self.requests_per_minute / 60",
        "elapsed * self.requests_per_minute / 30",
        ("tests/model/test_pace.py", f"{DISPATCHER}::test_the_pace_is_never_above_the_limit"),
    ),
    Break(
        "P11",
        "syncd/delivery/health.py",
        "THROTTLE_SECONDS = 60.0",
        "THROTTLE_SECONDS = 6.0",
        (f"{DISPATCHER}::test_throttled_waits_a_full_minute_and_does_not_advance_the_schedule",),
    ),
    Break(
        "P12",
        "syncd/delivery/health.py",
        "SLOW_ANSWER_SECONDS = 2.0",
        "SLOW_ANSWER_SECONDS = 2000.0",
        ("tests/delivery/test_health.py", f"{DISPATCHER}::test_a_hanging_api_puts_a_handful_in_doubt"),
    ),
    Break(
        "P13",
        "syncd/store/replies.py",
        "            if key not in fresh:\n                continue\n            fresh.remove(key)\n",
        "",
        ("tests/store/test_replies.py", f"{POLL}::test_a_link_removed_and_added_again_sends_nothing_twice"),
    ),
    Break(
        "P14",
        "syncd/sync/collect.py",
        "    system.may_hold |= holds(pages)\n",
        "    await system.database.write(lambda c: replies.store_cursor(c, system.name, cursor, now))\n"
        "    system.may_hold |= holds(pages)\n",
        ("tests/sync/test_commits.py",),
    ),
    Break(
        "P15",
        "syncd/store/links.py",
        "            collect_due_at=now,\n            failures=0,",
        "            collect_due_at=None,\n            failures=0,",
        (f"{POLL}::test_a_link_added_while_the_feed_runs_misses_nothing",),
    ),
    Break(
        "P16",
        "syncd/sync/resolving.py",
        "    except InvalidTicketRef as error:\n",
        "    except (InvalidTicketRef, RetryLater) as error:\n",
        ("tests/sync/test_resolving.py::test_a_lookup_that_fails_says_nothing_about_the_ticket",),
    ),
    Break(
        "P17",
        "syncd/sync/intake.py",
        "    except Exception as error:  # noqa: BLE001 - one reply that cannot",
        "    except ZeroDivisionError as error:  # noqa: BLE001 - one reply that cannot",
        ("tests/sync/test_intake.py::test_a_reply_that_cannot_be_mapped_is_parked_and_the_others_go_on",),
    ),
    Break(
        "P18",
        "syncd/sync/intake.py",
        "reply.created_at < link.from_at.replace(microsecond=0)",
        "reply.created_at <= link.from_at",
        (f"{POLL}::test_a_reply_of_the_very_second_of_the_link_counts_as_new", "tests/sync/test_intake.py"),
    ),
    Break(
        "P19",
        "syncd/sync/full_sweep.py",
        "states.get(ticket_id), done, full=True)",
        "states.get(ticket_id), done, full=False)",
        (f"{BACKFILL}::test_a_full_sweep_finds_what_the_feed_missed",),
    ),
    Break(
        "P20",
        "syncd/model/delivery.py",
        "STALE_AFTER = timedelta(minutes=10)",
        "STALE_AFTER = timedelta(days=10)",
        (f"{POLL}::test_what_has_waited_long_is_read_again_before_it_is_sent",),
    ),
    Break(
        "P21",
        "syncd/sync/backfill.py",
        "    return wanted.first_message or not reply.first_message\n",
        "    return True\n",
        (f"{BACKFILL}::test_what_is_older_is_delivered_on_request_without_the_first_message",),
    ),
    Break(
        "P22",
        "syncd/sync/intake.py",
        "    if reply.visibility is not Visibility.PUBLIC:\n        return Disposition.WITHHELD\n",
        "    if reply.visibility is not Visibility.PUBLIC:\n        return Disposition.DELIVERY\n",
        (f"{POLL}::test_an_internal_note_never_leaves_until_it_is_published",),
    ),
    Break(
        "P23",
        "syncd/service/log.py",
        "        return type(value).__name__\n    return str(value)",
        "        return str(value)\n    return str(value)",
        ("tests/service/test_log.py",),
    ),
    Break(
        "P24",
        "syncd/sources/address.py",
        '            parts.scheme == "http" and not is_loopback(host),',
        '            parts.scheme == "http" and not host,',
        ("tests/sources/test_address.py",),
    ),
    Break(
        "P26",
        "syncd/store/threads.py",
        "return NOTE_CLOSED if ThreadStatus.CLOSED.value in {known, carried} else",
        "return NOTE_OTHER if ThreadStatus.CLOSED.value in {known, carried} else",
        (f"{POLL}::test_a_closed_ticket_closes_its_thread_with_a_note",),
    ),
    Break(
        "P27",
        "syncd/store/settling.py",
        "note_due(row.known_status, row.doubt_status or row.sent_status)",
        "note_due(row.known_status, row.sent_status)",
        ("tests/sync/test_poll_together.py",),
    ),
    Break(
        "P28", "syncd/store/sqlite.py", '"synchronous=FULL"', '"synchronous=NORMAL"', ("tests/store/test_database.py",)
    ),
    Break(
        "P29",
        "syncd/store/lock.py",
        "fcntl.LOCK_EX | fcntl.LOCK_NB",
        "fcntl.LOCK_SH | fcntl.LOCK_NB",
        ("tests/store/test_lock.py",),
    ),
    Break(
        "P30",
        "syncd/store/schema.py",
        "SchemaState.OLDER if version in VERSIONS else SchemaState.NEWER",
        "SchemaState.OLDER",
        ("tests/end_to_end/test_database.py",),
    ),
    Break(
        "P31",
        "syncd/store/high_water.py",
        "attempts < mark.attempts",
        "attempts < mark.attempts - 10**9",
        ("tests/store/test_standing.py::test_a_database_behind_its_mark_is_noticed",),
    ),
    Break(
        "P46",
        "syncd/delivery/attempt.py",
        "                    await sender.clock.sleep(COMMIT_AGAIN_SECONDS)\n",
        "                    return\n",
        ("tests/end_to_end/test_outages_idle.py::test_a_file_system_that_turns_read_only",),
    ),
    Break(
        "P47",
        "syncd/store/sqlite_file.py",
        "        if there != opened:\n",
        "        if there is opened:\n",
        ("tests/store/test_database_file.py::test_another_file_in_its_place_is_not_written",),
    ),
    Break(
        "P47",
        "syncd/store/high_water.py",
        "        if attempts < reached:\n",
        "        if attempts < -1:\n",
        ("tests/delivery/test_gone_back.py",),
    ),
    Break(
        "P48",
        "syncd/store/lost.py",
        "    mark = high_water.read()\n",
        "    mark = None\n",
        ("tests/store/test_database_file.py::test_a_lost_database_is_not_made_anew",),
    ),
    Break(
        "P50",
        "syncd/store/copy.py",
        "    moved.put_version(connection, moved.UNFINISHED)\n",
        "",
        ("tests/console/test_db_copy.py::test_a_kill_after_any_commit_leaves_one_in_use_at_most_and_can_be_finished",),
    ),
    Break(
        "P50",
        "syncd/console/db_copy.py",
        "            await self._raise_mark()\n",
        "",
        ("tests/console/test_db_copy.py::test_a_backup_of_the_old_one_is_known_as_one_after_the_move",),
    ),
    Break(
        "P51",
        "syncd/store/rename.py",
        "if column.name == kind or",
        "if column.name == kind and column.table.name != 'ledger' or",
        ("tests/console/test_rename.py::test_nothing_is_sent_twice_after_it",),
    ),
    Break(
        "P37",
        "syncd/sync/flood.py",
        "return 0 < policy.flood_replies < told.replies",
        "return False",
        ("tests/sync/test_flood.py::test_a_flood_that_a_person_releases_goes",),
    ),
    Break(
        "P34",
        "syncd/delivery/turns.py",
        "self._last[head.system] = self._count",
        "self._last[head.system] = 0",
        ("tests/delivery/test_turns.py",),
    ),
    Break(
        "P35",
        "syncd/service/reading_again.py",
        "self.spacing_seconds, now + LONGEST_TURN_SECONDS)",
        "self.spacing_seconds, now + 1e9)",
        ("tests/isolation/test_one_that_fails.py::test_what_waited_for_long_goes_though_another_system_hangs",),
    ),
    Break(
        "P25",
        "syncd/store/retention.py",
        '            (delivery.c.state + "").in_(ended),',
        '            (delivery.c.state + "").in_([*ended, "parked"]),',
        ("tests/store/test_retention.py::test_what_waits_for_its_turn_or_a_person_keeps_its_text",),
    ),
    Break(
        "P36",
        "syncd/model/vanished.py",
        "    if seen.readings < READINGS or now - seen.since_at < AT_LEAST:",
        "    if seen.readings < READINGS:",
        (
            "tests/sync/test_vanished.py::test_a_person_is_asked_after_several_readings_and_a_day_about_one_ticket_alone",
        ),
    ),
    Break(
        "P38",
        "syncd/sync/audit.py",
        "Fate.MISSING, was, repairable=True)",
        "Fate.SKIPPED, was, repairable=True)",
        ("tests/sync/test_audit.py::test_what_is_owed_and_not_there_is_missing",),
    ),
    Break(
        "P45",
        "syncd/store/erase.py",
        "            content=None,\n            agent=None,\n            ticket_link=None,",
        "            content=None,\n            ticket_link=None,",
        ("tests/store/test_erase.py::test_nothing_that_could_be_read_is_left",),
    ),
    Break(
        "P32",
        "syncd/store/chosen.py",
        "        if (now.state, now.version) == (one.state, one.version):",
        "        if True:",
        ("tests/store/test_chosen.py",),
    ),
    Break(
        "P39",
        "syncd/delivery/api.py",
        "ssl=self._ssl_context or True",
        "ssl=self._ssl_context or False",
        ("tests/security/test_tls.py",),
    ),
    Break(
        "P40",
        "syncd/sources/http.py",
        "            if len(body) > self._largest_body_bytes:",
        "            if len(body) > self._largest_body_bytes * 1000:",
        ("tests/security/test_sizes.py",),
    ),
    Break(
        "P42",
        "syncd/console/output.py",
        "    if text.isprintable():\n        return text\n",
        "    if text:\n        return text\n",
        (
            "tests/security/test_hostile_text.py",
            "tests/console/test_output.py",
        ),
    ),
    Break(
        "P43",
        "syncd/store/schema.py",
        'text("SELECT version_num FROM alembic_version")',
        "text(f\"SELECT version_num FROM {'alembic_version'}\")",
        ("tests/security/test_sql.py",),
    ),
    Break(
        "P44",
        "syncd/store/private_file.py",
        "0o600 | stat.S_IFREG",
        "0o644 | stat.S_IFREG",
        ("tests/security/test_files.py",),
    ),
    Break(
        "P41",
        "syncd/store/high_water.py",
        "if not name or not number.isdecimal() or len(number) > _WIDTH:",
        "if not name:",
        ("tests/fuzz/test_answers.py::test_a_high_water_mark_is_read_or_refused",),
    ),
    Break(
        "P33",
        "syncd/service/parts.py",
        "part.dispatcher.progressed_at > part.settings.timeout_seconds + LANE_LIMIT_SECONDS",
        "part.dispatcher.progressed_at > 1",
        ("tests/soak/test_soak.py::test_waiting_for_an_api_is_not_being_stuck",),
    ),
    Break(
        "P49",
        "syncd/sources/webhook_proofs.py",
        "        return hmac.compare_digest(_bytes(given), wanted)\n",
        "        return True\n",
        ("tests/adapters/test_hooks.py::test_one_flipped_byte_is_forged",),
    ),
    Break(
        "P49",
        "syncd/store/hooks.py",
        "    new = sorted(set(link_ids).difference(*waiting))\n",
        "    new = sorted(set(link_ids))\n",
        ("tests/store/test_hooks.py::test_a_ticket_is_due_once_however_often_it_is_named",),
    ),
    Break(
        "P49",
        "syncd/service/system_lane.py",
        "collect_hooked(system, first) if hooked else",
        "poll.sweep(system, first) if hooked else",
        ("tests/service/test_hooked.py::test_a_named_ticket_is_read_at_once_and_without_the_feed",),
    ),
)
