"""Result of a training run: the recogniser as an ONNX graph, and its record."""

from __future__ import annotations

import copy
import hashlib
import json
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch

from facemin.evaluation.verify import Embeddings, measure
from facemin.models import Recogniser
from facemin.models.onnx.graph import read_graph
from facemin.runtime.device import describe
from facemin.runtime.files import write_atomically
from facemin.train.families.export import to_graph
from facemin.train.validation import embed

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from facemin.evaluation.pairs import VerificationSet
    from facemin.train.config import TrainingConfig
    from facemin.train.data.sources import FaceSource
    from facemin.train.data.split import Split

GRAPH, RECORD = "recogniser.onnx", "record.json"
PACKAGES = ("facemin", "torch", "lightning-fabric", "numpy", "pillow", "onnx")


def write_result(
    network: nn.Sequential,
    *,
    config: TrainingConfig,
    out: Path,
    source: FaceSource,
    split: Split,
    pairs: VerificationSet | None,
    device: torch.device,
    run: dict[str, Any],
) -> dict[str, Any]:
    """Export a trained network, measure the exported graph on the people held out, and write both with a record.

    Args:
        network: one of `FAMILIES`, trained; left as it is.
        config: of the run.
        out: folder for `recogniser.onnx`, faces (batch, 3, 112, 112) RGB in [0, 1] to embeddings, and `record.json`.
        source: all faces.
        split: who was trained on.
        pairs: of the people held out, or None.
        device: where to measure.
        run: what else the record says of the run.

    Returns:
        The record.

    Raises:
        ValueError: a network that cannot be exported.
        OSError: a file that cannot be written.
    """
    graph = to_graph(copy.deepcopy(network).cpu().eval(), name=config.model.family).SerializeToString()
    write_atomically(out / GRAPH, graph)
    recogniser = Recogniser(read_graph(graph, name=GRAPH), name=GRAPH)
    evaluation = None
    if pairs is not None:
        # the exported graph is what will be used, so it is what is measured
        measured = copy.deepcopy(recogniser).to(device)
        rows = embed(measured, pairs, device=device, batch=config.evaluate.batch)
        evaluation = measure(pairs, Embeddings(rows, 0), recogniser).report()
    record = {
        "configuration": config.model_dump(mode="json"),
        "run": run,
        "device": describe(device),
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in PACKAGES},
        "data": {
            "fingerprint": source.fingerprint,
            "images": len(split.images),
            "people": len(split.people),
            "held_out_images": len(split.held_out_images),
            "held_out_people": list(split.held_out_people),
        },
        "recogniser": {
            "file": GRAPH,
            "sha256": hashlib.sha256(graph).hexdigest(),
            "fingerprint": recogniser.fingerprint,
            "embedding_size": recogniser.embedding_size,
            "parameters": sum(weight.numel() for weight in network.parameters()),
            "preprocess": {"scale": 1.0},
        },
        "evaluation": evaluation,
    }
    write_atomically(out / RECORD, json.dumps(record, indent=1).encode())
    return record
