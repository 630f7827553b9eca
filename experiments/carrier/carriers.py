"""What the experiments on carriers share: their people, carriers kept in a cache folder, and records."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "experiments" / "pseudonym"))

from common import Lfw, load  # noqa: E402 - the pseudonym experiments are no package
from people import PEOPLE  # noqa: E402

from facemin.evaluation.provenance import conditions  # noqa: E402
from facemin.keys.default import default_key  # noqa: E402
from facemin.pseudonym import Context, Pseudonym, Secret  # noqa: E402
from facemin.runtime.files import append_json  # noqa: E402

RESULTS = REPOSITORY / "results" / "carrier"
GROUPS = ("test", "pairs")
"""Two photos each of people of `report`; one each of people of `choose` and `fit`, whom attackers know."""


def arguments(description: str | None, **more: Any) -> argparse.Namespace:
    """The command line: the research folder, a cache, how many people, and further options by their defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=REPOSITORY.parent / "shared")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--people", type=int, default=300)
    for name, value in more.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    return parser.parse_args()


def rows_of(lfw: Lfw, group: str, people: int) -> np.ndarray:
    """Rows of LFW's photos, (people, photos)."""
    if group == "test":
        return np.stack(lfw.people("report", least=2, most=2))[:people]
    others = [lfw.people(part, least=1, most=1) for part in ("choose", "fit")]
    return np.concatenate(others)[:people]


def pseudonym_of(group: str, number: int) -> Pseudonym:
    """Everybody's own: a secret of the group's name and the person's number, for measurements only."""
    space = default_key().space
    assert space is not None
    secret = Secret(hashlib.sha256(f"carrier experiment {group} {number}".encode()).digest())
    context = Context(origin="https://peer.example", space=space.id, dimension=space.dimension, purpose="main")
    return Pseudonym(secret=secret, context=context)


def file_of(folder: Path, number: int, photo: int) -> Path:
    """Where a carrier lies."""
    return folder / f"{number:04d}_{photo}.png"


def record(name: str, given: argparse.Namespace, values: dict[str, Any]) -> None:
    """Append one record to results/carrier/NAME.jsonl."""
    told = {key: value for key, value in vars(given).items() if isinstance(value, (int, float, str))}
    append_json(
        RESULTS / f"{name}.jsonl",
        {
            "experiment": name,
            **values,
            "arguments": told,
            "people_sha256": hashlib.sha256(PEOPLE.read_bytes()).hexdigest(),
            **conditions(),
        },
    )


__all__ = ["GROUPS", "Lfw", "arguments", "file_of", "load", "pseudonym_of", "record", "rows_of"]
