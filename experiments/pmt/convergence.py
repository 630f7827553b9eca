"""How fast images converge: residual, and who accepts them, after K steps.

    python experiments/pmt/convergence.py --shared ../shared

PMT as published at five convolutions of MobileFaceNet, with T and without, and the robust default at dlib's pooled
features, on genuine pairs of LFW's folds 1 to 5. After each K the images are rounded to 8 bits and compared with the
pairs' second photos by the authorised recogniser and by two others, each at its threshold for FAR 1e-3 on people of
the other folds. Appends a record for each method to results/pmt/convergence.json.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from facemin import export_key, load_recogniser
from facemin.autograd.pixels import to_unit
from facemin.evaluation.judge import Judge, Plain
from facemin.experiments.common import RESULTS, script_parser, write_record
from facemin.experiments.faces import Place, load_faces
from facemin.keys.default import plain_key
from facemin.protection import PROTECTORS
from facemin.protection.pmt.initialisation import image_seed
from facemin.protection.pmt.objective import FeatureMatching
from facemin.protection.pmt.optimise import Job, descend

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.keys.key import Key
    from facemin.protection import PMT
    from facemin.protection.pmt.optimise import LossAndEstimate, StepContext

CASIA = "mobilefacenet-casia-arcface"
JUDGES = ("dlib-resnet29", CASIA, "mobilefacenet-ms1m-arcface", "mobilefacenet-vggface2-amsoftmax")
KS = (0, 1, 2, 5, 10, 20, 40, 80)
FAR = 1e-3


class Watched(FeatureMatching):
    """The objective, which keeps images and residuals as they are after some numbers of steps."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.seen: dict[int, tuple[Tensor, Tensor]] = {}

    def __call__(self, images: Tensor, targets: tuple[Tensor, ...], moment: StepContext) -> LossAndEstimate:
        """See `FeatureMatching`; all rows have taken as many steps."""
        steps = int(moment.steps[0])
        if steps in KS and steps not in self.seen:
            self.seen[steps] = self.measured(images.detach(), targets)
        return super().__call__(images, targets, moment)

    @torch.no_grad()
    def measured(self, images: Tensor, targets: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Images, and their distance without T, (B,)."""
        kept = images.clone()
        return kept, self._compared(self._features(self.shallow, kept), targets)[:, 0]


def main() -> None:
    """Protect, look, record."""
    given = script_parser(__doc__, out=RESULTS / "pmt" / "convergence.json", pairs=6).parse_args()
    data = given.shared / "data"
    place = Place("lfw", data / "lfw", data / "lfw_pairs.txt", data / "lfw_landmarks.npz")
    faces = load_faces(place, genuine=given.pairs, impostor=0, calibration=120)
    models = given.shared / "models"
    networks = {name: load_recogniser(path if (path := models / f"{name}.onnx").is_file() else name) for name in JUDGES}
    judges = {
        name: Judge.calibrate(
            network,
            name=name,
            probes=faces.probes,
            others=faces.others,
            plain=Plain(faces.plain, faces.people, faces.impostors),
            far=FAR,
        )
        for name, network in networks.items()
    }
    layers = tuple(f"/PRelu{end}_output_0" for end in ("", "_1", "_2", "_3"))
    convs = export_key(networks[CASIA], "/Conv_4_output_0", provider="measurement", residual=0.3, layers=layers)
    published = replace(PROTECTORS["pmt-enhanced"], pool=14)
    methods: dict[str, tuple[PMT, Key, str]] = {
        "PMT as published, five convolutions": (published, convs, CASIA),
        "the same without T": (replace(published, transform=None), convs, CASIA),
        "robust, pooled features": (PROTECTORS["robust"], plain_key(), "dlib-resnet29"),
    }
    found = [
        {"method": name, "authorised": owner, **curve(method, key, owner, faces.probes, judges)}
        for name, (method, key, owner) in methods.items()
    ]
    record = {"ks": list(KS), "pairs": given.pairs, "far": FAR, "curves": found, "faces_sha256": faces.sha256}
    write_record(given.out, record)


def curve(method: PMT, key: Key, owner: str, probes: Tensor, judges: dict[str, Judge]) -> dict[str, Any]:
    """Residuals and accepted pairs after each K."""
    objective = Watched(
        [key],
        residual=0,
        device=torch.device("cpu"),
        transform=method.transform,
        target=method.target,
        pool=method.pool,
    )
    seeded = [(face, image_seed(0, face)) for face in probes]
    jobs = [Job(face, method.start(face, own), own) for face, own in seeded]
    rule = method.rule if method.kernel is None else method.kernel.smoothed(method.rule)
    began = time.perf_counter()
    # one step more than the last K, whose images are seen before it
    list(descend(jobs, objective, rule=rule, steps=max(KS) + 1, batch=len(jobs), device=torch.device("cpu")))
    rows = []
    for steps, (images, residuals) in sorted(objective.seen.items()):
        sent = to_unit((images * 255).round().to(torch.uint8))
        accepted = {
            name: int(judge.accepted(judge.scores(sent).other).value * len(probes) + 0.5)
            for name, judge in judges.items()
        }
        rows.append(
            {
                "k": steps,
                "residual": [round(float(value), 4) for value in residuals],
                "accepted": accepted,
            }
        )
        others = max(count for name, count in accepted.items() if name != owner)
        print(f"K {steps}: residual {residuals.mean():.3f}, own {accepted[owner]}, worst other {others}", flush=True)
    return {"seconds": round(time.perf_counter() - began, 1), "rows": rows}


if __name__ == "__main__":
    main()
