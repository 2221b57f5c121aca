"""`syncd check --ticket` shows what becomes of a real ticket, and stores and sends nothing."""


def fields(ran):
    """Return what was made of each field, by its place."""
    return {one["place"]: one["made"] for one in ran.json}


async def test_a_ticket_is_shown_field_by_field(syncd, ends):
    """Ticket and replies are told with every field that the adapter makes of them, internal notes marked."""
    ticket = ends.ticket()
    ends.helpdesk.internal_note(ticket.id, "calls often")
    ran = await syncd.call("check", "--system", "desk", "--ticket", ticket.number, "--json")
    assert ran.code == 0
    told = fields(ran)
    assert told["ticket.number"] == ticket.number
    assert told["ticket.link"] == ends.helpdesk.link(ticket)
    assert told["replies[0].first_message"] == "true"
    note = max(place for place in told if place.endswith(".visibility")).removesuffix(".visibility")
    assert told[f"{note}.visibility"] == "internal"
    assert told[f"{note}.body"].endswith("calls often")
    assert ends.sandbox.requests == 0
    assert not (syncd.directory / "syncd.db").exists()


async def test_the_table_is_for_people(syncd, ends):
    """Without --json it is a table with a verdict; the only system need not be named, and a link does as well."""
    ran = await syncd.call("check", "--ticket", ends.helpdesk.link(ends.ticket()))
    assert ran.code == 0
    assert "ticket.subject" in ran.out
    assert ran.out.endswith("Every field is readable.\n")


async def test_what_cannot_be_read_says_why(syncd, ends):
    """A ticket that is not there, a system that is not there, and --system alone each get their own words and code."""
    gone = await syncd.call("check", "--system", "desk", "--ticket", "HD-987654")
    assert (gone.code, "is gone" in gone.err) == (1, True)
    unknown = await syncd.call("check", "--system", "deks", "--ticket", "HD-1")
    assert (unknown.code, "desk" in unknown.err) == (2, True)
    alone = await syncd.call("check", "--system", "desk")
    assert (alone.code, "--ticket" in alone.err) == (2, True)


async def test_escapes_in_a_ticket_do_nothing_to_a_terminal(syncd, ends):
    """What a customer wrote is shown without what would move the cursor."""
    ticket = ends.helpdesk.create_ticket("Esc \x1b[2J", "text \x1b]0;x\x07", at=ends.ticket().created_at)
    ran = await syncd.call("check", "--ticket", ticket.number)
    assert "\x1b" not in ran.out
