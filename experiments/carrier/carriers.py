"""What the experiments on carriers share: their people, carriers kept in a cache folder, and records."""

from __future__ import annotations

import argparse
import hashlib
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from facemin.experiments.common import REPOSITORY, script_parser
from facemin.keys.default import default_key
from facemin.pseudonym import Context, Pseudonym, Secret

# the pseudonym experiments are no package
sys.path.insert(0, str(REPOSITORY / "experiments" / "pseudonym"))

import common
from common import Lfw, load

GROUPS = ("test", "pairs")
"""Two photos each of people of `report`; one each of people of `choose` and `fit`, whom attackers know."""


def arguments(description: str | None, **more: Any) -> argparse.Namespace:
    """The command line: the research folder, a cache, the first person and the last, and options by their defaults."""
    parser = script_parser(description, cache="folder of carriers and embeddings", first=0, people=300)
    for name, value in more.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    return parser.parse_args()


def rows_of(lfw: Lfw, group: str, people: int) -> np.ndarray:
    """Rows of LFW's photos, (people, photos)."""
    if group == "test":
        return np.stack(lfw.people("report", least=2, most=2))[:people]
    others = [lfw.people(part, least=1, most=1) for part in ("choose", "fit")]
    return np.concatenate(others)[:people]


def seed(name: str, number: int) -> bytes:
    """A seed of nobody, 32 bytes, by a name and a number."""
    return hashlib.sha256(f"{name} {number}".encode()).digest()


def pseudonym_of(group: str, number: int) -> Pseudonym:
    """Everybody's own: a secret of the group's name and the person's number, for measurements only."""
    space = default_key().space
    assert space is not None
    secret = Secret(seed(f"carrier experiment {group}", number))
    context = Context(origin="https://peer.example", space=space.id, dimension=space.dimension, purpose="main")
    return Pseudonym(secret=secret, context=context)


def file_of(folder: Path, number: int, photo: int) -> Path:
    """Where a carrier lies."""
    return folder / f"{number:04d}_{photo}.png"


record = partial(common.record, results=REPOSITORY / "results" / "carrier")
"""Append one record to results/carrier/NAME.jsonl."""


__all__ = ["GROUPS", "Lfw", "arguments", "file_of", "load", "pseudonym_of", "record", "rows_of"]
