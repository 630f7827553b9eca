"""Result of an AHM run: weights, mask, and the record of both forms of a query."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from facemin.ahm.masking.mask import decode_mask
from facemin.ahm.recogniser import MaskedRecogniser, masked_resnet
from facemin.metrics import eer, identity_bootstrap_mean, pair_scores, tar_at_far, ten_fold_accuracy
from facemin.runtime.device import describe
from facemin.runtime.files import write_atomically
from facemin.train.validation import embed

if TYPE_CHECKING:
    from pathlib import Path

    from facemin.ahm.config import AHMConfig
    from facemin.ahm.data import People
    from facemin.ahm.masking.mask import Mask
    from facemin.evaluation.pairs import VerificationSet

WEIGHTS, MASK, RECORD = "recogniser.safetensors", "mask.safetensors", "record.json"
FORMAT = "facemin-masked-recogniser-1"
PACKAGES = ("facemin", "torch", "numpy", "pillow")
FAR = 1e-2


class TrainedModel(NamedTuple):
    """A run's recogniser, and what a white box sees besides."""

    recogniser: MaskedRecogniser
    classes: Tensor
    """Weights of the head, (C, D): whoever holds the network after training may hold them too."""
    people: tuple[str, ...]
    """Who the classes are, C names."""


def write_weights(path: Path, network: nn.Sequential, classes: Tensor, settings: dict[str, Any]) -> None:
    """Write a network's weights and its head's classes as safetensors, with what the network is made of.

    Raises:
        OSError: the file cannot be written.
    """
    tensors = {f"network.{name}": each.detach().cpu().contiguous() for name, each in network.state_dict().items()}
    tensors["classes"] = classes.detach().cpu().contiguous()
    write_atomically(path, save(tensors, {"format": FORMAT, "settings": json.dumps(settings)}))


def load_trained(folder: Path) -> TrainedModel:
    """Read what a run wrote into its folder.

    Raises:
        ValueError: files that are damaged or do not fit one another.
        OSError: files that are missing or cannot be read.
    """
    mask = decode_mask((folder / MASK).read_bytes(), name=str(folder / MASK))
    path, data = folder / WEIGHTS, (folder / WEIGHTS).read_bytes()
    try:
        tensors = load(data)
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        if metadata["format"] != FORMAT:
            raise ValueError(f"format {metadata['format']!r:.40}")
        settings = json.loads(metadata["settings"])
        classes, people = tensors.pop("classes"), tuple(settings.pop("people"))
        network = masked_resnet(mask.shape, **settings | {"widths": tuple(settings["widths"])})
        network.load_state_dict({name.removeprefix("network."): each for name, each in tensors.items()})
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"{path}: expected a file of format {FORMAT}, got: {str(error)[:200]}") from None
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return TrainedModel(MaskedRecogniser(mask, network), classes, people)


def measure_queries(network: nn.Module, pairs: VerificationSet, *, device: torch.device, batch: int) -> dict[str, Any]:
    """How well pairs of people held out are verified, as a record has it."""
    scores = pair_scores(*embed(network, pairs, device=device, batch=batch)[pairs.pairs].unbind(1))
    found = ten_fold_accuracy(scores, pairs.same)
    at = tar_at_far(scores[pairs.same], scores[~pairs.same], far=FAR)
    assert pairs.people is not None
    people, generator = pairs.people[pairs.pairs], torch.Generator().manual_seed(0)
    thresholds = found.thresholds.repeat_interleave(_fold_sizes(len(scores), len(found.thresholds)))
    correct = ((2 - 2 * scores.double()) < thresholds) == pairs.same
    interval = identity_bootstrap_mean(correct, people, generator=generator)
    accepted = (scores[pairs.same] >= at.threshold).double()
    tar = identity_bootstrap_mean(accepted, people[pairs.same], generator=generator)
    return {
        "accuracy": found.mean,
        "accuracy_interval": list(interval),
        "eer": eer(scores[pairs.same], scores[~pairs.same]),
        "tar": at.tar,
        "tar_interval": list(tar),
        "far": FAR,
        "threshold": at.threshold,
        "pairs": len(scores),
    }


def write_record(
    out: Path,
    *,
    config: AHMConfig,
    people: People,
    mask: Mask,
    network: nn.Module,
    device: torch.device,
    run: dict[str, Any],
    queries: dict[str, Any],
) -> dict[str, Any]:
    """Write the record of a run whose weights are in `out`, and return it.

    Raises:
        OSError: a file cannot be read or written.
    """
    record = {
        "configuration": config.model_dump(mode="json"),
        "run": run,
        **provenance(device),
        "data": {
            "fingerprint": people.fingerprint,
            "images": len(people.pool),
            "people": len(people.names),
            "public_images": len(people.public),
            "held_out_people": people.held_out,
        },
        "recogniser": {
            "file": WEIGHTS,
            "sha256": hashlib.sha256((out / WEIGHTS).read_bytes()).hexdigest(),
            "parameters": sum(weight.numel() for weight in network.parameters()),
            "shape": list(mask.shape),
            "mask": mask.fingerprint,
        },
        "queries": queries,
    }
    write_atomically(out / RECORD, json.dumps(record, indent=1).encode())
    return record


def provenance(device: torch.device) -> dict[str, Any]:
    """Where a run ran."""
    return {
        "device": describe(device),
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in PACKAGES},
    }


def _fold_sizes(pairs: int, folds: int) -> Tensor:
    return torch.tensor([pairs // folds + (fold < pairs % folds) for fold in range(folds)])
