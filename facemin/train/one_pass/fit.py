"""Fit of a one-pass protector to a key: training, its state on disk, the protector file and the record."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from onnx import ModelProto

from facemin.evaluation.provenance import conditions
from facemin.models.onnx.graph import extract
from facemin.protection.one_pass.protector_file import ProtectorFile
from facemin.runtime.compute import Precision
from facemin.runtime.device import choose_device, choose_precision, describe
from facemin.runtime.files import write_atomically
from facemin.train.one_pass.evaluate import cosines
from facemin.train.one_pass.loop import Fit
from facemin.train.one_pass.target_network import TargetNetwork

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from facemin.keys.key import Key
    from facemin.train.one_pass.settings import FitSettings

STATE, LOG, RECORD, PROTECTOR = "state.pt", "log.jsonl", "record.json", "protector.onnx"
EVALUATION_SEED = 1 << 40
"""Of targets and noise of an evaluation; no seed of a training step begins with it."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended.

    Attributes:
        step: steps done.
        steps: steps there are.
        protector: the file, of the weights' running mean.
        record: what `record.json` holds.
    """

    step: int
    steps: int
    protector: ProtectorFile
    record: dict[str, Any]

    @property
    def finished(self) -> bool:
        """Whether the last step was done."""
        return self.step >= self.steps


def fit_protector(
    key: Key,
    settings: FitSettings,
    *,
    folder: Path,
    device: str = "auto",
    precision: Precision = "auto",
    begin_from: Path | None = None,
    save_every: int = 300,
    evaluated: int = 256,
    on_step: Callable[[Fit, float], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train a decoder that paints images for a key's space, or go on with a run that is there.

    Args:
        key: whose last layer is the space, a vector.
        settings: of the run; a run in `folder` is gone on with where they are the same.
        folder: gets `state.pt`, `log.jsonl`, `protector.onnx` and, at the end, `record.json`; each is whole at any
            moment.
        device: "auto", "cpu", "cuda", ...
        precision: of convolutions, in training alone.
        begin_from: state of another run for this key whose weights this one begins with, where it has none of its own.
        save_every: steps between two states on disk.
        evaluated: targets that the cosines of the record are measured on.
        on_step: called with the run and the batch's mean cosine after each step.
        stop: asked after each step whether to end there, with a state to go on from.

    Raises:
        ValueError: a key that does not end in a vector, a run of other settings, or weights that ceased to be finite.
        OSError: a file that cannot be read or written.
    """
    where = choose_device(device)
    kind = training_precision(precision, where)
    graph = extract(ModelProto.FromString(key.data), end=key.manifest.layers[-1])
    network = TargetNetwork(graph, precision=kind).to(where)
    run = Fit.start(settings, key=key.manifest.sha256, dimensions=network.dimensions, device=where)
    space = key.manifest.sha256 if key.space is None else key.space.id.hex()
    state = folder / STATE
    if state.exists():
        run.resume(state)
    elif begin_from is not None:
        run.begin_from(begin_from)

    def after(run: Fit, cosine: float) -> None:
        if run.step % save_every == 0:
            run.save(state)
            to_file(run, space).save(folder / PROTECTOR)
        if on_step is not None:
            on_step(run, cosine)

    run.run(network, precision=kind, log=folder / LOG, on_step=after, stop=stop)
    run.save(state)
    found = (
        {}
        if run.step < settings.steps
        else cosines(run.averaged, TargetNetwork(graph).to(where), seed=EVALUATION_SEED, count=evaluated)
    )
    protector = to_file(run, space, found)
    protector.save(folder / PROTECTOR)
    record = record_of(run, key, protector, precision=str(kind).removeprefix("torch."), device=describe(where))
    if run.step >= settings.steps:
        write_atomically(folder / RECORD, json.dumps(record, indent=1).encode())
    return Outcome(step=run.step, steps=settings.steps, protector=protector, record=record)


def training_precision(name: Precision, device: torch.device) -> torch.dtype:
    """As `device.choose_precision`, and bfloat16 on processors with dot products for it.

    Without matrix units it is no faster there for protecting, where a batch is small; in training it took half the
    time of float32 (AVX-512 BF16).
    """
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    if name == "auto" and device.type == "cpu" and supported():
        return torch.bfloat16
    return choose_precision(name, device)


def to_file(run: Fit, space: str, found: dict[str, float] | None = None) -> ProtectorFile:
    """The running mean of a run's weights as a protector file.

    Args:
        run: at any step.
        space: id of the key's space.
        found: cosines after operations, for the manifest.
    """
    recipe = {**run.settings.course(), "steps": run.settings.steps, "annealed": run.settings.annealed, "done": run.step}
    recipe["earlier"] = list(run.earlier)
    return ProtectorFile.make(
        run.averaged.to_graph(), run.settings.size, space=space, cosines=found or {}, recipe=recipe
    )


def record_of(run: Fit, key: Key, protector: ProtectorFile, *, precision: str, device: str) -> dict[str, Any]:
    """How a protector was made, as JSON has it, without a path of this machine."""
    return {
        "format": "facemin one-pass fit 1",
        "key": {"id": key.manifest.key_id, "provider": key.manifest.provider, "graph_sha256": key.manifest.sha256},
        "settings": json.loads(json.dumps(asdict(run.settings))),
        "earlier": list(run.earlier),
        "steps": run.step,
        "targets": run.step * run.settings.batch,
        "seconds": round(run.seconds, 1),
        "precision": precision,
        "device": device,
        "parameters": sum(weight.numel() for weight in run.averaged.parameters()),
        "cosines": protector.manifest.cosines,
        "protector_sha256": protector.fingerprint,
        "protector_bytes": len(protector.data),
        **conditions(),
    }
