"""Which mechanism lets AHM mix more faces at a satisfactory accuracy? Variants of its reward, several seeds each.

    python experiments/ahm/settle.py --seeds 1 2 3          # what has no record yet, and may be stopped at any time
    python experiments/ahm/settle.py --table                # the table of docs/ahm.md, from the records alone

A small setting, so that three seeds of eleven variants fit on one core: people of LFW with at least 25 images, every
eighth block of the mask, a narrow network. Appends a record a run to results/ahm/settled.jsonl. Verification is of
people never seen, masked only; the reward by k is that of the run's own last weights.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facemin.ahm import AHMConfig, load_trained, read_ahm_config, train_ahm
from facemin.ahm.data import read_people
from facemin.ahm.mixing import COUNTS, Mixture, draw_partners, draw_weights, heaviest, label_entropy, mix
from facemin.evaluation.provenance import conditions
from facemin.experiments.common import REPOSITORY, markdown_table, replace_section, script_parser
from facemin.experiments.kinds.mixing import rewards, variants
from facemin.runtime.files import append_json

HERE = Path(__file__).parent
RECORDS = REPOSITORY / "results" / "ahm" / "settled.jsonl"
PAGE = REPOSITORY / "docs" / "ahm.md"
BEGIN, END = "<!-- settled: begin, written by experiments/ahm/settle.py -->", "<!-- settled: end -->"
PROBED = 128
"""Mixtures of each k whose reward is measured on the last weights."""

POLICY: dict[str, Any] = {"rate": 3e-3, "every": 2, "entropy_bonus": 0.05, "accuracy_cost": 2.0}
NO_MARGIN = {"kind": "cosface", "scale": 30.0, "margin": 0.0}
VARIANTS: dict[str, dict[str, Any]] = {
    "fixed, k = 2": {"mixing": {"kind": "fixed", "count": 2}},
    "fixed, k = 6": {"mixing": {"kind": "fixed", "count": 6}},
    "random k": {"mixing": {"kind": "random"}},
    "ramp from 2 to 6, by hand": {"mixing": {"kind": "ramp"}},
    "AHM": {"strategy": POLICY},
    "AHM, no margin, loss above label entropy": {"strategy": POLICY | {"reward": "excess"}, "head": NO_MARGIN},
    "AHM, standardised reward": {"strategy": POLICY | {"standardised": True}},
    "AHM, frozen for a third": {"strategy": POLICY | {"frozen": 1 / 3}},
    "AHM, floor of 0.6": {"strategy": POLICY | {"floor": 0.6, "floor_rate": 0.5, "entropy_bonus": 0.5}},
    "AHM, loss above label entropy": {"strategy": POLICY | {"reward": "excess"}},
    "AHM, no margin": {"strategy": POLICY, "head": NO_MARGIN},
}
REWARDED = ("random k", "AHM", "AHM, no margin, loss above label entropy")
"""Variants whose reward by k stands in the table."""
SMALL: dict[str, Any] = {
    "epochs": 3,
    "batch": 32,
    "log_every": 10,
    "checkpoint_every": 10_000,
    "mask": {"every": 8, "secret": 20240423},
    "network": {"embedding_size": 64, "widths": [32, 64], "dropout": 0.1},
    "evaluate": {"every": 100_000, "pairs": 2000},
    "query": {"public": 0, "count": 2},
}


def main() -> None:
    """Train what has no record, or write the table."""
    parser = script_parser(__doc__, shared=False, out=RECORDS, epochs=SMALL["epochs"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--cache", type=Path, default=REPOSITORY / "runs" / "settled-faces")
    parser.add_argument("--table", action="store_true", help="write the table from the records, train nothing")
    given = parser.parse_args()
    for seed in () if given.table else given.seeds:
        for name in given.variants:
            if (name, seed, given.epochs) not in {_place(record) for record in read(given.out)}:
                run(name, seed, given)
    replace_section(PAGE, BEGIN, END, table(read(given.out)))


def configuration(name: str, seed: int, *, cache: Path, epochs: int) -> AHMConfig:
    """A variant's run."""
    base = read_ahm_config(HERE / "ahm.toml").model_dump(mode="json", exclude_none=True)
    data = base["data"] | {"min_images": 25, "held_out": 14, "cache": str(cache)}
    return AHMConfig.model_validate(base | SMALL | VARIANTS[name] | {"seed": seed, "epochs": epochs, "data": data})


def run(name: str, seed: int, given: argparse.Namespace) -> None:
    """Train and measure one run."""
    config = configuration(name, seed, cache=given.cache, epochs=given.epochs)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        done = train_ahm(config, out=out, device="cpu")
        assert done.record is not None
        lines = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        probed = probed_rewards(config, out)
    logged = [line for line in lines if "loss" in line]
    drawn = [line["k"] for line in logged[-max(1, len(logged) // 3) :] if "k" in line]
    counts = np.array([[row[str(count)] for count in COUNTS] for row in drawn], np.float64).sum(0)
    record = {
        "variant": name,
        "seed": seed,
        "epochs": given.epochs,
        "steps": done.step,
        "people": done.record["data"]["people"],
        "images": done.record["data"]["images"],
        "seconds": round(done.record["run"]["seconds"], 1),
        "masked": done.record["queries"]["masked"],
        "mean_k": round(float(counts @ np.array(COUNTS) / counts.sum()), 4),
        "shares": [round(float(share), 4) for share in counts / counts.sum()],
        "loss": logged[-1]["loss"],
        "multiplier": logged[-1].get("multiplier"),
        "rewards": probed,
        "configuration": {key: config.model_dump(mode="json")[key] for key in ("strategy", "mixing", "head")},
        **conditions(),
    }
    append_json(given.out, record)
    print(f"{name}, seed {seed}: mean k {record['mean_k']}, masked {record['masked']['accuracy']:.3f}", flush=True)


def probed_rewards(config: AHMConfig, out: Path) -> list[dict[str, float]]:
    """What mixing k faces gives on the last weights, each k alike: loss, label entropy, and who is recognised."""
    trained, people = load_trained(out), read_people(config, cache=out / "faces", on_aligned=None)
    generator = np.random.default_rng(0)
    places = torch.from_numpy(generator.choice(len(people.pool), PROBED))
    classes = torch.nn.functional.normalize(trained.classes)
    scale = config.head.settings().scale  # type: ignore[union-attr]
    found = []
    for count in COUNTS:
        counts = torch.full_like(places, count)
        partners = draw_partners(places, people.labels, counts, generator)
        mixture = Mixture(partners, draw_weights(counts, generator))
        with torch.inference_mode():
            logits = torch.cat([trained.recogniser(part) for part in mix(people.pool, mixture).split(64)]) @ classes.T
        logs = torch.log_softmax(scale * logits, 1)
        labels = people.labels[mixture.places]
        loss = -(mixture.weights * logs.gather(1, labels)).sum(1)
        nearest = logits.argmax(1)
        found.append(
            {
                "k": count,
                "loss": round(float(loss.mean()), 4),
                "label_entropy": round(float(label_entropy(mixture, people.labels).mean()), 4),
                "own": round(float((nearest == people.labels[places]).double().mean()), 4),
                "heaviest": round(float((nearest == people.labels[heaviest(mixture)]).double().mean()), 4),
            }
        )
    return found


def read(path: Path) -> list[dict[str, Any]]:
    """All records."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines]


def table(records: list[dict[str, Any]]) -> str:
    """A row a variant, over its seeds; and the reward by k of the last weights."""
    ordered = sorted(records, key=lambda record: list(VARIANTS).index(record["variant"]))
    return "\n".join([*markdown_table(variants(ordered)), "", *markdown_table(rewards(ordered, REWARDED)), ""])


def _place(record: dict[str, Any]) -> tuple[str, int, int]:
    return record["variant"], record["seed"], record["epochs"]


if __name__ == "__main__":
    main()
