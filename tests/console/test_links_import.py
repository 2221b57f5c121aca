"""`syncd links import`: every line is judged by itself."""

import json

import pytest

HEADING = "api,customer_id,thread_id,system,ticket_number,ticket_link,from"


@pytest.fixture
def imported(syncd):
    """Write a file and import it."""

    def write_and_import(content: str | bytes, name: str = "links.csv"):
        file = syncd.directory / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return syncd("links", "import", file)

    return write_and_import


def tickets(syncd):
    """Return thread ids and tickets of the links."""
    return [
        (link["thread_id"], link["ticket_number"] or link["ticket_link"])
        for link in syncd("links", "list", "--json").json
    ]


def test_good_lines_are_kept_and_bad_ones_reported_by_number(syncd, imported):
    """Each mistake is told with the line it stands in; the exit code is 1, and the rest is registered."""
    rows = [
        HEADING,
        "berlin,1,10,desk,HD-1,,",
        "berlim,1,11,desk,HD-1,,",
        "berlin,1,12,dask,HD-1,,",
        "berlin,one,13,desk,HD-1,,",
        "berlin,1,99999999999999999999,desk,HD-1,,",
        "berlin,1,9223372036854775808,desk,HD-1,,",
        "berlin,1,14,desk,,,",
        "berlin,1,15,desk,HD-1,https://x/1,",
        "berlin,1,16,desk,HD-1,,yesterday",
        "berlin,1",
        "berlin,1,17,desk,HD-1,,,,surplus",
        'berlin,1,18,desk,"HD-1,,',
        ",1,19,desk,HD-1,,",
        "",
        "berlin,1,10,desk,HD-2,,",
        "hamburg,1,20,other,,https://desk.example/tickets/HD-3,start",
    ]
    ran = imported("\n".join(rows))
    assert ran.code == 1
    assert ran.out == "2 added, 0 there already, 13 bad\n"
    told = dict(line.removeprefix("line ").split(": ", 1) for line in ran.err.splitlines())
    assert {int(number): words for number, words in told.items()} == {
        3: "there is no [api.berlim] in the settings; did you mean berlin?",
        4: "there is no [systems.dask] in the settings; did you mean desk?",
        5: "customer_id 'one' is no whole number",
        6: "thread_id '99999999999999999999' is no whole number",
        7: "thread_id 9223372036854775808 is outside the 64-bit ids of the API",
        8: "has neither ticket_number nor ticket_link; one of them names the ticket",
        9: "has both ticket_number and ticket_link; one of them names the ticket",
        10: "'yesterday' is no instant; write it like 2026-05-01T08:00:00+02:00, or `now`, or `start`",
        11: "has 2 cells where the first line has 7",
        12: "has 9 cells where the first line has 7",
        13: "is no line of CSV: unexpected end of data",
        14: "api is empty",
        16: told["16"],
    }
    assert "is linked to ticket HD-1 of desk" in told["16"]
    assert tickets(syncd) == [(10, "HD-1"), (20, "https://desk.example/tickets/HD-3")]


def test_repeating_an_import_is_harmless(syncd_on_both):
    """The second time everything is there already, in the file twice or not."""
    file = syncd_on_both.directory / "links.csv"
    lines = [f"berlin,1,{number},desk,HD-{number},," for number in range(700)]
    file.write_text("\n".join([HEADING, *lines, lines[0]]))
    assert syncd_on_both("links", "import", file).out == "700 added, 1 there already, 0 bad\n"
    ran = syncd_on_both("links", "import", file)
    assert (ran.code, ran.out) == (0, "0 added, 701 there already, 0 bad\n")
    assert len(syncd_on_both("links", "list", "--json").json) == 700


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff" + HEADING + "\r\nberlin,1,10,desk,HD-1,,\r\n",
        "api;customer_id;thread_id;system;ticket_number\nberlin;1;10;desk;HD-1\n",
        "api\tcustomer_id\tthread_id\tsystem\tticket_number\nberlin\t1\t10\tdesk\tHD-1\n",
        "ticket_number, system, thread_id, customer_id, api\nHD-1, desk, 10, 1, berlin",
        HEADING + '\n\n"berlin","1","10","desk","HD-1"\n\n',
        HEADING + "\rberlin,1,10,desk,HD-1,,\r",
    ],
    ids=["bom-crlf", "semicolons", "tabs", "other-order", "quotes-and-blank-lines", "cr"],
)
def test_the_usual_forms_of_csv_are_read(syncd, imported, content):
    """What spreadsheets write is taken as it is."""
    assert imported(content).out == "1 added, 0 there already, 0 bad\n"
    assert tickets(syncd) == [(10, "HD-1")]


def test_a_line_that_is_not_utf8_is_bad_and_no_other(syncd, imported):
    """Latin-1 in one line leaves the others good."""
    ran = imported(HEADING.encode() + b"\nberlin,1,10,desk,K\xf6ln-1,,\nberlin,1,11,desk,HD-2,,\n")
    assert (ran.code, ran.err) == (1, "line 2: is not UTF-8 text\n")
    assert tickets(syncd) == [(11, "HD-2")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("api,custmer_id,thread_id,system,ticket_number\n", "unknown column 'custmer_id'; did you mean customer_id?"),
        ("api,customer_id,thread_id,system\n", "column ticket_number (or ticket_link) is missing"),
        ("api,api,customer_id,thread_id,system,ticket_link\n", "column api is there twice"),
        ("berlin,1,10,desk,HD-1\n", "column thread_id is missing"),
        ("", "has no lines"),
        (HEADING.encode("utf-16"), "is UTF-16"),
    ],
)
def test_a_heading_that_is_not_understood_stops_everything(syncd, imported, content, words):
    """Columns that nobody knows are named, and nothing is registered."""
    ran = imported(content)
    assert (ran.code, words in ran.err) == (2, True)
    assert tickets(syncd) == []


def test_json_lines_are_read(syncd, imported):
    """Objects with the same names, ids as numbers or texts; bad ones are told like lines of CSV."""
    good = {"api": "berlin", "customer_id": 1, "thread_id": "10", "system": "desk", "ticket_number": "HD-1"}
    lines = [
        json.dumps(good),
        json.dumps(good | {"thread_id": 11, "ticket_number": 42, "ticket_link": None, "from": "start"}),
        json.dumps(good | {"thread_id": 1.5}),
        json.dumps(good | {"thread_id": True}),
        json.dumps(good | {"form": "start"}),
        "[1]",
        "{",
    ]
    ran = imported("\n".join(lines), "links.jsonl")
    assert ran.code == 1
    assert ran.err.splitlines() == [
        "line 3: thread_id is neither a text nor a whole number",
        "line 4: thread_id is neither a text nor a whole number",
        "line 5: unknown column 'form'; did you mean from?",
        "line 6: is no JSON object",
        "line 7: is no JSON",
    ]
    assert tickets(syncd) == [(10, "HD-1"), (11, "42")]


def test_standard_input_is_read(syncd):
    """`-` reads what is piped in."""
    ran = syncd.process("links", "import", "-", stdin=f"{HEADING}\nberlin,1,10,desk,HD-1,,\n".encode())
    assert (ran.code, ran.out) == (0, "1 added, 0 there already, 0 bad\n")


def test_a_file_that_is_not_there_is_told(syncd):
    """A wrong name is a usage error."""
    ran = syncd("links", "import", syncd.directory / "none.csv")
    assert (ran.code, "cannot be read: No such file" in ran.err) == (2, True)
