"""What the Gram matrix of an account's uploads tells over its life, to somebody with photos of every candidate.

    python experiments/pseudonym/gram_curve.py --shared ../shared --cache CACHE

People of `report`; n uploads of an account under one secret, and n other plain photos, or one, of each candidate. The
attackers learn on the people of `fit` and `choose`, at n = 5 at most, since nobody there has more than ten photos or
so. Features, face and mirror image averaged, unless a row says otherwise. Mean of several draws of photos.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from common import CHORD, Lfw, arguments, as_images, load, record, show, together, unit

from facemin.attack.secret.gram import STATISTICS, fit_likelihood, gram, nearest_scores
from facemin.attack.secret.gromov import gromov_scores
from facemin.attack.secret.variation import VariationPredictor, fit_variation, scalar_scores

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Rows = NDArray[np.float64]
    People = list[NDArray[np.int64]]

LEARNT = 5
"""Photos a side that the attackers' own people have."""
UPLOADS = (2, 3, 5, 10, 20)
ANY_LENGTH = ("mean", "mean and deviation", "quantiles")
"""Statistics that have as many numbers at every n."""
SHRINKAGE = 0.1
RIDGE = 1.0
COSINE = 0.7
"""Of uploads to the enrolment where the device decides."""


def main() -> None:
    """Attack, print, record."""
    given = arguments(__doc__, draws=12)
    lfw = load(given.shared, given.cache)
    generator = np.random.default_rng(given.seed)
    teacher = Teacher(lfw, generator)
    rows: list[dict[str, Any]] = []

    def note(setting: str, attacker: str, draws: list[Rows], **more: Any) -> None:
        rows.append({"setting": setting, "attacker": attacker, **more, **together(draws)})
        show(f"{setting}; {attacker}", rows[-1])

    for n in UPLOADS:
        curve(lfw, teacher, n, given.draws, generator, note)
    views(lfw, teacher, given.draws, generator, note)
    renewals(lfw, teacher, given.draws, generator, note)
    record("gram_curve", given, {"rows": rows, "device decides": local_decision(lfw, generator, note, given.draws)})


class Teacher:
    """What the attacker learns on other people.

    Args:
        lfw: the faces.
        generator: of the draws.
        send: what devices send of accounts' embeddings (N, n, D), as the attacker knows; all of them by default.
    """

    def __init__(self, lfw: Lfw, generator: np.random.Generator, send: Callable[[Rows], Rows] = np.asarray) -> None:
        self.variation = variation(lfw)
        self.uploads: dict[int, Rows] = {}
        self.pairs: dict[int, tuple[Rows, Rows]] = {}
        self.plain: dict[int, Rows] = {}
        for n in (2, 3, LEARNT):
            people = lfw.people("fit", "choose", least=2 * n)
            drawn = [generator.permuted(rows)[: 2 * n] for rows in people for _ in range(6)]
            photos = np.stack(drawn)
            self.uploads[n] = send(lfw.both[photos[:, :n]])
            self.pairs[n] = gram(self.uploads[n]), gram(lfw.both[photos[:, n:]])
            self.plain[n] = (
                self.variation(unit(lfw.raw[photos[:, n:]]).reshape(-1, lfw.raw.shape[1])).reshape(-1, n).mean(1)
            )

    def likelihood(self, n: int, statistic: str, uploads: Rows, gallery: Rows) -> Rows:
        """Scores of a likelihood ratio fitted at n, or at the most that there is."""
        first, second = self.pairs[min(n, LEARNT)]
        measure = STATISTICS[statistic]
        fitted = fit_likelihood(measure(first), measure(second), shrinkage=SHRINKAGE)
        return fitted(measure(uploads), measure(gallery))

    def expected(self, n: int, gallery: Rows, guessed: Rows) -> tuple[Rows, float]:
        """An account's mean cosine as its owner's plain photos and their Gram matrix foretell it, and how well."""
        first, second = self.pairs[min(n, LEARNT)]
        own, photos = (STATISTICS["mean"](side)[:, 0] for side in (first, second))
        inputs = np.stack([photos, self.plain[min(n, LEARNT)], np.ones_like(own)], 1)
        weights = np.linalg.lstsq(inputs, own, rcond=None)[0]
        told = float(np.corrcoef(inputs @ weights, own)[0, 1])
        return weights[0] * STATISTICS["mean"](gallery)[:, 0] + weights[1] * guessed, told


def variation(lfw: Lfw) -> VariationPredictor:
    """From the recogniser's plain embedding; each person weighs by how well the photos tell the mean."""
    plain, similarity, weight = [], [], []
    for rows in lfw.people("fit", "choose", least=2):
        n = len(rows)
        plain.append(lfw.raw[rows])
        similarity += [float(STATISTICS["mean"](gram(lfw.both[rows])[None])[0, 0])] * n
        weight += [min(n, 8) / n] * n
    return fit_variation(unit(np.concatenate(plain)), similarity, weight, ridge=RIDGE)


def curve(
    lfw: Lfw,
    teacher: Teacher,
    n: int,
    count: int,
    generator: np.random.Generator,
    note: Callable[..., None],
) -> None:
    """All matchers at n uploads, against n photos a candidate and against one."""
    people = lfw.people("report", least=2 * n)
    drawn = [np.stack([generator.permuted(rows)[: 2 * n] for rows in people]) for _ in range(count)]
    setting = f"{n} uploads, {n} photos a candidate"
    for attacker, attack in matchers(teacher, n).items():
        found = [attack(gram(lfw.both[photos[:, :n]]), gram(lfw.both[photos[:, n:]])) for photos in drawn]
        note(setting, attacker, found, n=n, photos=n)
    note(
        setting,
        "Gram matrix and faces",
        [by_face(lfw, teacher, lfw.both[photos[:, :n]], photos[:, n:]) for photos in drawn],
        n=n,
        photos=n,
    )
    images = [
        by_face(lfw, teacher, as_images(lfw.both[photos[:, :n]], CHORD, generator), photos[:, n:]) for photos in drawn
    ]
    note(f"{setting}, as images (chord {CHORD})", "Gram matrix and faces", images, n=n, photos=n)
    people = lfw.people("report", least=n + 1)
    drawn = [np.stack([generator.permuted(rows)[: n + 1] for rows in people]) for _ in range(count)]
    found = [one_photo(lfw, teacher, lfw.both[photos[:, :n]], photos[:, n]) for photos in drawn]
    note(f"{n} uploads, one photo a candidate", "faces", found, n=n, photos=1)


def matchers(teacher: Teacher, n: int) -> dict[str, Callable[[Rows, Rows], Rows]]:
    """By name; those that learn at another n only where that is possible."""
    found: dict[str, Callable[[Rows, Rows], Rows]] = {}
    for name, statistic in STATISTICS.items():
        found[f"{name}, nearest"] = partial(_nearest, statistic)
        if n <= LEARNT or name in ANY_LENGTH:
            found[f"{name}, likelihood"] = partial(teacher.likelihood, n, name)
    if n > 2:
        found["Gromov-Wasserstein"] = partial(gromov_scores, steps=10, rounds=10)
    return found


def _nearest(statistic: Callable[[Rows], Rows], uploads: Rows, gallery: Rows) -> Rows:
    return nearest_scores(statistic(uploads), statistic(gallery))


def by_face(lfw: Lfw, teacher: Teacher, uploads: Rows, photos: NDArray[np.int64]) -> Rows:
    """Mean cosine of uploads (N, n, D) against what the candidates' photos (M, m) and faces let expect."""
    guessed = teacher.variation(unit(lfw.raw[photos]).reshape(-1, lfw.raw.shape[1])).reshape(photos.shape).mean(1)
    expected, told = teacher.expected(photos.shape[1], gram(lfw.both[photos]), guessed)
    return scalar_scores(STATISTICS["mean"](gram(uploads))[:, 0], expected, correlation=told)


def one_photo(lfw: Lfw, teacher: Teacher, uploads: Rows, photo: NDArray[np.int64]) -> Rows:
    """Mean cosine of uploads (N, n, D) against what one photo of each candidate (M,) lets expect."""
    expected = teacher.variation(unit(lfw.raw[photo]))
    return scalar_scores(STATISTICS["mean"](gram(uploads))[:, 0], expected, correlation=0.3)


def views(lfw: Lfw, teacher: Teacher, count: int, generator: np.random.Generator, note: Callable[..., None]) -> None:
    """The same people, the device sending one view, two, or the mean of several photos; five uploads."""
    n, most = 5, 4
    people = lfw.people("report", least=n * most)
    for name, frames, space in (
        ("one view", 1, lfw.face),
        ("face and mirror image", 1, lfw.both),
        ("and two photos averaged", 2, lfw.both),
        ("and three photos averaged", 3, lfw.both),
    ):
        found = {"n": [], "one": []}
        for _ in range(count):
            photos = np.stack([generator.permuted(rows)[: n * most] for rows in people])
            sent = photos[:, : n * frames].reshape(len(photos), n, frames)
            uploads = unit(space[sent].mean(2))
            found["n"].append(by_face(lfw, teacher, uploads, photos[:, -n:]))
            found["one"].append(one_photo(lfw, teacher, uploads, photos[:, -1]))
        for photos_of, draws in found.items():
            more = {"n": n, "photos": n if photos_of == "n" else 1, "views": name}
            note(f"5 uploads, {name}, {more['photos']} photos a candidate", "Gram matrix and faces", draws, **more)


def renewals(lfw: Lfw, teacher: Teacher, count: int, generator: np.random.Generator, note: Callable[..., None]) -> None:
    """Twenty uploads under one rotation, or under several that the account ties together."""
    total, photos_of = 20, 5
    people = lfw.people("report", least=total + photos_of)
    drawn = [np.stack([generator.permuted(rows)[: total + photos_of] for rows in people]) for _ in range(count)]
    for epochs in (1, 2, 4, 10):
        found: dict[int, list[Rows]] = {1: [], photos_of: []}
        for photos in drawn:
            sent = lfw.both[photos[:, :total]].reshape(len(photos), epochs, total // epochs, -1)
            # what can be compared lies within an epoch; its mean is the account's
            observed = STATISTICS["mean"](gram(sent))[..., 0].mean(1)
            for many, draws in found.items():
                held = photos[:, total : total + many]
                guessed = teacher.variation(unit(lfw.raw[held]).reshape(-1, lfw.raw.shape[1])).reshape(held.shape)
                if many == 1:
                    draws.append(scalar_scores(observed, guessed.mean(1), correlation=0.3))
                else:
                    expected, told = teacher.expected(many, gram(lfw.both[held]), guessed.mean(1))
                    draws.append(scalar_scores(observed, expected, correlation=told))
        for many, draws in found.items():
            setting = f"20 uploads in {epochs} epochs, {many} photos a candidate"
            note(setting, "Gram matrix and faces", draws, n=total, photos=many, epochs=epochs)


def local_decision(lfw: Lfw, generator: np.random.Generator, note: Callable[..., None], count: int) -> dict[str, Any]:
    """Uploads at a fixed angle to the enrolment, in random directions: what is left, and what it costs."""
    n = 5
    people = lfw.people("report", least=2 * n)
    draws = []
    for _ in range(count):
        photos = np.stack([generator.permuted(rows)[: 2 * n] for rows in people])
        enrolled = lfw.both[photos[:, :1]]
        sent = as_images(np.repeat(enrolled, n, 1), (2 - 2 * COSINE) ** 0.5, generator)
        measure = STATISTICS["all together"]
        draws.append(nearest_scores(measure(gram(sent)), measure(gram(lfw.both[photos[:, n:]]))))
    note("5 uploads, the device decides", "all together, nearest", draws, n=n, photos=n)
    return {
        "cosine to the enrolment": COSINE,
        "cosine of two uploads": round(COSINE**2, 4),
        "provider's score": "the same number for every accepted upload: it learns that the device accepted",
        "TAR": "that of the device's own comparison, the same as without (space.jsonl, face+mirror)",
        "FAR of a stolen secret": 1.0,
        "FAR of a stolen secret without this": 1e-3,
    }


if __name__ == "__main__":
    main()
