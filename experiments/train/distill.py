"""An IR-18 distilled from a recogniser's embeddings: another architecture for "regardless of the model's architecture".

    python experiments/train/distill.py --shared ../shared --out runs/distilled/ir18.onnx

A student learns to put aligned faces of LFW and UTKFace where the teacher puts them (loss 1 - cosine, no labels): each
face as it is and in `--views` minus one random warps and gammas, half of them mirrored, the teacher asked of the very
view; people of folds 1 to 5 are left out, so that every experiment may judge with it. It may be stopped and started
again: it goes on from the checkpoint beside `--out`; the rate falls to nothing over `--epochs`, so that a run which
`--minutes` ends before them is worse than a shorter one that reaches its end. The network is made of a shared
recogniser's answers and is never committed; put the file into a folder of models and name it as a judge. Prints, and
writes beside the network, the mean cosine to the teacher and TAR at FAR 1e-3 on people of folds 1 to 5. A student worth
the name takes a GPU, or hours of a core (about 8 faces/s at full width and 26 at half of it);
`--epochs 1 --width 0.25 --faces 200 --utkface 0` shows that it runs.

Source: Beyer et al. 2022, "Knowledge distillation: a good teacher is patient and consistent", section 3.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facemin import load_recogniser
from facemin.attack.datasets import HeldPairs
from facemin.attack.link.student import teach
from facemin.attack.training import Fitting, fit, weights_drawn_from
from facemin.autograd.pixels import to_grid, to_unit
from facemin.evaluation.provenance import conditions
from facemin.experiments.common import REPOSITORY, central_faces, script_parser
from facemin.face import Detector
from facemin.metrics import cross_identity_threshold, pair_scores
from facemin.runtime.compute import Compute
from facemin.runtime.files import write_atomically
from facemin.train.families.export import to_graph
from facemin.train.families.iresnet import iresnet
from facemin.train.one_pass.operations import TrainingOperations

if TYPE_CHECKING:
    from onnx import ModelProto

sys.path.append(str(REPOSITORY / "experiments" / "attacks"))
FAR = 1e-3
DEPTH = 18
PART = 32
PHOTOS = 20  # of one person of LFW
VIEWS = TrainingOperations(
    **dict.fromkeys(("none", "blur", "strong_blur", "resize", "shift", "jpeg", "noise"), 0.0),
    warp=3.0,
    gamma=1.0,
    second=0.5,
    rotation=10.0,
    scale=0.1,
    warp_shift=4.0,
)
"""How a further view of a face differs from the face."""


def main() -> None:
    """Teach, write, measure."""
    from setting import lfw_people

    parser = script_parser(__doc__)
    parser.add_argument("--teacher", default="mobilefacenet-ms1m-arcface")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--faces", type=int, default=6500, help="of LFW")
    parser.add_argument("--utkface", type=int, default=5000, help="photos of UTKFace, as many as there are at most")
    parser.add_argument("--views", type=int, default=2, help="of each face")
    parser.add_argument("--test", type=int, default=300)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=600, help="asked after each epoch")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    given = parser.parse_args()
    people = lfw_people(given.shared, test=given.test, train=given.faces, photos=PHOTOS)
    teacher = load_recogniser(given.shared / "models" / f"{given.teacher}.onnx")
    seen = views(torch.cat([people.train, utkface(given.shared, given.utkface)]), given.views)
    print(f"{len(seen)} views of {len(seen) // given.views} faces", flush=True)
    pairs = HeldPairs(seen, teach(teacher, seen))
    held = HeldPairs(people.validation, teach(teacher, people.validation))
    size = pairs.targets.shape[1]
    # no share of the features is dropped: the answer to come near is the same each time
    made = partial(iresnet, depth=DEPTH, embedding_size=size, width=given.width, dropout=0.0)
    student = weights_drawn_from(0, made).to(memory_format=torch.channels_last)
    end = time.monotonic() + 60 * given.minutes
    fit(
        student,
        pairs,
        settings=Fitting(epochs=given.epochs, batch=PART, rate=1e-3),
        compute=Compute(device=given.device, precision=given.precision),
        loss=lambda seen, told: 1 - F.cosine_similarity(seen, told),
        score=F.cosine_similarity,
        validation=held,
        checkpoint=given.out.with_suffix(".checkpoint"),
        on_epoch=lambda epoch: print(f"epoch {epoch.done}: cosine {epoch.score:.3f}", flush=True),
        stop=lambda: time.monotonic() > end,
    )
    write_atomically(given.out, as_model(student).SerializeToString())
    # the file is what experiments judge with, so it is what is measured
    found = measured(load_recogniser(given.out), teacher, people.test, people.others) | conditions()
    asked = {"teacher": given.teacher, "width": given.width, "views": len(seen), "epochs": given.epochs}
    write_atomically(given.out.with_suffix(".json"), (json.dumps(found | asked) + "\n").encode())
    print({name: found[name] for name in ("cosine", "tar", "teacher_tar")})


def utkface(shared: Path, count: int) -> Tensor:
    """Faces of as many photos of UTKFace, in the order of their names, uint8; one without a face found is left out."""
    detector, faces = Detector(), []
    for path in sorted((shared / "data" / "utkface").glob("*.jpg"))[:count]:
        try:
            faces.append(to_grid(central_faces([path], detector)))
        except ValueError:
            continue
    return torch.cat(faces) if faces else torch.empty(0, 3, 112, 112, dtype=torch.uint8)


def views(faces: Tensor, count: int) -> Tensor:
    """Faces (N, 3, 112, 112), uint8, followed by `count` - 1 random views of each: (count * N, 3, 112, 112)."""
    rng = np.random.default_rng(0)
    made = [faces]
    for _ in range(count - 1):
        for part in faces.split(PART):
            flips = torch.from_numpy(rng.random(len(part)) < 0.5)
            turned = torch.where(flips[:, None, None, None], part.flip(3), part)
            made.append(to_grid(VIEWS(to_unit(turned), rng, 1.0).clamp(0, 1)))
    return torch.cat(made)


def as_model(student: nn.Module) -> ModelProto:
    """A graph that takes RGB in [0, 255], as those in a folder of models do; the student takes it in [0, 1]."""
    made = copy.deepcopy(student).cpu().eval()
    made.scaled.factor.div_(255)
    return to_graph(made, name="ir18-distilled")


def measured(student: nn.Module, teacher: nn.Module, faces: torch.Tensor, others: torch.Tensor) -> dict[str, float]:
    """On people of folds 1 to 5: mean cosine to the teacher, and TAR of both at FAR 1e-3 over all cross pairs."""

    def rows(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return F.normalize(torch.cat([network(to_unit(part)) for part in torch.split(images, PART)]))

    found = {}
    sides = {
        name: (rows(network, faces), rows(network, others)) for name, network in (("", student), ("teacher_", teacher))
    }
    for name, (first, second) in sides.items():
        at = cross_identity_threshold(torch.cat([first, second]), torch.arange(len(first)).repeat(2), far=FAR)
        found[f"{name}tar"] = float((pair_scores(first, second) >= at.threshold).double().mean())
    found["cosine"] = float((sides[""][0] * sides["teacher_"][0]).sum(1).mean())
    return found


if __name__ == "__main__":
    main()
