"""Small sets of made-up people, and a run on them that takes seconds."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from facemin.runtime.files import write_atomically
from facemin.train import TrainingConfig
from tests.pictures import encode_tensor

Make = Callable[..., TrainingConfig]


def write_people(root: Path, people: int, images: int) -> Path:
    """Aligned faces: each person a colour pattern of 7 x 7 squares, each image that with noise."""
    generator = torch.Generator().manual_seed(1)
    for person in range(people):
        pattern = torch.rand(1, 3, 7, 7, generator=generator).repeat_interleave(16, 2).repeat_interleave(16, 3)[0]
        for image in range(images):
            noise = 0.1 * torch.randn(3, 112, 112, generator=generator)
            face = (pattern + noise).clamp(0, 1)
            write_atomically(root / f"person{person:02d}" / f"{image}.png", encode_tensor(face))
    return root


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 people with 6 images each."""
    return write_people(tmp_path_factory.mktemp("people"), 8, 6)


def configuration(people: Path, **changes: object) -> TrainingConfig:
    """A run of 12 steps on 36 faces of 6 people; keywords replace whole fields."""
    fields: dict[str, object] = {
        "seed": 3,
        "epochs": 3,
        "batch": 8,
        "log_every": 1,
        "checkpoint_every": 4,
        "data": {"kind": "folder", "root": str(people), "aligned": True, "held_out": 2, "workers": 0},
        "model": {"family": "mobilefacenet", "embedding_size": 16, "width": 0.0625},
        "head": {"kind": "cosface", "scale": 16.0, "margin": 0.1},
        "optimiser": {"rate": 0.1, "decay_all": False},
        "schedule": {"kind": "cosine", "warmup": 0.5},
        "evaluate": {"every": 6, "pairs": 20},
    }
    return TrainingConfig.model_validate(fields | changes)


@pytest.fixture
def make(people: Path) -> Make:
    """`configuration` on the people."""
    return partial(configuration, people)
