"""Linkers against uploads under pseudonyms, images and features, and the same linkers where there is no secret.

    python experiments/pseudonym/linkers.py --shared ../shared --cache CACHE

Who is who: uploads.py. Rows T5a (without the key) and T5b (with it); ridge maps are taught by pairs of other people
under their own secrets, and everybody's plain gallery photo is embedded by the map's teacher, the key's recogniser.
Area with its interval over people, ranks with Wilson's, D_sys beside its permutations' 95th percentile, and Holm's
adjustment of all p of a table together: of the area, of rank one and rank ten against chance (binomial). --few 1
leaves out what learns from images or puts several together, and those without a secret: a file of its own, minutes.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from common import Lfw, arguments, load, protector_of, record, rotation, show, together, unit
from scipy.stats import binom
from sibling import Sibling, fine_tune, painted
from uploads import OFF_THE_SHELF, PAIRS, PHOTOS, SEEDED, SEEDS, Seen, cast, galleries, networks, uploads

from facemin.attack.secret.ridge import fit_ridge
from facemin.metrics import holm
from facemin.models import SPACE_MODEL
from facemin.protection.one_pass.protector_file import ProtectorFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Rows = NDArray[np.float64]
    Table = list[dict[str, Any]]

NULLS = 999
FEATURE_PAIRS = 2000
KEY = [SPACE_MODEL, f"{SPACE_MODEL} blurred"]
OTHERS = [*OFF_THE_SHELF, f"{OFF_THE_SHELF[0]} blurred"]


def main() -> None:
    """Attack, print, record."""
    given = arguments(__doc__, protector=True, sibling=12, few=0)
    lfw, protector = load(given.shared, given.cache), protector_of(given.protector)
    sibling = fine_tune(lfw, steps=given.sibling, seed=given.seed) if given.sibling and not given.few else None
    tables = {}
    for secret in (True,) if given.few else (True, False):
        found = images(lfw, protector, given, sibling, secret=secret) + features(lfw, given.seed, secret=secret)
        tables["a secret each" if secret else "no secret"] = adjusted(found)
    name = "linkers_few" if given.few else "linkers"
    record(name, given, {"protector_sha256": protector.manifest.sha256, "tables": tables})
    for name, rows in tables.items():
        print(name)
        for row in sorted(rows, key=lambda row: -row["interval"][1]):
            show(f"{row['attacker']} [{row['row']}]; Holm {row['holm']['auc']:.2g}", row)


def images(
    lfw: Lfw, protector: ProtectorFile, given: argparse.Namespace, sibling: Sibling | None, *, secret: bool
) -> Table:
    """Attacks on images painted in one pass."""
    looking = networks(given.shared)
    seen: dict[str, Seen] = {}
    for group in ("test",) if given.few else ("pairs", "test", "five", "seeds"):
        _, seen[group] = uploads(
            lfw, group, secret=secret, protector=protector, looking=looking, cache=given.cache, seed=given.seed
        )
    gallery = galleries(lfw, looking, given.cache)
    who = cast(lfw, pairs=PAIRS[secret])
    plain = lfw.both[who.gallery]
    table: Table = []
    note = partial(noted, table, "image")
    untaught(seen["test"], gallery["test"], plain, note)
    if given.few:
        return table
    taught_by(seen["pairs"], seen["test"], lfw.both[who.pairs], plain, note)
    key_of = {group: unit(found.features[SPACE_MODEL]) for group, found in seen.items()}
    several(lfw, seen, key_of, note)
    if sibling:
        sent = sibling(painted(lfw, protector, looking.run[SPACE_MODEL], seed=given.seed, secret=secret))
        name = f"a sibling of the key's network, {given.sibling} steps away, cosine {sibling.moved:.2f}"
        note("T5b", name, sent @ sibling.gallery.T)
    return table


def untaught(sent: Seen, gallery: dict[str, Rows], plain: Rows, note: Callable[..., None]) -> None:
    """Attacks on one upload a person by networks as they are.

    Args:
        sent: uploads of the people looked for.
        gallery: their plain photos' features by network.
        plain: of the gallery in the space, (N, D).
        note: takes the row, the attacker's name, its scores and what else is to be told.
    """
    note("T5b", "the key itself", unit(sent.features[SPACE_MODEL]) @ plain.T)
    for name in OFF_THE_SHELF:
        note("T5a", f"{name} itself", unit(sent.features[name]) @ unit(gallery[name]).T)
    blurred = unit(sent.features[OTHERS[-1]]) @ unit(gallery[OFF_THE_SHELF[0]]).T
    note("T5a", f"{OTHERS[-1]}, itself", blurred)


def taught_by(pairs: Seen, sent: Seen, taught: Rows, plain: Rows, note: Callable[..., None]) -> None:
    """Ridge maps on one upload a person.

    Args:
        pairs: uploads of other people, who teach the maps.
        sent: uploads of the people looked for.
        taught: embeddings of the other people's plain photos, (P, D).
        plain: of the gallery, (N, D).
        note: as for `untaught`.
    """
    for row, name, parts, thumbnails in (
        ("T5b", "ridge on the key's features", KEY, False),
        ("T5a", "ridge on thumbnails", [], True),
        ("T5a", "ridge on recognisers off the shelf and thumbnails", OTHERS, True),
        ("T5b", "ridge on the key, recognisers off the shelf and thumbnails", [*KEY, *OTHERS], True),
    ):
        fitted = fit_ridge(inputs(pairs, parts, thumbnails=thumbnails), taught)
        scores = fitted(inputs(sent, parts, thumbnails=thumbnails)) @ plain.T
        note(row, name, scores, pairs=len(taught), ridge=fitted.ridge, cosine_held_out=round(fitted.cosine, 4))


def noted(table: Table, upload: str, row: str, attacker: str, scores: Rows, **more: Any) -> None:
    """Append one attack's measures to a table."""
    table.append({"row": row, "attacker": attacker, "upload": upload, **more, **judged(scores)})


def several(lfw: Lfw, seen: dict[str, Seen], key_of: dict[str, Rows], note: Any) -> None:
    """Sixteen images of one photo put together, and five photos of a person."""
    who, pairs = cast(lfw), len(seen["pairs"].thumbnails)
    taught = lfw.both[cast(lfw, pairs=pairs).pairs]
    sixteen = lfw.both[who.gallery[:SEEDED]]
    note("T5b", "the key itself, 16 images of a photo", unit(_mean(key_of["seeds"], SEEDS)) @ sixteen.T)
    fitted = fit_ridge(inputs(seen["pairs"], KEY[:1], thumbnails=True), taught)
    mean = _mean(inputs(seen["seeds"], KEY[:1], thumbnails=True), SEEDS)
    note(
        "T5b", "ridge on the key's features and thumbnails, 16 images of a photo", fitted(mean) @ sixteen.T, pairs=pairs
    )
    five = lfw.both[who.gallery_five]
    note("T5b", "the key itself, five photos", unit(_mean(key_of["five"], PHOTOS)) @ five.T)
    parts = [SPACE_MODEL, OFF_THE_SHELF[0]]
    fitted = fit_ridge(inputs(seen["pairs"], parts, thumbnails=True), taught)
    made = _mean(fitted(inputs(seen["five"], parts, thumbnails=True)), PHOTOS)
    note("T5b", "ridge on the key, a recogniser off the shelf and thumbnails, five photos", made @ five.T, pairs=pairs)


def features(lfw: Lfw, seed: int, *, secret: bool) -> Table:
    """Attacks on features, two providers put together among them."""
    generator = np.random.default_rng((seed, 99))
    who = cast(lfw, pairs=FEATURE_PAIRS)
    table: Table = []

    def sent(rows: Rows) -> Rows:
        if not secret:
            return rows
        return np.stack([row @ rotation(rows.shape[1], generator).T for row in rows])

    note = partial(noted, table, "feature", "T5b")

    plain, pairs, test = lfw.both[who.gallery], sent(lfw.both[who.pairs]), sent(lfw.both[who.sent])
    note("the key itself", test @ plain.T)
    fitted = fit_ridge(pairs, lfw.both[who.pairs])
    note("ridge on the feature", fitted(test) @ plain.T, pairs=len(pairs), ridge=fitted.ridge)
    # what depends on the rotation's sign and axes least: squares, and products of neighbours
    wide = [np.concatenate([rows, rows**2, rows * np.roll(rows, 1, 1)], 1) for rows in (pairs, test)]
    fitted = fit_ridge(wide[0], lfw.both[who.pairs])
    note("ridge on the feature, its squares and products", fitted(wide[1]) @ plain.T, pairs=len(pairs))
    # another provider has another space (here the recogniser's own, centred) and so another rotation
    second = unit(lfw.raw - lfw.raw.mean(0))
    both = [np.concatenate([first, sent(second[rows])], 1) for first, rows in ((pairs, who.pairs), (test, who.sent))]
    cross = [_products(rows, lfw.dimension) for rows in both]
    fitted = fit_ridge(np.concatenate([both[0], cross[0]], 1), lfw.both[who.pairs])
    scores = fitted(np.concatenate([both[1], cross[1]], 1)) @ plain.T
    note("two providers put together: ridge on both features and their products", scores, pairs=len(pairs))
    note("two providers of one space: accounts of one looked for among the other's", test @ sent(plain).T)
    return table


def inputs(seen: Seen, parts: list[str], *, thumbnails: bool) -> Rows:
    """Unit features of some networks, and thumbnails, side by side."""
    columns = [unit(seen.features[name]) for name in parts]
    return np.concatenate([*columns, seen.thumbnails] if thumbnails else columns, 1)


def judged(scores: Rows) -> dict[str, Any]:
    """All measures of one attack, with D_sys of permuted galleries and binomial p of the ranks."""
    n, row = len(scores), together([scores])
    null = unlinkable(scores)
    row["d_sys_null"] = round(float(np.quantile(null, 0.95)), 4)
    row["p_d_sys"] = round((1 + int((null >= row["d_sys"]).sum())) / (NULLS + 1), 4)
    for k in (1, 10):
        row[f"rank {k}"]["p"] = float(f"{binom.sf(row[f'rank {k}']['hits'] - 1, n, k / n):.3g}")
    return row


def unlinkable(scores: Rows) -> Rows:
    """D_sys (metrics.d_sys, histogram) where the gallery is permuted, (NULLS,).

    A permutation moves scores between the diagonal and the rest, so that one histogram of all serves for each.
    """
    n, generator = len(scores), np.random.default_rng(0)
    edges = np.linspace(scores.min(), scores.max(), max(2, min(n // 10, 100)) + 1)
    everything = np.histogram(scores, edges)[0]
    found = []
    for _ in range(NULLS):
        mated = np.histogram(scores[np.arange(n), generator.permutation(n)], edges)[0]
        p, q = mated / n, (everything - mated) / (n * (n - 1))
        found.append(float((p * np.where(p > q, (p - q) / np.maximum(p + q, 1e-300), 0.0)).sum()))
    return np.array(found)


def adjusted(table: Table) -> Table:
    """The table with Holm's adjustment over all its p of areas and ranks."""
    places = [(row, name) for row in table for name in ("auc", "rank 1", "rank 10")]
    raw = [row["p"] if name == "auc" else row[name]["p"] for row, name in places]
    for (row, name), value in zip(places, holm(raw).tolist(), strict=True):
        row.setdefault("holm", {})[name] = float(f"{value:.3g}")
    return table


def _mean(rows: Rows, each: int) -> Rows:
    return np.asarray(rows.reshape(-1, each, rows.shape[1]).mean(1))


def _products(rows: Rows, dimension: int) -> Rows:
    """Products of the first 24 numbers of both providers' features."""
    return np.asarray((rows[:, :24, None] * rows[:, None, dimension : dimension + 24]).reshape(len(rows), -1))


if __name__ == "__main__":
    main()
