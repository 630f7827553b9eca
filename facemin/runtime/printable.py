"""Text of strangers made safe to show on a terminal."""

from __future__ import annotations

LONGEST = 500


def printable(text: str, *, most: int = LONGEST) -> str:
    """What somebody else wrote, without what would move a cursor, change colours or turn the order of reading.

    Every control, format and line-breaking character (escape sequences, bidirectional overrides, zero-width letters)
    becomes "?", so that the text shows as one line, and shows where it was tampered with.

    Args:
        text: a provider's message or name, a key's manifest, a file's name.
        most: characters that are shown; the rest is cut off and said to be.
    """
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[: most + 1])
    return shown if len(text) <= most else f"{shown[:most]}..."
