"""One-pass protection as a method: which keys it refuses before anything is made."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facemin.keys.key import Key
from facemin.keys.trust import TrustLog
from facemin.protection import OnePassProtector, protect_photos
from facemin.protection.folder.job import FolderJob
from facemin.protection.one_pass.decoder_graph import DecoderSize, decoder_graph, weight_shapes
from facemin.protection.one_pass.painter import OnePass, Painter
from facemin.protection.one_pass.protector_file import ProtectorFile
from facemin.runtime.seeds import fresh_seed
from tests.space_keys import D, person, protector_for, space_key

SIZE = DecoderSize(widths=(16, 8, 8, 4), blocks=(0, 0, 0, 0), style=16, layers=1)


def filled(key: Key, value: float, *, dimensions: int = D) -> ProtectorFile:
    """A protector whose weights are all the same."""
    assert key.space is not None
    shapes = weight_shapes(SIZE, target=dimensions, noise=4)
    weights = {name: np.full(shape, value, np.float32) for name, shape in shapes.items()}
    graph = decoder_graph(SIZE, weights, target=dimensions, noise=4)
    return ProtectorFile.make(graph, SIZE, space=key.space.id.hex())


@pytest.fixture
def keys() -> tuple[Key, Key]:
    made = space_key(), replace(space_key(seed=1, provider="Zeta"))
    for key in made:
        TrustLog().trust(key.manifest.sha256, name=key.manifest.provider, reason="a test's")
    return made


@pytest.mark.parametrize(
    ("files", "given", "said"),
    [
        ([], [0], "expected a protector for the space"),
        (["wrong"], [0], f"targets of {D} dimensions, as the space of key .* has, got one that takes {D + 1}"),
        (["right"], [0, 1], "expected a protector for the space"),
    ],
)
def test_what_nothing_can_be_painted_for_is_refused_before_a_secret_is_made(
    keys: tuple[Key, Key], files: list[str], given: list[int], said: str, home: Path, tmp_path: Path
) -> None:
    made = {"right": protector_for(keys[0]), "wrong": filled(keys[0], 0, dimensions=D + 1)}
    settings: dict[str, Any] = {
        "keys": [keys[number] for number in given],
        "method": OnePassProtector(files=tuple(made[name] for name in files)),
        "linkable": len(given) > 1,
        "aligned": True,
    }
    with pytest.raises(ValueError, match=said):
        next(protect_photos([person(1)], **settings))
    with pytest.raises(ValueError, match=said):
        _ = FolderJob(out=tmp_path / "out", **settings).settings
    assert not (home / "secrets").exists()


@pytest.mark.filterwarnings("error")
def test_images_of_a_decoder_that_overflows_are_not_met_and_warn_of_nothing(keys: tuple[Key, Key]) -> None:
    def embed(pixels: Any) -> Any:
        return np.eye(D, dtype=np.float32)[np.zeros(len(pixels), int)]

    painter = Painter(filled(keys[0], 65504), embed, OnePass(residual=0.1, tries=2))
    (painted,) = painter(np.eye(D, dtype=np.float32)[1:2], [fresh_seed()])
    assert (painted.reached, painted.tries) == (False, 2)
