"""Figure of who finds a person by an upload: without a secret, with one, and with a stolen one.

    python experiments/pseudonym/glance.py

Draws docs/who-finds-you.svg from the latest records of linkers.py, thief.py and probe_curve.py, and from nothing else:
AUC over people, 0.5 being chance, with its 95 % interval. The figure has no face in it.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from facemin.experiments.common import REPOSITORY, RESULTS, last_record, script_parser

RECORDS = RESULTS / "pseudonym"
FIGURE = REPOSITORY / "docs" / "who-finds-you.svg"

NO_SECRET, SECRET, STOLEN = "no secret", "a secret each", "secret stolen"
WHO: dict[str, tuple[tuple[str, str], ...]] = {
    "has the provider's key or weights": (("the key itself", "image"),),
    "fine-tuned a network from the provider's": (
        ("a sibling of the key's network, 12 steps away, cosine 0.74", "image"),
    ),
    "has recognisers off the shelf (best of three)": tuple(
        (f"mobilefacenet-{name} itself", "image") for name in ("ms1m-arcface", "casia-arcface", "vggface2-amsoftmax")
    ),
    "learnt from 2,000 other people's uploads": (("ridge on recognisers off the shelf and thumbnails", "image"),),
    "the same, and has the key": (("ridge on the key, recognisers off the shelf and thumbnails", "image"),),
    "has 16 images of one photo": (("the key itself, 16 images of a photo", "image"),),
    "has five photos' uploads (150 people)": (("the key itself, five photos", "image"),),
    "is two providers put together": (
        ("two providers put together: ridge on both features and their products", "feature"),
        ("two providers of one space: accounts of one looked for among the other's", "feature"),
    ),
}
"""What is written beside a row, and the attackers of linkers.py in it: of several the strongest under a secret."""
CURVE = {5: "kept 5 of your uploads, has 5 photos of you", 20: "kept 20 of your uploads, has 20 photos of you"}

LEFT, WIDTH, ROW, TOP, RIGHT = 352, 400, 30, 84, 48
STYLES = {NO_SECRET: ("none", "circle"), SECRET: ("with", "diamond"), STOLEN: ("stolen", "square")}
WORDS = {NO_SECRET: "without a secret", SECRET: "with a secret (the default)", STOLEN: "your secret stolen"}


class Point(NamedTuple):
    """An AUC with its interval."""

    auc: float
    low: float
    high: float


def main() -> None:
    """Draw."""
    arguments = script_parser(__doc__, shared=False, out=FIGURE).parse_args()
    arguments.out.write_text(figure(rows(RECORDS)))
    print(arguments.out)


def rows(records: Path) -> dict[str, dict[str, Point]]:
    """Points of each row by setting."""
    tables = last_record(records / "linkers.jsonl")["tables"]
    found: dict[str, dict[str, Point]] = {}
    for words, attackers in WHO.items():
        found[words] = {
            table: max(_point(row) for row in tables[table] if (row["attacker"], row["upload"]) in attackers)
            for table in (NO_SECRET, SECRET)
        }
    stolen = [row for row in last_record(records / "thief.jsonl")["rows"] if row["setting"] == STOLEN]
    found[next(iter(WHO))][STOLEN] = _point(stolen[0])
    curve = [row for row in last_record(records / "probe_curve.jsonl")["rows"] if row["probe"] == "decision"]
    for count, words in CURVE.items():
        setting = f"{count} uploads, {count} photos a candidate"
        found[words] = {SECRET: max(_point(row) for row in curve if row["setting"] == setting)}
    return found


def figure(found: dict[str, dict[str, Point]]) -> str:
    """The figure as SVG, readable on light and on dark pages."""
    height = TOP + ROW * len(found) + 44
    width = LEFT + WIDTH + RIGHT
    body = [f'<rect class="page" width="{width}" height="{height}" rx="8"/>']
    body.append(_text(16, 28, "Is it you? What your uploads tell somebody who ...", "title"))
    legend = 16.0
    for setting, words in WORDS.items():
        body += [_mark(legend + 6, 52, setting), _text(legend + 18, 56, words)]
        legend += 40 + 6.6 * len(words)
    bottom = TOP + ROW * len(found)
    for tenth in range(5, 11):
        x = _x(tenth / 10)
        body.append(f'<path class="{"chance" if tenth == 5 else "grid"}" d="M{x:.1f} {TOP - 10}V{bottom}"/>')
        body.append(_text(x, bottom + 16, f"{tenth / 10:.1f}", "middle"))
    body.append(_text(_x(0.5), bottom + 34, "chance", "middle"))
    body.append(_text(_x(1.0), bottom + 34, "everybody", "middle"))
    body.append(_text(_x(0.75), bottom + 34, "AUC, 95 % interval", "middle"))
    for number, (words, points) in enumerate(found.items()):
        y = TOP + ROW * number + 10
        body.append(_text(LEFT - 14, y + 4, words, "end"))
        for place, (setting, point) in enumerate(points.items()):
            # where two lie at one place both are seen
            at = y + (6 if place == 2 else 0)
            low, high = (_x(max(value, 0.45)) for value in (point.low, point.high))
            kind = STYLES[setting][0]
            body += [
                f'<path class="{kind} line" d="M{low:.1f} {at}H{high:.1f}"/>',
                _mark(_x(max(point.auc, 0.45)), at, setting, f"{words}, {WORDS[setting]}: AUC {point.auc:.3f}"),
            ]
    return _page(width, height, body)


def _point(row: dict[str, Any]) -> Point:
    return Point(row["auc"], *row["interval"])


def _x(auc: float) -> float:
    return LEFT + WIDTH * (auc - 0.45) / 0.55


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{f" class={kind!r}" if kind else ""}>{escape(words)}</text>'.replace("'", '"')


def _mark(x: float, y: float, setting: str, title: str = "") -> str:
    kind, form = STYLES[setting]
    said = f"<title>{escape(title)}</title>" if title else ""
    if form == "circle":
        return f'<circle class="{kind}" cx="{x:.1f}" cy="{y}" r="5.5">{said}</circle>'
    path = "M0-6.5L6.5 0 0 6.5-6.5 0Z" if form == "diamond" else "M-4.5-4.5H4.5V4.5H-4.5Z"
    return f'<path class="{kind}" transform="translate({x:.1f} {y})" d="{path}">{said}</path>'


def _page(width: int, height: int, body: list[str]) -> str:
    style = (
        "text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-size:16px;font-weight:600}"
        ".middle{text-anchor:middle}.end{text-anchor:end}.page{fill:#fff;stroke:#d0d7de}"
        ".grid{stroke:#d0d7de}.chance{stroke:#59636e;stroke-dasharray:4 3}.line{stroke-width:2.5;fill:none}"
        ".none{fill:#bc4c00;stroke:#bc4c00}.with{fill:#0969da;stroke:#0969da}.stolen{fill:none;stroke:#6e7781;"
        "stroke-width:2}@media(prefers-color-scheme:dark){text{fill:#e6edf3}.page{fill:#0d1117;stroke:#3d444d}"
        ".grid{stroke:#3d444d}.chance{stroke:#9198a1}.none{fill:#f0883e;stroke:#f0883e}"
        ".with{fill:#58a6ff;stroke:#58a6ff}.stolen{stroke:#9198a1}}"
    )
    words = "Who finds a person by an upload: near 1 without a secret, at chance, 0.5, with one"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{words}">\n<style>{style}</style>\n' + "\n".join(body) + "\n</svg>\n"
    )


if __name__ == "__main__":
    main()
