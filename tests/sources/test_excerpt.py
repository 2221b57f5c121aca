"""What an operator may read of a vendor's error."""

import json

import pytest

from syncd.sources.excerpt import error_excerpt


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"message": "No such ticket"}', "No such ticket"),
        (b'{"error": "invalid_grant", "error_description": "The grant ended"}', "The grant ended"),
        (b'{"error": {"title": "Not allowed"}}', "Not allowed"),
        (b'{"errors": [{"detail": "first"}, {"detail": "second"}]}', "first"),
        (b'["bad"]', "bad"),
        (
            b'{"Error": {"ErrorCode": "SessionCreate.AuthFail", "ErrorMessage": "Session limit reached"}}',
            "Session limit reached",
        ),
        (b'{"error": {"msg": "No such ticket"}}', "No such ticket"),
        (b'{"message": "  two\\n\\u0007 words "}', "two words"),
        (b'{"message": ["nested"]}', "nested"),
        (b'{"text": "private"}', ""),
        (b'"private"', ""),
        (b"private", ""),
        (b"", ""),
        (b'{"message": "' + b"x" * 161 + b'"}', ""),
        (b'{"message": 5}', ""),
        (b'{"error": {"error": {"error": {"error": "deep"}}}}', ""),
        (b'{"message": "short"}' + b" " * 20_000, ""),
        (b'{"message": "key hush is bad"}', ""),
    ],
)
def test_the_excerpt(body, text):
    """A short message of a known field comes out on one line; anything else, and anything secret, stays."""
    assert error_excerpt(body, {"hush", ""}) == text


@pytest.mark.parametrize(
    "said",
    ["pass/word 4711+", "GET /x?key=pass%2Fword%204711%2B", "GET /x?key=pass%2Fword+4711%2B", "pass/word  4711+"],
)
def test_a_secret_stays_however_it_is_quoted(said):
    """A vendor that quotes the address it was asked at has the secret percent-encoded; it stays all the same."""
    body = json.dumps({"message": f"refused: {said}"}).encode()
    assert error_excerpt(body, {"pass/word 4711+"}) == ""
    assert error_excerpt(body, {"pass/word 4712+"}) != ""
