"""What inverters, denoisers and attribute estimators get out of images painted under a secret a person, and without.

    python experiments/attacks/painted_images.py --shared ../shared

The images are those of `facemin protect` (one pass, default key). Attackers hold the key and pairs of other people
under their own secrets, and paint as often as they like. Each reconstruction stands beside the floor, a picture that
knows nobody (the mean face of the attacker's people): its SSIM less the floor's, with an interval over people; and two
linkers ask whose it is: the correlation of its pixels, and recognisers' cosines to a second photo. Estimators are asked
raw and behind purifiers. Without a secret the same attackers get something, which shows that they work. People tested
are in LFW's folds 1 to 5, attackers' in none. Appends a record for each to results/attacks/painted_images.jsonl, of
which painted_table.py makes the tables of docs/attacks.md.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from painting import Studio, turned
from setting import lfw_people

from facemin import load_recogniser
from facemin.attack import ATTACKS, PURIFIERS, Knowledge, PublicFaces
from facemin.attack.attributes.estimators import find_estimators
from facemin.attack.attributes.findings import age_findings, class_findings
from facemin.attack.link.cross_matching import purified
from facemin.attack.reconstruct.train_inverter import InverterTraining
from facemin.attack.training import Fitting
from facemin.autograd.pixels import to_unit
from facemin.evaluation.judge import embed_all
from facemin.experiments.attacks import ENDLESS
from facemin.experiments.common import RESULTS, provenance, script_parser
from facemin.experiments.measures import mean
from facemin.keys.default import default_key
from facemin.metrics import holm, linkage, mean_face, permutation_test, psnr, ssim, wilson
from facemin.runtime.files import append_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from setting import People
    from torch import Tensor

    from facemin.attack import Budget
    from facemin.attack.attributes.estimators import Attribute, Estimator
    from facemin.attack.contract import FittedReconstructor
    from facemin.evaluation.judge import Share
    from facemin.models import Recogniser

    Cell = dict[str, Any]

RECORDS = RESULTS / "attacks" / "painted_images.jsonl"
JUDGES = ("mobilefacenet-ms1m-arcface", "mobilefacenet-vggface2-amsoftmax", "dlib-resnet29")
TRAINED = {
    "inverter": "inverter of plain faces, with the key",
    "inverter-protected-features": "inverter of protected pairs, with the key",
    "inverter-protected-images": "denoiser of protected pairs",
}
PURIFY = ("none", "blur-1", "blur-2", "jpeg-75", "resize-0.5", "median-5")
FLOOR, SENT, WHITE_BOX = "the mean face (floor)", "the image as sent", "white box, with the key"
DRAWS = 9999


def main() -> None:
    """Attack with a secret each, then without."""
    parser = script_parser(__doc__, out=RECORDS, seed=0, test=104, pairs=1000, images=4000, white_box=24, steps=100)
    given = parser.parse_args()
    people = lfw_people(given.shared, test=given.test, train=given.pairs)
    # plain faces teach it the same whatever is attacked
    inverter = fit("inverter", people, {}, given)
    for secret in (True, False):
        append_json(given.out, adjusted(attack(people, inverter, given, secret=secret)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Examined:
    """The people whose reconstructions are looked at.

    Attributes:
        faces: (N, 3, 112, 112) in [0, 1].
        seconds: rows of a second photo of each, by judge.
        judges: recognisers.
        floor: SSIM of the mean face with each face, (N,).
    """

    faces: Tensor
    seconds: dict[str, Tensor]
    judges: dict[str, Recogniser]
    floor: Tensor

    @classmethod
    def of(cls, people: People, shared: Path) -> Examined:
        """Embed second photos, and compare every face with the mean of the attacker's people."""
        paths = {name: shared / "models" / f"{name}.onnx" for name in JUDGES}
        judges = {name: load_recogniser(path if path.is_file() else name) for name, path in paths.items()}
        seconds = {name: embed_all(judge, to_unit(people.others)) for name, judge in judges.items()}
        faces = to_unit(people.test)
        floor = ssim(mean_face(to_unit(people.train)).expand(len(faces), -1, -1, -1), faces).double()
        return cls(faces=faces, seconds=seconds, judges=judges, floor=floor)

    def __call__(self, name: str, images: Tensor) -> Cell:
        """How alike images (K, 3, 112, 112) in [0, 1] of the first K people are, and whose the linkers say they are."""
        count = len(images)
        alike = ssim(images, self.faces[:count]).double()
        spread = images.flatten(1).double()
        parts = [part - part.mean(0) for part in (spread, self.faces[:count].flatten(1).double())]
        scores = {"pixels": torch.corrcoef(torch.cat(parts))[:count, count:]}
        for judge, recogniser in self.judges.items():
            scores[judge] = (embed_all(recogniser, images) @ self.seconds[judge][:count].T).double()
        linked = {linker: linkage(rows.nan_to_num().numpy(), draws=DRAWS) for linker, rows in scores.items()}
        cell = {
            "attacker": name,
            "n": count,
            "ssim": said(mean(alike)),
            "above_floor": said(mean(alike - self.floor[:count])),
            "psnr": round(float(psnr(images, self.faces[:count]).double().mean()), 2),
            "linked": {
                linker: {
                    "auc": round(found.area.auc, 4),
                    "interval": [round(value, 4) for value in found.area.interval],
                    "p": round(found.area.p, 4),
                    "first": round(found.ranks[0].share * count),
                }
                for linker, found in linked.items()
            },
        }
        print(cell, flush=True)
        return cell


def attack(people: People, inverter: FittedReconstructor, given: argparse.Namespace, *, secret: bool) -> Cell:
    """Every attacker on one kind of image."""
    began, studio = time.perf_counter(), Studio.shipped(given.seed)

    def paint(faces: Tensor) -> Tensor:
        rows = studio.places(faces)
        return studio.paint(turned(rows, studio.secrets(len(rows))) if secret else rows)

    sent, examined = to_unit(paint(people.test)), Examined.of(people, given.shared)
    cells = [examined(FLOOR, mean_face(to_unit(people.train)).expand(len(sent), -1, -1, -1))]
    cells.append(examined(SENT, sent))
    # what attackers paint of their own faces, once for all of them
    own = {len(faces): paint(faces) for faces in (people.train, people.validation)}
    for name, words in TRAINED.items():
        fitted = inverter if name == "inverter" else fit(name, people, own, given)
        cells.append(examined(words, fitted.apply(sent)))
    box: Any = replace(ATTACKS["white-box"].method, steps=given.steps)  # type: ignore[type-var]
    few = sent[: given.white_box]
    cells.append(examined(WHITE_BOX, box.fit(Knowledge(key=default_key(), seed=given.seed), ENDLESS).apply(few)))
    return {
        "secret": secret,
        "pairs": len(people.train),
        "reconstructions": cells,
        "attributes": list(attributes(examined.faces, sent, given)),
        "seconds": round(time.perf_counter() - began, 1),
        **provenance(given, given.shared),
    }


def fit(name: str, people: People, own: dict[int, Tensor], given: argparse.Namespace) -> FittedReconstructor:
    """A reconstructor of the registry, trained on about as many images as asked for."""

    def protector(faces: Tensor, budget: Budget) -> tuple[Tensor, Tensor]:
        del budget
        return own[len(faces)], torch.arange(len(faces))

    knowledge = Knowledge(
        key=default_key(),
        protector=protector,
        public=PublicFaces(people.train, people.train_people),
        validation=PublicFaces(people.validation, torch.arange(len(people.validation))),
        seed=given.seed,
    )
    method: Any = ATTACKS[name].method
    fitting = Fitting(epochs=max(1, round(given.images / len(people.train))))
    settings = InverterTraining(width=method.settings.width, fitting=fitting)
    began = time.perf_counter()
    fitted: FittedReconstructor = replace(method, settings=settings).fit(knowledge, ENDLESS)
    print(f"{name}: fitted in {time.perf_counter() - began:.0f} s", flush=True)
    return fitted


def attributes(faces: Tensor, sent: Tensor, given: argparse.Namespace) -> Iterator[Cell]:
    """Every estimator's every attribute, raw and behind purifiers, beside what it says of the plain face."""
    estimators: list[Estimator] = [*find_estimators(given.shared / "models")]
    if not estimators:
        raise ValueError(f"{given.shared / 'models'}: expected attribute estimators, found none")
    with torch.no_grad():
        plain = {one.name: one(faces) for one in estimators}
        for purifier in PURIFY:
            seen = purified(PURIFIERS[purifier], sent)
            for one in estimators:
                read_out = one(seen)
                for attribute in one.attributes:
                    place = {"estimator": one.name, "attribute": attribute.name, "purifier": purifier}
                    yield place | agreement(attribute, read_out[attribute.name], plain[one.name][attribute.name])


def agreement(attribute: Attribute, said_of: Tensor, plain: Tensor) -> Cell:
    """With the plain face: of a class how often, beside the commonest; of an age how far off, beside the median."""
    n = len(plain)
    if attribute.classes:
        found = class_findings(said_of, plain)
        hits = permutation_test(said_of.argmax(1), plain.argmax(1), draws=DRAWS)
        low, high = wilson(hits.hits, n)
        return {
            "hits": hits.hits,
            "n": n,
            "interval": [round(low, 4), round(high, 4)],
            "commonest": round(found.majority, 4),
            "p": round(hits.p, 4),
        }
    off = age_findings(said_of, plain)
    generator = torch.Generator().manual_seed(0)
    dealt = [(said_of[torch.randperm(n, generator=generator)] - plain).abs().mean() for _ in range(DRAWS)]
    nearer = int((torch.stack(dealt) <= (said_of - plain).abs().mean()).sum())
    return {
        "n": n,
        "years_off": said(mean(off.error)),
        "median_off": said(mean(off.floor)),
        "p": round((1 + nearer) / (DRAWS + 1), 4),
    }


def adjusted(record: Cell) -> Cell:
    """The record with Holm's adjustment over every p of it: of all linkers of all reconstructions, and all estimators.

    The floor knows nobody by construction, and is no attempt.
    """
    rows = [row for cell in record["reconstructions"] if cell["attacker"] != FLOOR for row in cell["linked"].values()]
    rows += record["attributes"]
    for row, value in zip(rows, holm([row["p"] for row in rows]).tolist(), strict=True):
        row["holm"] = round(value, 4)
    return {**record, "attempts": len(rows)}


def said(share: Share) -> list[float]:
    """Value and both ends of its interval."""
    return [round(value, 4) for value in (share.value, share.low, share.high)]


if __name__ == "__main__":
    main()
