"""An IR-18 distilled from a recogniser's embeddings: another architecture for "regardless of the model's architecture".

    python experiments/train/distill.py --shared ../shared --out runs/distilled/ir18.onnx

A student learns to put plain, aligned LFW faces, mirrored at random, where the teacher puts them (loss 1 - cosine, no
labels); people of folds 1 to 5 are left out, so that every experiment may judge with it. It may be stopped and started
again: it goes on from the checkpoint beside `--out`. The network is made of a shared recogniser's answers and is never
committed; put the file into a folder of models and name it as a judge. Prints, and writes beside the network, the mean
cosine to the teacher and TAR at FAR 1e-3 on people of folds 1 to 5. A student worth the name takes a GPU, or a night of
one core (about 4 faces/s at full width); `--minutes 1 --width 0.25 --faces 200` shows that it runs.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from facemin import load_recogniser
from facemin.attack.datasets import HeldPairs
from facemin.attack.link.student import teach
from facemin.attack.training import Fitting, fit, weights_drawn_from
from facemin.autograd.pixels import to_unit
from facemin.evaluation.provenance import conditions
from facemin.experiments.common import REPOSITORY, script_parser
from facemin.metrics import cross_identity_threshold, pair_scores
from facemin.runtime.compute import Compute
from facemin.runtime.files import write_atomically
from facemin.train.families.export import to_graph
from facemin.train.families.iresnet import iresnet

sys.path.append(str(REPOSITORY / "experiments" / "attacks"))
FAR = 1e-3
DEPTH = 18


def main() -> None:
    """Teach, write, measure."""
    from setting import lfw_people

    parser = script_parser(__doc__)
    parser.add_argument("--teacher", default="mobilefacenet-ms1m-arcface")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--faces", type=int, default=5200)
    parser.add_argument("--test", type=int, default=300)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--minutes", type=float, default=600, help="asked after each epoch")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    given = parser.parse_args()
    people = lfw_people(given.shared, test=given.test, train=given.faces)
    teacher = load_recogniser(given.shared / "models" / f"{given.teacher}.onnx")
    pairs = HeldPairs(people.train, teach(teacher, people.train))
    held = HeldPairs(people.validation, teach(teacher, people.validation))
    size = pairs.targets.shape[1]
    student = weights_drawn_from(0, partial(iresnet, depth=DEPTH, embedding_size=size, width=given.width))
    end = time.monotonic() + 60 * given.minutes
    fit(
        student,
        pairs,
        settings=Fitting(epochs=given.epochs, batch=32, rate=1e-3),
        compute=Compute(device=given.device, precision=given.precision),
        loss=lambda seen, told: 1 - F.cosine_similarity(seen, told),
        score=F.cosine_similarity,
        validation=held,
        checkpoint=given.out.with_suffix(".checkpoint"),
        on_epoch=lambda epoch: print(f"epoch {epoch.done}: cosine {epoch.score:.3f}", flush=True),
        stop=lambda: time.monotonic() > end,
    )
    write_atomically(given.out, to_graph(student.cpu().eval(), name="ir18-distilled").SerializeToString())
    found = measured(student, teacher, people.test, people.others) | conditions()
    write_atomically(given.out.with_suffix(".json"), (json.dumps(found | {"teacher": given.teacher}) + "\n").encode())
    print({name: found[name] for name in ("cosine", "tar", "teacher_tar")})


def measured(student: nn.Module, teacher: nn.Module, faces: torch.Tensor, others: torch.Tensor) -> dict[str, float]:
    """On people of folds 1 to 5: mean cosine to the teacher, and TAR of both at FAR 1e-3 over all cross pairs."""

    def rows(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return F.normalize(torch.cat([network(to_unit(part)) for part in torch.split(images, 32)]))

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
