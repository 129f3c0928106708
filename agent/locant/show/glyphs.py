"""Letters of three by five points, for pictures: a line of each glyph is an octal digit."""

from __future__ import annotations

WIDTH, HEIGHT = 3, 5
_LETTERS = (
    "25755 65656 34443 65556 74647 74644 34553 55755 72227 11152 55655 44447 57755 65555 25552 65644 25563 65655 34216 "
    "72222 55557 55552 55775 55255 55222 71247"
)
_DIGITS = "75557 26227 71747 71317 55711 74717 74757 71122 75757 75717"
_SIGNS = {
    "(": "24442",
    ")": "21112",
    " ": "00000",
    ".": "00002",
    ",": "00024",
    "-": "00700",
    "_": "00007",
    ":": "02020",
    "/": "11244",
}
_UNKNOWN = "71202"
_GLYPHS = {
    **dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", _LETTERS.split(), strict=True)),
    **dict(zip("0123456789", _DIGITS.split(), strict=True)),
    **_SIGNS,
}


def written(text: str) -> tuple[tuple[bool, ...], ...]:
    """The points of a text, line by line; capitals only, a point between letters, a question mark for other signs."""
    glyphs = [_GLYPHS.get(letter, _UNKNOWN) for letter in text.upper()]
    return tuple(tuple(point for glyph in glyphs for point in (*_points(glyph[line]), False)) for line in range(HEIGHT))


def _points(digit: str) -> tuple[bool, ...]:
    return tuple(bool(int(digit) >> place & 1) for place in (2, 1, 0))
