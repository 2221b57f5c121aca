"""Quoted history: what is cut, and above all what is not."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.mapping.history import is_forward, without_history
from syncd.mapping.markup import html_to_text
from syncd.mapping.text import tidy

QUOTE = "> Hallo Carla,\n> ist der Drucker eingeschaltet?"

ATTRIBUTIONS = [
    "On Mon, Nov 23, 2026 at 10:00\u202fAM Max Muster <max@example.com> wrote:",
    "On 11/23/26 10:00 AM, Max Muster wrote:",
    "On 23 Nov 2026, at 10:00, Max Muster <max@example.com> wrote:",
    "On Mon, 23 Nov 2026 10:00:00 +0100 (CET), Max wrote:",
    "On Mon Nov 23 10:00:00 2026, root wrote:",
    "On Monday, November 23rd, 2026 at 10:00, Max <max@example.com> wrote:",
    "On 2026-11-23 10:00, Max wrote:",
    "On Mon, Nov 23, 2026 at 10:00 AM Max Muster via Support Team <\nsupport@example.com> wrote:",
    "On Mon, Nov 23, 2026 at 10:00 AM Max Muster <max@example.com>\nwrote:",
    "Am 23.11.26 um 10:00 schrieb Max Muster:",
    "Am Mo., 23. Nov. 2026 um 10:00\u00a0Uhr schrieb Max Muster <max@example.com>:",
    "Am Montag, den 23. November 2026 um 10:00:00 MEZ schrieb Max Muster:",
    "Am Mo., 23. Nov. 2026 um 10:00 Uhr schrieb Max Muster <\nmax@example.com>:",
    "Max Muster schrieb am 23.11.2026 um 10:00:",
    "23.11.2026 10:00 - Max Muster schrieb:",
    "Le lun. 23 nov. 2026 \u00e0 10:00, Max <max@example.com> a \u00e9crit\u00a0:",
    "El lun, 23 nov 2026 a las 10:00, Max (<max@example.com>) escribi\u00f3:",
    "Il giorno lun 23 nov 2026 alle ore 10:00 Max <max@example.com> ha scritto:",
    "Op ma 23 nov 2026 om 10:00 schreef Max <max@example.com>:",
    "Em seg., 23 de nov. de 2026 \u00e0s 10:00, Max <max@example.com> escreveu:",
    "Den 23.11.2026 kl. 10.00 skrev Max <max@example.com>:",
]


@pytest.mark.parametrize("attribution", ATTRIBUTIONS)
def test_an_attribution_with_quotes_to_the_end_is_cut(attribution: str) -> None:
    """What a mail client writes above its `>` lines marks history, wrapped or not."""
    assert without_history(f"Ja, ist er.\n\n{attribution}\n\n{QUOTE}\n>\n> Gru\u00df") == "Ja, ist er."


def test_history_within_history_is_cut() -> None:
    """Two quotes in a row, and a quote within a quote, are all history."""
    text = f"Ja.\n\n{ATTRIBUTIONS[1]}\n> a\n>> b\n\n{ATTRIBUTIONS[9]}\n{QUOTE}"
    assert without_history(text) == "Ja."


def test_an_attribution_inside_the_quote_is_a_mark() -> None:
    """Apple Mail quotes its own attribution."""
    assert without_history(f"Ja.\n\n> {ATTRIBUTIONS[2]}\n> \n{QUOTE}\n") == "Ja."


@pytest.mark.parametrize(
    "text",
    [
        f"Ja, ist er.\n\n{QUOTE}",
        f"Am Montag schrieb Ihr Kollege:\n{QUOTE}",
        f"On Monday your colleague wrote:\n{QUOTE}",
        f"Am 23.11.2026 um 10:00 war ich da, dann schrieb mir Ihr Kollege:\n{QUOTE}",
        f"On Nov 23, 2026 at 10:00 I was there but then one of your colleagues wrote:\n{QUOTE}",
        f"On Nov 23, 2026 at 10:00 I called.\nHe wrote:\n{QUOTE}",
        f"Max wrote:\n{QUOTE}",
        "Die Punkte:\n> erstens\n> zweitens",
        f"Ja.\n\n{ATTRIBUTIONS[9]}\nkein Zeichen davor",
        f"Ja.\n\n{ATTRIBUTIONS[9]}\n",
    ],
)
def test_without_a_certain_mark_everything_stays(text: str) -> None:
    """A quote that a person may have made, and an attribution without quotes, are kept."""
    text = f"Guten Tag,\n\n{text}"
    assert without_history(text) == text


@pytest.mark.parametrize("attribution", [ATTRIBUTIONS[0], ATTRIBUTIONS[9]], ids=["en", "de"])
def test_answers_between_and_below_quotes_are_kept(attribution: str) -> None:
    """With any word after a quote, the quote is what the word answers."""
    between = f"Guten Tag,\n\n{attribution}\n> Frage 1\nAntwort 1\n> Frage 2\nAntwort 2"
    assert without_history(between) == between
    below = f"Guten Tag,\n\n{attribution}\n{QUOTE}\n\nJa, ist er."
    assert without_history(below) == below
    last = f"Guten Tag,\n\n{attribution}\n> Frage 1\n\nAntwort 1\n\n> Frage 2"
    assert without_history(last) == last


def test_a_reply_of_nothing_but_history_is_kept() -> None:
    """Something must arrive, so what would be cut to nothing stays whole."""
    text = f"\u200b\n{ATTRIBUTIONS[9]}\n{QUOTE}"
    assert without_history(text) == text


SEPARATORS = [
    "-----Original Message-----",
    "-----Urspr\u00fcngliche Nachricht-----",
    "-------- Original message --------",
    "________________________________",
    "--- Originalnachricht ---",
]
HEADERS = {
    "en": "From: Max <max@example.com>\nSent: Monday, 23 November 2026 10:00\nTo: Carla\nSubject: Printer",
    "de": "Von: Max <max@example.com>\nGesendet: Montag, 23. November 2026 10:00\nAn: Carla\nBetreff: Drucker",
    "bold": "*From:* Max\n*Date:* 23.11.2026\n*To:* Carla\n*Subject:* Printer",
}


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("language", HEADERS)
def test_outlooks_line_with_a_header_is_cut(separator: str, language: str) -> None:
    """A line drawn by the client with the header of the original below it marks history."""
    assert without_history(f"Danke!\n\n{separator}\n{HEADERS[language]}\n\nHallo Carla\n") == "Danke!"


@pytest.mark.parametrize(
    "text",
    [
        f"Danke!\n\n{HEADERS['en']}\n\nHallo",
        "Danke!\n-----Original Message-----\nist das, was da stand.",
        "Meine Reise:\n\n________________\nVon: Berlin\nAn: Rom\n",
        f"Siehe unten.\n\n{SEPARATORS[1]}\n{HEADERS['de']}\n\nFrage? Antwort!",
        f"My answers are in-line.\n\n{SEPARATORS[0]}\n{HEADERS['en']}\n\nquestion? answer!",
        f"{SEPARATORS[0]}\n{HEADERS['en']}\n\nHallo\n\nMeine Antwort",
    ],
    ids=["no line", "no header", "two headers", "announced de", "announced en", "nothing above"],
)
def test_outlooks_history_stays_where_it_may_hold_answers(text: str) -> None:
    """Without both marks, or with answers announced or nothing above, all is kept."""
    assert without_history(text) == text


def test_signatures_and_disclaimers_are_kept() -> None:
    """Only history is cut: who signs, and what the lawyers add, was written by the sender."""
    text = f"Ja.\n\n-- \nCarla Kunde\nThis mail is confidential.\n\n{ATTRIBUTIONS[1]}\n{QUOTE}"
    assert without_history(text) == "Ja.\n\n--\nCarla Kunde\nThis mail is confidential."


def test_history_in_html_is_cut_by_the_same_marks() -> None:
    """Gmail's, Apple's and Outlook's markup become the marks that are known in text."""
    gmail = (
        '<div dir="ltr">Ja.</div><br><div class="gmail_quote"><div class="gmail_attr">Am Mo., 23. Nov. 2026 um '
        '10:00 Uhr schrieb Max &lt;<a href="mailto:max@x.de">max@x.de</a>&gt;:<br></div>'
        "<blockquote>Hallo<br>da</blockquote></div>"
    )
    apple = (
        "Ja.<br><blockquote type=cite><div>Am 23.11.2026 um 10:00 schrieb Max &lt;max@x.de&gt;:</div><br>Hallo"
        "</blockquote>"
    )
    outlook = (
        '<p>Ja.</p><hr><div id="divRplyFwdMsg"><b>Von:</b> Max<br><b>Gesendet:</b> Montag<br><b>An:</b> Carla<br>'
        "<b>Betreff:</b> Drucker</div><div>Hallo</div>"
    )
    assert [without_history(html_to_text(markup)) for markup in (gmail, apple, outlook)] == ["Ja."] * 3


@pytest.mark.parametrize("subject", ["Fwd: Rechnung", "FW: invoice", "WG: Rechnung", "Wg : x"])
def test_a_forward_is_known_by_its_subject(subject: str) -> None:
    """English and German clients say that a message is forwarded."""
    assert is_forward(subject)


@pytest.mark.parametrize("subject", ["Re: Fwd: Rechnung", "AW: WG: Rechnung", "Forward: x", "Wgt: x", ""])
def test_an_answer_to_a_forward_is_none(subject: str) -> None:
    """Only what stands first counts."""
    assert not is_forward(subject)


@pytest.mark.parametrize(
    "unit",
    [
        "> a\n", "\n", "On ", "On 23.11.2026 10:00, a wrote:\n", "On 23.11.2026 10:00, a wrote:\n> x\n",
        "____________\n", "-----Original Message-----\nFrom: a\n", "-----Original Message-----\n", " \n",
    ],
)  # fmt: skip
def test_the_steps_grow_with_the_size(unit: str, count_steps: Callable[[Callable[[], object]], int]) -> None:
    """Twice the text takes at most about twice the steps, whatever mark it repeats."""
    once = count_steps(lambda: without_history(f"x\n{unit * 500}"))
    twice = count_steps(lambda: without_history(f"x\n{unit * 1_000}"))
    assert twice <= 2.1 * once + 100


LINES = st.sampled_from(
    ["", "wort", "> zitat", ">> tiefer", *ATTRIBUTIONS[:2], SEPARATORS[0], *HEADERS["en"].split("\n")]
)


@settings(deadline=None, max_examples=200)
@given(st.lists(LINES, max_size=14).map("\n".join))
def test_only_an_end_is_ever_cut_and_never_all(text: str) -> None:
    """What is left is how the text begins, and is empty only if the text was."""
    text = tidy(text)
    kept = without_history(text)
    assert text.startswith(kept)
    assert bool(kept) == bool(text)


@settings(deadline=None, max_examples=200)
@given(st.lists(LINES.filter(lambda line: not line.startswith("-----")), max_size=14))
def test_no_unquoted_word_is_ever_cut_by_an_attribution(lines: list[str]) -> None:
    """Of lines that no client marked as its own, each one without a `>` is kept."""
    text = tidy("\n".join(lines))
    assert without_history(text).count("wort") == text.count("wort")
