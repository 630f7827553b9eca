"""What an account's uploads tell over its life where probes keep no more of a face than the decision needs.

    python experiments/pseudonym/probe_curve.py --shared ../shared --cache CACHE

As gram_curve.py, on the same people and by the same matchers, for what a client sends by default ("decision"), for all
of the scores, and, beside them, for whole embeddings. The first upload is the enrolment. Matchers more than there: of
scores alone, by likelihood and by a classifier, with the candidates' photos and faces; all learn from other people's
uploads of the same kind. One more row has three photos enrolled and two probes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from common import CHORD, Lfw, arguments, as_images, load, record, show, together, unit
from gram_curve import LEARNT, SHRINKAGE, UPLOADS, Teacher, by_face, matchers

from facemin.attack.secret.gram import STATISTICS, fit_likelihood, gram
from facemin.attack.secret.probe_scores import expected_statistics, fit_pairs, probe_scores, score_statistics
from facemin.attack.secret.variation import scalar_scores
from facemin.client.probes import MARGIN
from facemin.models import MODELS, SPACE_MODEL
from facemin.models.calibration import shipped_calibration
from facemin.pseudonym import score_preserving

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Rows = NDArray[np.float64]
    Send = Callable[[Rows], Rows]
    Account = tuple[Rows, NDArray[np.int64]]

FAR = 1e-3
"""Of collections by default."""
RIDGE = 3.0
KINDS = ("embedding", "scores", "decision")


def main() -> None:
    """Attack, print, record."""
    given = arguments(__doc__, draws=12)
    lfw = load(given.shared, given.cache)
    generator = np.random.default_rng(given.seed)
    rows: list[dict[str, Any]] = []
    threshold = threshold_at(FAR)

    def note(setting: str, attacker: str, draws: list[Rows], **more: Any) -> None:
        rows.append({"setting": setting, "attacker": attacker, **more, **together(draws)})
        show(f"{setting}; {attacker}", rows[-1])

    limits = {"embedding": 1.0, "scores": 1.0, "decision": threshold + MARGIN["feature"]}
    for kind in KINDS:
        send = partial(sent, kind=kind, most=limits[kind], generator=generator)
        attacker = Attacker(lfw, send, limits[kind], generator)
        for n in UPLOADS:
            curve(attacker, n, given.draws, generator, partial(note, probe=kind))
    kind, most = "decision, as images", threshold + MARGIN["image"]

    def painted(rows: Rows) -> Rows:
        return as_images(sent(rows, kind="decision", most=most, generator=generator), CHORD, generator)

    attacker = Attacker(lfw, painted, most, generator)
    for n in (5, 20):
        curve(attacker, n, given.draws, generator, partial(note, probe=kind))
    several(lfw, limits["decision"], given.draws, generator, partial(note, probe="decision, three enrolled"))
    record("probe_curve", given, {"rows": rows, "threshold": threshold, "margins": MARGIN})


def threshold_at(far: float) -> float:
    """The cosine that decides on pseudonyms in the default space."""
    calibration = shipped_calibration(MODELS[SPACE_MODEL].graph(), "pseudonym")
    assert calibration is not None
    return calibration.threshold(far).threshold


def sent(rows: Rows, *, kind: str, most: float, generator: np.random.Generator, enrolled: int = 1) -> Rows:
    """What a device sends of accounts' embeddings (N, n, D), the first of which are enrolled."""
    if kind == "embedding" or rows.shape[1] <= enrolled:
        return rows
    limit = most if kind == "decision" else None
    probes = []
    for each in rows:
        seeds = [generator.bytes(32) for _ in each[enrolled:]]
        probes.append(score_preserving(each[enrolled:], each[:enrolled], seeds, most=limit))
    return np.concatenate([rows[:, :enrolled], np.stack(probes)], 1)


class Attacker:
    """All matchers against one kind of uploads.

    Args:
        lfw: the faces.
        send: makes the uploads.
        most: largest score that they have, 1 where it is not known.
        generator: of the draws.
    """

    def __init__(self, lfw: Lfw, send: Send, most: float, generator: np.random.Generator) -> None:
        self.lfw, self.send, self.most = lfw, send, most
        self.teacher = Teacher(lfw, generator, send)
        self.learnt = {n: self._taught(n, generator) for n in (2, 3, LEARNT)}

    def _taught(self, n: int, generator: np.random.Generator) -> tuple[Rows, Rows]:
        """Statistics of other people's accounts, and what their other photos let expect."""
        people = self.lfw.people("fit", "choose", least=2 * n)
        photos = np.stack([generator.permuted(rows)[: 2 * n] for rows in people for _ in range(6)])
        return self.observed(self.send(self.lfw.both[photos[:, :n]])), self.expected(photos[:, n:])

    def observed(self, uploads: Rows) -> Rows:
        """Of an account, (N, 5): its scores, and the mean of its whole Gram matrix."""
        whole = STATISTICS["mean"](gram(uploads))
        return np.concatenate([score_statistics(probe_scores(uploads), self.most), whole], 1)

    def expected(self, photos: NDArray[np.int64]) -> Rows:
        """Of a candidate with photos (M, m), (M, 5): the same of those, and how alike their face lets them be."""
        guessed = self.teacher.variation(unit(self.lfw.raw[photos]).reshape(-1, self.lfw.raw.shape[1]))
        grams = gram(self.lfw.both[photos])
        return np.concatenate(
            [expected_statistics(grams, self.most), guessed.reshape(photos.shape).mean(1, keepdims=True)], 1
        )

    def by_likelihood(self, n: int, uploads: Rows, photos: NDArray[np.int64]) -> Rows:
        """Statistics of both sides as jointly Gaussian."""
        fitted = fit_likelihood(*self.learnt[min(n, LEARNT)], shrinkage=SHRINKAGE)
        return fitted(self.observed(uploads), self.expected(photos))

    def by_classifier(self, n: int, uploads: Rows, photos: NDArray[np.int64]) -> Rows:
        """Log odds of a pair's statistics."""
        fitted = fit_pairs(*self.learnt[min(n, LEARNT)], ridge=RIDGE, seed=0)
        return fitted(self.observed(uploads), self.expected(photos))

    def by_mean(self, n: int, uploads: Rows, photos: NDArray[np.int64]) -> Rows:
        """The mean score as photos and face foretell it, by least squares."""
        own, other = self.learnt[min(n, LEARNT)]
        inputs = np.concatenate([other, np.ones((len(other), 1))], 1)
        weights = np.linalg.lstsq(inputs, own[:, 0], rcond=None)[0]
        told = float(np.corrcoef(inputs @ weights, own[:, 0])[0, 1])
        expected = np.concatenate([self.expected(photos), np.ones((len(photos), 1))], 1) @ weights
        return scalar_scores(self.observed(uploads)[:, 0], expected, correlation=told)

    def one_photo(self, uploads: Rows, photo: NDArray[np.int64]) -> Rows:
        """The mean score as one photo of each candidate (M,) foretells it."""
        guessed = self.teacher.variation(unit(self.lfw.raw[photo]))
        return scalar_scores(self.observed(uploads)[:, 0], guessed, correlation=0.3)


def drawn_accounts(lfw: Lfw, send: Send, n: int, count: int, generator: np.random.Generator) -> list[Account]:
    """Draws of n uploads of everybody who has the photos, and n other photos of each."""
    people = lfw.people("report", least=2 * n)
    drawn = [np.stack([generator.permuted(rows)[: 2 * n] for rows in people]) for _ in range(count)]
    return [(send(lfw.both[photos[:, :n]]), photos[:, n:]) for photos in drawn]


def by_gram(lfw: Lfw, teacher: Teacher, n: int, accounts: list[Account], note: Callable[..., None]) -> None:
    """The matchers of gram_curve.py."""
    for name, attack in matchers(teacher, n).items():
        found = [attack(gram(uploads), gram(lfw.both[photos])) for uploads, photos in accounts]
        note(f"{n} uploads, {n} photos a candidate", name, found, n=n, photos=n)


def curve(attacker: Attacker, n: int, count: int, generator: np.random.Generator, note: Callable[..., None]) -> None:
    """All matchers at n uploads, against n photos a candidate and against one."""
    lfw, teacher = attacker.lfw, attacker.teacher
    accounts = drawn_accounts(lfw, attacker.send, n, count, generator)
    setting = f"{n} uploads, {n} photos a candidate"
    by_gram(lfw, teacher, n, accounts, note)
    for name, match in (
        ("scores and faces, likelihood", attacker.by_likelihood),
        ("scores and faces, classifier", attacker.by_classifier),
        ("mean score and faces", attacker.by_mean),
    ):
        note(setting, name, [match(n, *account) for account in accounts], n=n, photos=n)
    found = [by_face(lfw, teacher, *account) for account in accounts]
    note(setting, "Gram matrix and faces", found, n=n, photos=n)
    people = lfw.people("report", least=n + 1)
    drawn = [np.stack([generator.permuted(rows)[: n + 1] for rows in people]) for _ in range(count)]
    found = [attacker.one_photo(attacker.send(lfw.both[photos[:, :n]]), photos[:, n]) for photos in drawn]
    note(f"{n} uploads, one photo a candidate", "faces", found, n=n, photos=1)


def several(
    lfw: Lfw, most: float, count: int, generator: np.random.Generator, note: Callable[..., None], n: int = 5
) -> None:
    """Five uploads of which three were enrolled: their cosines with each other are seen as they are."""
    send = partial(sent, kind="decision", most=most, generator=generator, enrolled=3)
    teacher = Teacher(lfw, generator, send)
    accounts = drawn_accounts(lfw, send, n, count, generator)
    by_gram(lfw, teacher, n, accounts, note)
    # what is left of the enrolled ones alone, with what faces let expect
    whole = Teacher(lfw, generator)
    found = []
    for uploads, photos in accounts:
        guessed = teacher.variation(unit(lfw.raw[photos]).reshape(-1, lfw.raw.shape[1])).reshape(photos.shape)
        expected, told = whole.expected(n, gram(lfw.both[photos]), guessed.mean(1))
        own = STATISTICS["mean"](gram(uploads[:, :3]))[:, 0]
        found.append(scalar_scores(own, expected, correlation=told))
    note(f"{n} uploads, {n} photos a candidate", "Gram matrix of the enrolled and faces", found, n=n, photos=n)


if __name__ == "__main__":
    main()
