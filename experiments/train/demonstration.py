"""The documented training run: does a small MobileFaceNet learn to tell people apart whom it never saw?

    python experiments/train/demonstration.py

Trains on 118 people of LFW with at least 10 images as lfw-demonstration.toml says, and measures on pairs of the 40
others. Then trains once more, interrupts that run half way (SIGINT, as Ctrl-C), resumes it, and compares the weights.
Appends a record to results/train/lfw-demonstration.jsonl and writes the table in docs/training.md, which is a function
of the latest record alone (`--table` only writes it anew). About 20 minutes of a core; the folder of the runs,
runs/lfw-demonstration, is replaced. `--epochs 2` tries it all in a few minutes, and leaves records and table alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from textwrap import fill
from typing import Any

import torch
from torch import nn

from facemin.autograd.pixels import to_unit
from facemin.experiments.common import REPOSITORY, last_record, replace_section, script_parser, table_head
from facemin.runtime.files import append_json, write_atomically
from facemin.train import TrainingConfig, log, read_config
from facemin.train.data.sampler import derived_seed
from facemin.train.data.sources import open_source
from facemin.train.data.split import split_people
from facemin.train.training_module import build
from facemin.train.validation import held_out_pairs, validate

CONFIG = Path(__file__).with_name("lfw-demonstration.toml")
RUNS = REPOSITORY / "runs" / "lfw-demonstration"
RECORDS = REPOSITORY / "results" / "train" / "lfw-demonstration.jsonl"
PAGE = REPOSITORY / "docs" / "training.md"
BEGIN, END = (
    "<!-- demonstration: begin, written by experiments/train/demonstration.py -->",
    "<!-- demonstration: end -->",
)
BATCH = 64


def main() -> None:
    """Run, record, write the table."""
    parser = script_parser(__doc__, shared=False)
    parser.add_argument("--epochs", type=int, default=None, help="in place of the configuration's")
    parser.add_argument("--table", action="store_true", help="write the table from the latest record, run nothing")
    arguments = parser.parse_args()
    if not arguments.table:
        record = demonstrate(arguments.epochs)
        print(json.dumps({name: record[name] for name in ("figures", "resumed")}, indent=1))
        if arguments.epochs is None:
            append_json(RECORDS, record)
    if arguments.epochs is None:
        latest = last_record(RECORDS)
        replace_section(PAGE, BEGIN, END, table(latest))


def demonstrate(epochs: int | None) -> dict[str, Any]:
    """Both runs and what came of them."""
    shutil.rmtree(RUNS, ignore_errors=True)
    config_file = configuration(epochs)
    config = read_config(config_file)
    whole, parts = RUNS / "whole", RUNS / "interrupted"
    run(config_file, whole)
    stopped = interrupt_half_way(config_file, parts, steps_of(whole))
    run(config_file, parts, "--resume")
    record = json.loads((whole / "record.json").read_text(encoding="utf-8"))
    lines = log.read(whole / "log.jsonl")
    validations = {line["step"]: line["evaluation"] for line in lines if "evaluation" in line}
    return {
        "figures": {
            "untrained": validations[0],
            "untrained_normalised": untrained_normalised(config),
            "trained": record["evaluation"]["accuracy"] | {"eer": record["evaluation"]["eer"]},
            "pairs": record["evaluation"]["n"]["pairs"],
        },
        "resumed": {
            "interrupted_at": stopped,
            "steps": steps_of(whole),
            "same_graph": sha256(parts / "recogniser.onnx") == sha256(whole / "recogniser.onnx"),
            "same_weights": same_weights(whole, parts),
            "same_losses": losses(whole) == losses(parts),
        },
        "record": without_folders(record),
        "log": lines,
        **provenance(),
    }


def configuration(epochs: int | None) -> Path:
    """The configuration's file, or one beside it with other epochs, since its paths are relative to its folder."""
    if epochs is None:
        return CONFIG
    text = CONFIG.read_text(encoding="utf-8").replace("epochs = 16\n", f"epochs = {epochs}\n")
    RUNS.mkdir(parents=True, exist_ok=True)
    # as deep below the checkout as the original
    path = RUNS / "tried.toml"
    write_atomically(path, text.encode())
    return path


def run(config: Path, out: Path, *flags: str) -> None:
    """One run, as a person starts it."""
    command = [sys.executable, "-m", "facemin", "train", "recogniser", str(config), "--device", "cpu"]
    subprocess.run([*command, "--out", str(out), *flags], check=True)


def interrupt_half_way(config: Path, out: Path, steps: int) -> int:
    """Start a run, ask it to end once it has logged half its steps; the step it ended at."""
    command = [sys.executable, "-m", "facemin", "train", "recogniser", str(config), "--device", "cpu"]
    process = subprocess.Popen([*command, "--out", str(out)])
    while not any(step >= steps // 2 for step, _ in losses(out)):
        if process.poll() is not None:
            raise RuntimeError(f"the run ended by itself, with status {process.returncode}")
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    status = process.wait()
    if status != 128 + signal.SIGINT:
        raise RuntimeError(f"expected an interrupted run, got status {status}")
    return int(torch.load(out / "checkpoint.pt", weights_only=True)["step"])


def losses(out: Path) -> list[tuple[int, float]]:
    """Logged losses by step."""
    return [(line["step"], line["loss"]) for line in log.read(out / "log.jsonl") if "loss" in line]


def steps_of(out: Path) -> int:
    """Steps of a finished run."""
    return int(json.loads((out / "record.json").read_text(encoding="utf-8"))["run"]["steps"])


def same_weights(first: Path, second: Path) -> bool:
    """Whether two runs' networks, heads and optimisers are equal bit by bit."""
    one, two = (torch.load(out / "checkpoint.pt", weights_only=True) for out in (first, second))
    momenta = [[entry["momentum_buffer"] for entry in found["optimiser"]["state"].values()] for found in (one, two)]
    weights = [list(found["weights"].values()) for found in (one, two)]
    return all(torch.equal(a, b) for pair in (momenta, weights) for a, b in zip(*pair, strict=True))


def untrained_normalised(config: TrainingConfig) -> dict[str, Any]:
    """The untrained network again, its batch normalisations told the statistics of the training faces.

    A second baseline, because the network as drawn assumes statistics that no faces have.
    """
    source = open_source(config.data, cache=RUNS / "faces")
    split = split_people(source, config.data)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(config.seed, "weights"))
        network = build(config.model).train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches
    with torch.no_grad():
        for places in torch.split(split.images, BATCH):
            network(torch.stack([to_unit(source.read(int(place))) for place in places]))
    pairs = held_out_pairs(source, split, count=config.evaluate.pairs, seed=config.data.split_seed)
    return validate(network.eval(), pairs, device=torch.device("cpu"))._asdict()


def without_folders(value: Any) -> Any:
    """A record without the folders of this machine: paths keep what lies below the repository or beside it."""
    if isinstance(value, dict):
        return {name: without_folders(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [without_folders(inner) for inner in value]
    if isinstance(value, str) and Path(value).is_absolute():
        return os.path.relpath(value, REPOSITORY)
    return value


def provenance() -> dict[str, Any]:
    """What a record needs to be repeated."""

    def git(*command: str) -> str:
        done = subprocess.run(["git", *command], cwd=REPOSITORY, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    return {
        "command": "python experiments/train/demonstration.py",
        "commit": git("rev-parse", "HEAD"),
        "dirty": bool(git("status", "--porcelain", "--", "facemin", "experiments")),
        "configuration_sha256": sha256(CONFIG),
        "versions": {name: version(name) for name in ("facemin", "torch", "lightning-fabric", "numpy", "pillow")},
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
    }


def sha256(path: Path) -> str:
    """Of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def table(latest: dict[str, Any]) -> str:
    """A record as Markdown."""
    figures, resumed, record = latest["figures"], latest["resumed"], latest["record"]
    low, high = figures["trained"]["identity_bootstrap"]
    gain = 100 * (figures["trained"]["mean"] - figures["untrained"]["accuracy"])
    rows = [
        ("untrained", figures["untrained"]["accuracy"], figures["untrained"]["eer"], ""),
        (
            "untrained, normalisations adapted",
            figures["untrained_normalised"]["accuracy"],
            figures["untrained_normalised"]["eer"],
            "",
        ),
        ("trained", figures["trained"]["mean"], figures["trained"]["eer"], f"{100 * low:.1f} to {100 * high:.1f}"),
    ]
    lines = table_head("network", "accuracy, %", "95 % interval", "EER, %")
    lines += [f"| {name} | {100 * mean:.1f} | {interval} | {100 * eer:.1f} |" for name, mean, eer, interval in rows]
    ran, data = record["run"], record["data"]
    same = resumed["same_graph"] and resumed["same_weights"] and resumed["same_losses"]
    said = (
        f"{gain:+.1f} points over its untrained self, on {figures['pairs']:,} pairs of "
        f"{len(data['held_out_people'])} people held out; {record['recogniser']['parameters']:,} parameters, "
        f"{data['images']:,} images of {data['people']} people, {ran['steps']:,} steps in {ran['seconds'] / 60:.1f} "
        f"minutes, {ran['images_per_second']:.0f} images/s ({latest['hardware']}). A second run, interrupted at step "
        f"{resumed['interrupted_at']:,} and resumed, ended on "
        + ("the same losses, weights and graph, bit by bit." if same else "**other weights**.")
    )
    return "\n".join([*lines, "", fill(said, 120), ""])


if __name__ == "__main__":
    main()
