"""Linkers without a single pair: taking the common part away, and training on plain faces made poor."""

import pytest
import torch
from torch.nn import functional as F

from facemin.attack.link.centred import centred_scores
from facemin.attack.link.plain_pairs import POOR
from facemin.metrics import auc

FACES = torch.rand(4, 3, 112, 112, generator=torch.Generator().manual_seed(3))


def test_centring_finds_what_a_common_direction_hides() -> None:
    generator = torch.Generator().manual_seed(0)
    people = torch.randn(60, 16, generator=generator)
    others = torch.randn(200, 16, generator=generator)
    common = torch.zeros(16)
    common[0] = 30
    # on the sphere the common direction leaves people's own parts little room, each its own amount
    size = 1 + 5 * torch.rand(60, 1, generator=generator)
    probes = F.normalize(size * people + common * (1 + torch.rand(60, 1, generator=generator)))
    heap = F.normalize(others + common * 1.5)
    gallery, public = F.normalize(people), F.normalize(others)
    same = torch.eye(60, dtype=torch.bool)

    def area(scores: torch.Tensor) -> float:
        return auc(scores[same].numpy(), scores[~same].numpy()).auc

    assert area(centred_scores(probes, gallery, heap=heap, public=public)) > area(probes @ gallery.T) + 0.1


def test_scores_are_cosines_of_the_centred() -> None:
    rows = [torch.randn(5, 8, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
    got = centred_scores(rows[0], rows[1], heap=rows[2], public=rows[3])
    one, other = rows[0][2] - rows[2].mean(0), rows[1][4] - rows[3].mean(0)
    assert float(got[2, 4]) == pytest.approx(float(F.cosine_similarity(one, other, dim=0)), abs=1e-6)


def test_refuses_what_has_no_mean() -> None:
    rows = torch.randn(5, 8)
    with pytest.raises(ValueError, match="the last two not empty"):
        centred_scores(rows, rows, heap=rows[:0], public=rows)
    with pytest.raises(ValueError, match="probes, gallery"):
        centred_scores(rows, rows[:, :4], heap=rows, public=rows)


@pytest.mark.parametrize("name", POOR)
def test_poor_faces_are_images_of_their_own(name: str) -> None:
    before = FACES.clone()
    made = POOR[name](FACES)
    assert made.shape == FACES.shape
    assert 0 <= float(made.min()) <= float(made.max()) <= 1
    assert float((made - FACES).abs().mean()) > 0.01
    torch.testing.assert_close(torch.cat([POOR[name](face[None]) for face in FACES]), made)
    assert torch.equal(FACES, before)


def test_high_passed_has_no_brightness_left() -> None:
    shaded = FACES * 0.2 + torch.linspace(0.1, 0.6, 112)
    coarse = POOR["high-passed"](shaded).mean((0, 1, 2))
    assert float(coarse[10:-10].std()) < 0.02
