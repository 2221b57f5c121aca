"""A mapping in the settings is written by trial: `syncd check` shows field by field what it makes of a real ticket."""

import pytest

MAPPING = """
[database]
url = "{database}"
[api.berlin]
base_url = "{api}"
api_key = "key-berlin"
[systems.desk]
adapter = "rest"
[systems.desk.options]
base_url = "{desk}"
authentication = {{ header = {{ scheme = "Bearer", secret = "{token}" }} }}
[systems.desk.options.check]
path = "/api/me"
account = "account"
[systems.desk.options.ticket]
number_pattern = '(?P<number>HD-[0-9]+)'
link_pattern = '/tickets/(?P<number>HD-[0-9]+)$'
by_number = {{ path = "/api/tickets", params = {{ number = "{{number}}" }}, rows = "tickets" }}
by_id = {{ path = "/api/tickets/{{id}}", record = "@" }}
[systems.desk.options.ticket.fields]
id = "id"
number = "number"
subject = "{subject}"
[systems.desk.options.replies]
path = "/api/tickets/{{id}}/replies"
rows = "replies"
[systems.desk.options.replies.fields]
id = "id"
public = "{public}"
body = "text"
created_at = "created_at"
"""


@pytest.fixture
def write(syncd, ends):
    """Return what writes the settings with these two expressions."""

    def write_settings(subject="subject", public="public"):
        syncd.config.write_text(
            MAPPING.format(
                database=syncd.url,
                api=ends.sandbox.base_url,
                desk=ends.helpdesk.base_url,
                token=ends.helpdesk.token,
                subject=subject,
                public=public,
            )
        )

    return write_settings


async def test_every_expression_is_shown_with_what_it_finds(syncd, ends, write):
    """Each configured field has its expression, what it found in the ticket, and what became of it."""
    write()
    ticket = ends.ticket()
    ran = await syncd.call("check", "--system", "desk", "--ticket", ticket.number, "--json")
    assert ran.code == 0
    told = {one["place"]: one for one in ran.json}
    subject = next(one for place, one in told.items() if place.endswith("subject"))
    assert (subject["expression"], subject["found"], subject["made"]) == ("subject", ticket.subject, ticket.subject)
    assert sum(place.endswith("public") for place in told) == len(ticket.replies)


async def test_a_field_that_fails_stops_no_other(syncd, ends, write):
    """An expression that gives no yes or no has its problem told beside it, the others are shown, and the code is 1."""
    write(public="text")
    ran = await syncd.call("check", "--system", "desk", "--ticket", ends.ticket().number)
    assert ran.code == 1
    assert "PROBLEM" in ran.out
    assert "subject" in ran.out
    assert "with a problem." in ran.out


async def test_a_wrong_expression_names_its_place(syncd, ends, write):
    """What is no JMESPath is a mistake of the settings with its place, before anything is asked."""
    write(subject="subject[")
    ran = await syncd.call("check", "--system", "desk", "--ticket", "HD-1")
    assert ran.code == 2
    assert "systems.desk.options.ticket.fields.subject" in ran.err
    assert "JMESPath" in ran.err
    assert ends.helpdesk.requests == []


async def test_what_is_not_described_is_not_missed(syncd, ends, write):
    """A capability that the settings do not describe is no lack of the account."""
    write()
    ran = await syncd.call("check", "--json")
    assert [one["verdict"] for one in ran.json["findings"] if one["about"] == "system desk"] == ["good"]


async def test_a_secret_inside_the_options_can_be_a_credential(syncd, ends, write):
    """A secret in a table of the options is taken from the file named like its place, as any other."""
    write()
    text = syncd.config.read_text().replace(f', secret = "{ends.helpdesk.token}"', "")
    syncd.config.write_text(text)
    folder = syncd.config.parent / "credentials"
    folder.mkdir(mode=0o700)
    secret = folder / "systems.desk.options.authentication.header.secret"
    secret.touch(mode=0o600)
    secret.write_text(ends.helpdesk.token)
    ran = await syncd.call("check", "--system", "desk", "--ticket", ends.ticket().number)
    assert ran.code == 0
    assert ends.helpdesk.token not in ran.out
