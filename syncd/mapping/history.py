"""Quoted history: recognised by certain marks alone, so that nothing a customer wrote is lost.

Two marks count. A client's attribution (`On <date> <time>, <name> wrote:`) with nothing but `>` lines after it; and the
line that Outlook and its like draw above the header of the original. Everything else stays, signatures too.
"""

import re

from syncd.mapping.text import is_blank, tidy

ORIGINAL_MESSAGE = "-----Original Message-----"

_LONGEST_MARK = 300
_MOST_WRAPPED_LINES = 3

# When a client attributes it writes a whole date with year and a time; a person who quotes writes less.
_WEEKDAY = r"(?:giorno )?(?:\w{2,12}[.,]{0,2} )?(?:den |the )?"
_DATE = (
    r"(?:\d{4}-\d{2}-\d{2}|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}"
    r"|\d{1,2}(?:\.|st|nd|rd|th)? (?:de )?\w{3,10}\.?,? (?:de )?\d{4}"
    r"|\w{3,10}\.? \d{1,2}(?:st|nd|rd|th)?,? \d{4})"
)
_ZONE = r"(?: \(?(?:[A-Z]{2,5}|(?:GMT|UTC)?[+-]\d{2}:?\d{2})\)?){0,2}"
_CLOCK = rf"\d{{1,2}}[:.h]\d{{2}}(?:[:.]\d{{2}})?(?: ?[AaPp]\.?[Mm]\.?)?(?: Uhr)?{_ZONE}"
_WHEN = (
    rf"(?:{_WEEKDAY}{_DATE},?(?: (?:at|um|à|a las|alle ore|alle|om|às|kl\.?))? {_CLOCK}"
    r"|\w{2,4} \w{3,4} \d{1,2} \d{2}:\d{2}:\d{2} \d{4})"
)
_NAME = r"\S{1,100}(?: \S{1,100}){0,5}"
_ATTRIBUTIONS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?:On|Le|El|Il|Em) {_WHEN},? {_NAME} ?(?:wrote|a écrit|escribió|ha scritto|escreveu) ?:",
        rf"(?:Am|Op|Den) {_WHEN},? (?:schrieb|schreef|skrev) {_NAME} ?:",
        rf"{_NAME} (?:wrote on|schrieb am|schreef op) {_WHEN} ?:",
        rf"{_WHEN} - {_NAME} (?:wrote|schrieb) ?:",
    )
)
_MAIL_ADDRESS = re.compile(r"<[^<>\s@]{1,100}@[^<>\s@]{1,100}>")

_SEPARATOR = re.compile(
    r"_{10,}|-{3,} ?(?:Original Message|Ursprüngliche Nachricht|Originalnachricht|Original-Nachricht|Message d'origine"
    r"|Mensaje original|Messaggio originale|Oorspronkelijk bericht|Mensagem original|Oprindelig meddelelse"
    r"|Ursprungligt meddelande|Wiadomość oryginalna) ?-{3,}",
    re.IGNORECASE,
)
_HEADERS = {
    "from": "from von de da van od fra från",
    "sent": "sent date gesendet datum envoyé enviado inviato verzonden wysłano sendt skickat data fecha",
    "to": "to an à para a aan do til till",
    "subject": "subject betreff objet asunto oggetto onderwerp temat emne ämne assunto",
}
_HEADER_KINDS = {word: kind for kind, words in _HEADERS.items() for word in words.split()}
_HEADER = re.compile(r"\*?(\w{1,12})\*?\s?:")
_MOST_HEADER_LINES = 10
_FEWEST_HEADERS = 3
_RULE = re.compile(r"[-_]{3,}")
# Outlook's history has no marks of its own, so answers written into it cannot be seen; people announce them.
_POINTS_BELOW = re.compile(
    r"\b(?:below|beneath|underneath|in-?line|in between|in (?:red|blue|green|bold|caps)|unten|untenstehend\w*|darunter"
    r"|nachstehend\w*|nachfolgend\w*|dazwischen|im text|in (?:rot|blau|grün|fett)\w*|s\.\s?u\.)",
    re.IGNORECASE,
)
_FORWARD = re.compile(r"\s*(?:fwd?|wg|tr|rv|i|enc|doorst|vb)\s?:", re.IGNORECASE)


def is_forward(subject: str) -> bool:
    """Tell whether a subject announces a forwarded message, whose history is what the sender wants to say."""
    return _FORWARD.match(subject) is not None


def without_history(text: str) -> str:
    """Return the text without the quoted history at its end, or the whole text if nothing else would be left."""
    lines = text.split("\n")
    end = _end_before_outlook(lines)
    while (earlier := _end_before_quote(lines, end)) < end:
        end = earlier
    if end == len(lines):
        return text
    kept = tidy("\n".join(lines[:end]))
    return text if is_blank(kept) else kept


def _end_before_outlook(lines: list[str]) -> int:
    for index, line in enumerate(lines):
        if len(line) <= _LONGEST_MARK and _SEPARATOR.fullmatch(line.strip()) and _is_header(lines, index + 1):
            above = "\n".join(lines[:index])
            if is_blank(above) or _POINTS_BELOW.search(above):
                return len(lines)
            return _without_rules(lines, index)
    return len(lines)


def _without_rules(lines: list[str], end: int) -> int:
    while end and (not lines[end - 1].strip() or _RULE.fullmatch(lines[end - 1].strip())):
        end -= 1
    return end


def _is_header(lines: list[str], start: int) -> bool:
    """Tell whether the lines from `start` on are the header of a mail: three of from, sent, to and subject."""
    filled = [line.strip() for line in lines[start : start + _MOST_HEADER_LINES] if line.strip()]
    found = [_HEADER.match(line) for line in filled]
    kinds = [_HEADER_KINDS.get(match.group(1).lower()) if match else None for match in found]
    return bool(kinds) and kinds[0] is not None and len({kind for kind in kinds if kind}) >= _FEWEST_HEADERS


def _end_before_quote(lines: list[str], end: int) -> int:
    """Return where the last block of `>` lines begins, its attribution included; `end` if there is none."""
    start = end
    while start and (not lines[start - 1].strip() or lines[start - 1].startswith(">")):
        start -= 1
    quoted = [line.lstrip("> ") for line in lines[start:end] if line.startswith(">")]
    if not quoted:
        return end
    wrapped = _attribution_lines(lines[max(0, start - _MOST_WRAPPED_LINES) : start])
    if wrapped:
        return start - wrapped
    # Apple Mail puts the attribution inside the quote.
    opening = [line for line in quoted if line.strip()][:_MOST_WRAPPED_LINES]
    inside = any(_is_attribution(opening[:count]) for count in range(1, len(opening) + 1))
    return start if inside else end


def _attribution_lines(lines: list[str]) -> int:
    """Return how many of the last lines are an attribution: 0 if they are none."""
    for count in range(1, len(lines) + 1):
        if _is_attribution(lines[-count:]):
            return count
    return 0


def _is_attribution(lines: list[str]) -> bool:
    """Tell whether lines are one attribution; one that runs over several has the writer's address."""
    if sum(map(len, lines)) > _LONGEST_MARK or not lines[-1].rstrip().endswith(":"):
        return False
    words = " ".join(" ".join(lines).split()).replace("< ", "<").replace(" >", ">")
    if len(lines) > 1 and not _MAIL_ADDRESS.search(words):
        return False
    return any(pattern.fullmatch(words) for pattern in _ATTRIBUTIONS)
