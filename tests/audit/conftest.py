"""A small world to audit: people of patterns, tiny recognisers, and protection good and bad."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from facemin.attack.contract import PublicFaces
from facemin.audit import AuditInputs, Judge, Operating, Panel
from facemin.audit.inputs.judges import calibrate_judge
from facemin.keys.default import plain_key
from facemin.models import Recogniser
from facemin.models.onnx.graph import read_graph
from facemin.models.preprocess import BYTE_RANGE, prepend_preprocessing
from tests.models.test_store import tiny_graph

Make = Callable[..., AuditInputs]
PANEL = {"authorised", "others", "estimators", "distance"}


def people_of_patterns(people: int, photos: int, *, seed: int = 0) -> PublicFaces:
    """Each person a pattern of coarse squares, each photo with a little noise of its own."""
    draw = torch.Generator().manual_seed(seed)
    patterns = torch.rand(people, 3, 4, 4, generator=draw).repeat_interleave(28, 2).repeat_interleave(28, 3)
    faces = patterns.repeat_interleave(photos, 0)
    faces = (0.1 + 0.8 * faces + 0.02 * torch.randn(faces.shape, generator=draw)).clamp(0, 1)
    return PublicFaces(faces, torch.arange(people).repeat_interleave(photos))


def noise(count: int) -> torch.Tensor:
    return torch.rand(count, 3, 112, 112, generator=torch.Generator().manual_seed(9))


def tiny(name: str, seed: int) -> Recogniser:
    return Recogniser(prepend_preprocessing(read_graph(tiny_graph(seed=seed), name=name), BYTE_RANGE), name=name)


@pytest.fixture
def evidence() -> Make:
    """AuditInputs of people with two photos each; protected as given, by default with noise that tells nothing.

    Two tiny recognisers judge, or whatever of a `Panel` is given.
    """

    def make(people: int = 80, *, protected: torch.Tensor | None = None, **settings: Any) -> AuditInputs:
        plain = people_of_patterns(people, 2)
        known = [people_of_patterns(60, 1, seed=5)]
        judges = tuple(
            calibrate_judge(tiny(name, seed), plain=known, far=1e-3) for name, seed in (("one", 1), ("two", 2))
        )
        assert all(isinstance(one.at, Operating) for one in judges)
        values: dict[str, Any] = {
            "names": tuple(f"{number}.png" for number in range(2 * people)),
            "originals": plain.faces,
            "protected": noise(2 * people) if protected is None else protected,
            "people": plain.people,
            "panel": Panel(**{"others": judges, **{name: settings.pop(name) for name in PANEL & set(settings)}}),
            **settings,
        }
        return AuditInputs(**values)

    return make


__all__ = ["Judge", "Make", "evidence", "noise", "people_of_patterns", "plain_key", "tiny"]
