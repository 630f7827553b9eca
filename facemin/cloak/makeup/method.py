"""Makeup after DFPP: per photo an untrained encoder and decoder paints makeup that recognisers mistake.

After Shamshad, Naseer and Nandakumar, Makeup-Guided Facial Privacy Protection via Untrained Neural Network Priors, 2024
(DFPP), of which only the abstract is public: an untrained network optimised per image, a correspondence of regions with
a reference, a decoder with conditional makeup layers, losses of structure, makeup consistency and adversarial ones.
Ours, and not known to be theirs: widths, steps, weights, regions from landmarks instead of latent features, references
drawn procedurally, a change added to the photo instead of the photo painted anew, and dodging instead of a target.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch

from facemin.autograd.pixels import to_tensor, to_unit
from facemin.cloak.makeup.network import MakeupNetwork
from facemin.cloak.makeup.reference import REGIONS, MakeupReference, regions
from facemin.cloak.surrogates import Team
from facemin.cloak.universal import person_faces, plain_embeddings, window
from facemin.metrics import ssim
from facemin.protection.contract import cloak_options
from facemin.runtime.ranges import ranges

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from numpy.typing import NDArray
    from torch import Tensor

    from facemin.models import Recogniser
    from facemin.protection.contract import CloakOptions

_TOGETHER = 8
"""Photos optimised at once, each by a network of its own."""


@dataclass(frozen=True, kw_only=True)
@ranges(
    {
        "[1, inf)": "steps",
        "(0, 1)": "rate",
        "(0, 1]": "amplitude",
        "[0, inf)": "structure consistency adversarial",
        "[0, 56]": "taper",
    }
)
class Makeup:
    """Paint makeup on each photo by optimising a fresh network.

    Args:
        steps: of Adam, per photo.
        rate: its learning rate.
        amplitude: largest change of a value, in units of [0, 1].
        structure: weight of 1 - SSIM with the plain face, and of the change where no makeup goes.
        consistency: weight of the distance from the face with the reference's colours laid on by region.
        adversarial: weight of the cosine with the person's plain features.
        taper: pixels over which the change fades at the crop's border.
    """

    product: ClassVar[Literal["photo"]] = "photo"

    steps: int = 60
    rate: float = 0.01
    amplitude: float = 0.12
    structure: float = 2.0
    consistency: float = 20.0
    adversarial: float = 4.0
    taper: int = 6

    def fit(
        self,
        faces: NDArray[np.uint8],
        surrogates: Sequence[Recogniser],
        **run: Unpack[CloakOptions],
    ) -> MakeupArtist:
        """Draw the person's style and note what to move away from; photos are painted when they come.

        Args:
            faces: aligned, of one person, uint8 RGB (N, 112, 112, 3).
            surrogates: recognisers to be led astray.
            **run: see `contract.CloakOptions`; `seed` is of style and networks, `on_step` is told once.

        Raises:
            ValueError: no face or surrogate, or another shape or type.
        """
        seed, compute, on_step = cloak_options(**run)
        if on_step is not None:
            on_step(0, 1)
        team = Team.on(surrogates, compute)
        features = [rows.mean(0, keepdim=True) for rows in plain_embeddings(team, person_faces(faces))]
        return MakeupArtist(
            settings=self, team=team, features=tuple(features), reference=MakeupReference.drawn(seed), seed=seed
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class MakeupArtist:
    """A person's style, and the recognisers that its makeup is painted against.

    Attributes:
        settings: how it is painted.
        team: the recognisers.
        features: the person's mean plain embedding by each, (1, D).
        reference: the style.
        seed: of the networks.
    """

    product: ClassVar[Literal["photo"]] = "photo"

    settings: Makeup
    team: Team
    features: tuple[Tensor, ...]
    reference: MakeupReference
    seed: int

    def changes(self, faces: NDArray[np.uint8]) -> NDArray[np.int16]:
        """Makeup for each face, grey levels (N, 112, 112, 3); seconds a face."""
        made = [self._painted(part) for part in torch.split(to_unit(to_tensor(faces)), _TOGETHER)]
        levels = (torch.cat(made) * 255).round().to(torch.int16)
        return np.ascontiguousarray(levels.permute(0, 2, 3, 1).numpy())

    def _painted(self, faces: Tensor) -> Tensor:
        own, device = self.settings, self.team.device
        faces, where = faces.to(device), torch.from_numpy(regions()).to(device)
        made_up = self._made_up(faces, where)
        makeup = torch.cat([where[None].expand(len(faces), -1, -1, -1), made_up - faces], 1)
        networks = self._networks(len(faces), makeup.shape[1]).to(device)
        optimiser = torch.optim.Adam(networks.parameters(), lr=own.rate)
        bare = (1 - where.amax(0))[None, None]
        fade = window(own.taper).to(device)
        change = torch.zeros_like(faces)
        for _ in range(own.steps):
            painted = [net(face[None], way[None]) for net, face, way in zip(networks, faces, makeup, strict=True)]
            change = own.amplitude * torch.cat(painted) * fade
            cloaked = (faces + change).clamp(0, 1)
            structure = (1 - ssim(cloaked, faces, window="gaussian")).sum() + (change * bare).abs().mean(
                (1, 2, 3)
            ).sum()
            consistency = (((cloaked - made_up) * where[:3].amax(0)).square().mean((1, 2, 3))).sum()
            alike = torch.stack(
                [(rows @ mean.T).sum() for rows, mean in zip(self.team(cloaked), self.features, strict=True)]
            )
            loss = own.structure * structure + own.consistency * consistency + own.adversarial * alike.mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        return change.detach().cpu()

    def _made_up(self, faces: Tensor, where: Tensor) -> Tensor:
        """Faces with the reference's colours on them, by region, the faces' own light and shade kept."""
        colours = torch.from_numpy(self.reference.colours).to(faces)
        strengths = torch.from_numpy(self.reference.strengths).to(faces)
        made = faces
        for number in range(len(REGIONS)):
            share = strengths[number] * where[number]
            mean = (faces * where[number]).sum((2, 3), keepdim=True) / where[number].sum()
            coloured = (faces - mean + colours[number][None, :, None, None]).clamp(0, 1)
            made = made * (1 - share) + coloured * share
        return made

    def _networks(self, count: int, channels: int) -> torch.nn.ModuleList:
        before = torch.random.get_rng_state()
        try:
            torch.manual_seed(self.seed % 2**63)
            first = MakeupNetwork(channels)
            # all begin alike: what becomes of a photo shall not depend on its place among others
            return torch.nn.ModuleList(copy.deepcopy(first) for _ in range(count))
        finally:
            torch.random.set_rng_state(before)
