"""A run of AHM on made-up people that takes seconds."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from facemin.ahm import AHMConfig
from tests.keys_and_faces import dlib_keys, faces  # noqa: F401 - fixtures
from tests.train.conftest import people  # noqa: F401 - a fixture

Make = Callable[..., AHMConfig]


def configuration(people: Path, **changes: object) -> AHMConfig:  # noqa: F811
    """9 steps on 24 faces of 4 people, with 2 more held out and 2 public; keywords replace whole fields."""
    fields: dict[str, object] = {
        "seed": 3,
        "epochs": 3,
        "batch": 8,
        "precision": "float32",
        "log_every": 2,
        "checkpoint_every": 100,
        "data": {"kind": "folder", "root": str(people), "aligned": True, "held_out": 2},
        "mask": {"every": 4, "kept": 3, "secret": 5},
        "mixing": {"kind": "policy"},
        "strategy": {"every": 2},
        "network": {"embedding_size": 8, "widths": (4, 8)},
        "head": {"kind": "cosface", "scale": 16.0, "margin": 0.1},
        "optimiser": {"rate": 0.1},
        "schedule": {"kind": "cosine", "warmup": 0.5},
        "evaluate": {"every": 100, "pairs": 20},
        "query": {"public": 2, "count": 3},
    }
    return AHMConfig.model_validate(fields | changes)


@pytest.fixture
def make_ahm(people: Path) -> Make:  # noqa: F811
    """`configuration` on the people."""
    return partial(configuration, people)
