"""Display of a provider's name, with letters of several scripts pointed out.

Source: Unicode Technical Standard 39, section 5.2 ("highly restrictive"): Latin goes with Han, kana, Bopomofo and
Hangul; any other mixture is how one name is made to look like another.
"""

from __future__ import annotations

import unicodedata

TOGETHER = frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "BOPOMOFO", "HANGUL"})
"""Scripts, as the first word of a letter's Unicode name, that one honest name may mix."""


def scripts(text: str) -> dict[str, str]:
    """The scripts of a text's letters, each with the letters in it, in order of appearance."""
    found: dict[str, str] = {}
    for letter in text:
        if unicodedata.category(letter).startswith("L"):
            script = unicodedata.name(letter, "UNNAMED").split()[0]
            found[script] = found.get(script, "") + letter
    return found


def displayed(text: str) -> str:
    r"""A name as a person should see it: as it is, and its scripts where they do not belong together.

    Example:
        >>> displayed("Acme")
        'Acme'
        >>> displayed("\u0410cme")
        '\u0410cme [mixed scripts: Cyrillic U+0410; Latin c, m, e]'
    """
    found = scripts(text)
    if len(found) < 2 or set(found) <= TOGETHER:
        return text
    parts = []
    for script, letters in found.items():
        each = [letter if letter.isascii() else f"U+{ord(letter):04X}" for letter in dict.fromkeys(letters)]
        parts.append(f"{script.capitalize()} {', '.join(each)}")
    return f"{text} [mixed scripts: {'; '.join(parts)}]"
