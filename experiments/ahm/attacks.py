"""The attacks of AHM's experiment, each judged by a recogniser that had no part in it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from facemin.ahm import load_trained, read_ahm_config
from facemin.ahm.attacks.conditional_gan import ConditionalGAN
from facemin.ahm.attacks.integrate import Integration
from facemin.ahm.attacks.model_inversion import ModelInversion
from facemin.ahm.attacks.unmix import SameFace, Unmixing
from facemin.ahm.draws import draw, generator_of
from facemin.ahm.masking.frequency import CHANNELS, FACE, from_frequencies
from facemin.ahm.masking.mask import choose_channels, make_mask, measure_statistics
from facemin.ahm.mixing import COUNTS, mix
from facemin.attack.datasets import HeldPairs
from facemin.attack.reconstruct.train_inverter import InverterTraining, train_inverter
from facemin.attack.training import Fitting
from facemin.autograd.pixels import to_array, to_grid, to_tensor, to_unit
from facemin.datasets import Folder, landmarks
from facemin.image import decode, encode
from facemin.metrics import cross_identity_threshold, psnr, ssim, wilson
from facemin.models import load_recogniser
from facemin.runtime.compute import Compute
from facemin.train.data.aligned import align_photos
from facemin.train.data.sources import open_source
from facemin.train.data.split import split_people

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from facemin.ahm.config import AHMConfig
    from facemin.ahm.masking.mask import Mask
    from facemin.attack.reconstruct.inverter import Inverter
    from facemin.models import Recogniser

JUDGE = "mobilefacenet-ms1m-arcface"
FAR = 1e-3
PUBLIC = 500
PEOPLE = 24
"""Targets of each attack: this many people of the training set, one face or class each."""
ON_CPU = Compute(device="cpu")
MIXES = 30
"""Mixes of one face that the InstaHide attack has."""


class Setup(NamedTuple):
    """What attackers and the judge hold; public people are in no training set."""

    public: Tensor
    """(N, 3, 112, 112) uint8."""
    pool: Tensor
    """The training set, (M, 3, 112, 112) uint8."""
    labels: Tensor
    """(M,)"""
    targets: Tensor
    """Of each attacked person one face's place in the pool, (PEOPLE,)."""
    gallery: Tensor
    """The judge's embeddings of each trained person's other faces, their mean, (C, D) unit rows."""
    others: Tensor
    """The judge's embedding of another face of each target, (PEOPLE, D)."""
    originals: Tensor
    """The judge's embeddings of the targets' own faces, (PEOPLE, D)."""
    threshold: float
    judge: Recogniser

    @property
    def mean(self) -> Tensor:
        """The mean public face, (1, 3, 112, 112)."""
        return to_unit(self.public).mean(0, keepdim=True)


def prepare(config: AHMConfig, runs: Path, shared: Path) -> Setup:
    """Read faces, and let the judge see the plain ones."""
    source = open_source(config.data, cache=runs / "faces")
    split = split_people(source, config.data)
    keep = split.labels < len(split.people) - config.query.public
    pool = torch.stack([source.read(int(image)) for image in split.images[keep]])
    labels = split.labels[keep]
    photos: dict[str, list[str]] = {}
    for photo in Folder(shared / "data" / "lfw"):
        photos.setdefault(photo.identity, []).append(photo.path)
    few = [paths for paths in photos.values() if 3 <= len(paths) <= 8]
    order = np.random.default_rng(0).permutation(len(few))
    chosen = [(place, path) for place in order for path in few[place][:4]][:PUBLIC]
    points = landmarks(shared / "data" / "lfw_landmarks.npz")
    names = align_photos(shared / "data" / "lfw", [path for _, path in chosen], into=runs / "public", points=points)
    public = torch.stack([to_tensor(decode(runs / "public" / name).pixels) for name in names])
    judge = load_recogniser(shared / "models" / f"{JUDGE}.onnx")
    owners = torch.tensor([int(place) for place, _ in chosen])
    cache = runs / "judge.pt"
    counts = torch.bincount(labels)
    firsts = [int((labels == person).nonzero()[0, 0]) for person in range(len(counts))]
    apart = [(labels == person).nonzero()[1:5, 0] for person in range(len(counts))]
    if not cache.is_file():
        found = {
            "public": embed(judge, to_unit(public)),
            "firsts": embed(judge, to_unit(pool[firsts])),
            "apart": embed(judge, to_unit(pool[torch.cat(apart)])),
        }
        torch.save(found, cache)
    seen = torch.load(cache, weights_only=True)
    threshold = cross_identity_threshold(seen["public"], owners, far=FAR).threshold
    rows = seen["apart"].view(len(counts), 4, -1)
    targets = np.random.default_rng(1).permutation(len(counts))[:PEOPLE]
    return Setup(
        public=public,
        pool=pool,
        labels=labels,
        targets=torch.tensor(firsts)[targets],
        gallery=F.normalize(rows.mean(1)),
        others=rows[targets, 0],
        originals=seen["firsts"][targets],
        threshold=threshold,
        judge=judge,
    )


@torch.no_grad()
def embed(recognise: Callable[[Tensor], Tensor], faces: Tensor) -> Tensor:
    """Embeddings of faces, in batches."""
    return torch.cat([recognise(part) for part in faces.split(32)])


def judged(setup: Setup, images: Tensor, *, own: bool) -> dict[str, Any]:
    """What the judge makes of 8-bit reconstructions, one of each target in order.

    Args:
        setup: who judges.
        images: (PEOPLE, 3, 112, 112) in [0, 1].
        own: whether they are to be the targets' own faces, so that pixels may be compared.
    """
    images = to_unit(to_grid(images))
    rows = embed(setup.judge, images)
    people = setup.labels[setup.targets]
    accepted = int(((rows * setup.others).sum(1) >= setup.threshold).sum())
    found = {
        "n": len(images),
        "tar": accepted / len(images),
        "tar_interval": list(wilson(accepted, len(images))),
        "rank_one": float(((rows @ setup.gallery.T).argmax(1) == people).double().mean()),
        "cosine": float((rows * setup.others).sum(1).mean()),
    }
    if own:
        faces = to_unit(setup.pool[setup.targets])
        found["tar_own"] = float(((rows * setup.originals).sum(1) >= setup.threshold).double().mean())
        found["ssim"], found["psnr"] = float(ssim(images, faces).mean()), float(psnr(images, faces).mean())
    return found


@dataclass(frozen=True)
class MaskedPairs:
    """Pairs of a masked mixture and the public face that it is of, made as they are asked for."""

    mask: Mask
    faces: Tensor
    mixtures: Tensor

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.mask(self.mixtures[index][None])[0], self.faces[index]


def mixtures_of(config: AHMConfig, shares: Sequence[float], pool: Tensor, places: Tensor) -> Tensor:
    """Faces mixed as this run mixed them, (B, 3, 112, 112); the strategy's counts as often as it chose them."""
    mixing = config.mixing
    logits = None
    if mixing.kind == "policy":
        logits = torch.tensor(shares).clamp_min(1e-9).log().expand(len(places), -1)
    drawn = draw(mixing, places, torch.arange(len(pool)), logits, generator_of(7, "attack", int(places.sum())))
    return mix(pool, drawn.mixture)


def shares_of(runs: Path, name: str) -> list[float]:
    """How often each count was chosen in the last third of the training."""
    lines = [json.loads(line) for line in (runs / name / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    counts = [line["k"] for line in lines if "k" in line]
    late = counts[-max(1, len(counts) // 3) :]
    sums = np.array([sum(line[str(count)] for line in late) for count in COUNTS], dtype=float)
    return [] if not counts else (sums / sums.sum()).tolist()


def invert(pairs: MaskedPairs, *, epochs: int) -> Inverter:
    """The U-Net on masked pairs."""
    kept = HeldPairs(torch.stack([pairs[at][0] for at in range(len(pairs))]).to(torch.bfloat16), pairs.faces)
    settings = InverterTraining(width=16, fitting=Fitting(epochs=epochs, batch=16, rate=2e-3))
    return train_inverter(kept, settings=settings)


def shown(mask: Mask, masked: Tensor) -> Tensor:
    """Masked faces as an eye would be shown them: what is missing is 0, and the transform inverted."""
    channels = torch.zeros(len(masked), CHANNELS, FACE, FACE)
    coefficients = mask.unstandardise(masked)
    channels[:, list(mask.channels)] = coefficients.repeat_interleave(mask.every, 2).repeat_interleave(mask.every, 3)
    return from_frequencies(channels).clamp(0, 1)


def attack_configuration(here: Path, runs: Path, name: str, shared: Path) -> dict[str, Any]:
    """All attacks on one trained configuration."""
    config, trained = read_ahm_config(here / f"{name}.toml"), load_trained(runs / name)
    setup = prepare(config, runs, shared)
    recogniser, mask = trained.recogniser, trained.recogniser.mask
    classes = trained.classes[setup.labels[setup.targets]]
    shares = shares_of(runs, name)
    found: dict[str, Any] = {"judge": JUDGE, "far": FAR, "threshold": setup.threshold, "shares": shares}
    pictures: dict[str, Tensor] = {"original": to_unit(setup.pool[setup.targets])}
    clock = time.perf_counter()

    def note(attack: str, images: Tensor, *, own: bool, **more: float) -> None:
        nonlocal clock
        found[attack] = judged(setup, images, own=own) | more | {"seconds": time.perf_counter() - clock}
        pictures[attack] = images
        print(name, attack, {key: value for key, value in found[attack].items() if key != "tar_interval"}, flush=True)
        clock = time.perf_counter()

    mixed = mixtures_of(config, shares, setup.pool, setup.targets)
    note("shown", shown(mask, mask(mixed)), own=True)
    note("floor: mean face", setup.mean.expand(PEOPLE, -1, -1, -1), own=True)

    def recognise(faces: Tensor) -> Tensor:
        masked = mask(faces)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=torch.cpu._is_amx_tile_supported()):  # noqa: SLF001
            return recogniser.of_masked(masked)

    inverted = ModelInversion(steps=80, batch=PEOPLE)(recognise, classes, mean=setup.mean, compute=ON_CPU)
    note("white box", inverted.images, own=False, reached=float(inverted.cosines.mean()))

    rows = embed(recogniser, to_unit(setup.public))
    generator = ConditionalGAN(epochs=4, batch=16, width=12)(rows, setup.public, compute=ON_CPU)
    painting = ModelInversion(steps=40, rate=0.03, batch=PEOPLE)
    inverted = painting(recognise, classes, mean=setup.mean, generator=generator, compute=ON_CPU)
    note("white box, GAN", inverted.images, own=False, reached=float(inverted.cosines.mean()))
    wanted = embed(recogniser, to_unit(setup.pool[setup.targets]))
    note("black box, embedding", embed(generator, wanted), own=True)
    note("black box, class", embed(generator, F.normalize(classes)), own=False)

    owners = torch.arange(len(setup.public))
    inverter = invert(MaskedPairs(mask, setup.public, mixtures_of(config, shares, setup.public, owners)), epochs=4)
    note("U-Net on the mix", embed(inverter, mask(mixed)), own=True)
    if config.mixing.kind != "none":
        plain = invert(MaskedPairs(mask, setup.public, to_unit(setup.public)), epochs=4)
        own_share = float(sum(share / count for share, count in zip(shares, COUNTS, strict=True)))
        unmixed = []
        mean_mask = mask(to_unit(setup.public[:400])).mean(0)
        for target in setup.targets:
            many = mixtures_of(config, shares, setup.pool, target.repeat(MIXES))
            unmixed.append(SameFace()(mask(many), mean=mean_mask, share=own_share))
        note(f"{MIXES} mixes of a face, then U-Net", embed(plain, torch.stack(unmixed)), own=True)
        note("mixes of all, weights known, then U-Net", embed(plain, solved(config, shares, setup, mask)), own=True)
    save_pictures(runs / name / "pictures", pictures)
    return found


def solved(config: AHMConfig, shares: Sequence[float], setup: Setup, mask: Mask) -> Tensor:
    """Masked faces of the targets, solved for among 200 training faces, each of which was mixed in six epochs."""
    rest = [place for place in range(len(setup.pool)) if place not in set(setup.targets.tolist())]
    members = torch.cat([setup.targets, torch.tensor(rest[: 200 - PEOPLE])])
    pool = setup.pool[members]
    places = torch.arange(len(pool)).repeat(6)
    logits = None
    if config.mixing.kind == "policy":
        logits = torch.tensor(shares).clamp_min(1e-9).log().expand(len(places), -1)
    drawn = draw(config.mixing, places, torch.arange(len(pool)), logits, generator_of(8, "attack", 0))
    weights = torch.zeros(len(places), len(pool)).scatter_add_(1, drawn.mixture.places, drawn.mixture.weights)
    faces = Unmixing()(mask(mix(pool, drawn.mixture)), weights)
    return faces[:PEOPLE]


def attack_masks(here: Path, runs: Path, shared: Path) -> dict[str, Any]:
    """What the mask alone hides: integration of the missing DC, by how many blocks are kept."""
    setup = prepare(read_ahm_config(here / "mask-only.toml"), runs, shared)
    faces = to_unit(setup.pool[setup.targets])
    found: dict[str, Any] = {"judge": JUDGE, "far": FAR, "threshold": setup.threshold}
    found["plain face"] = judged(setup, faces, own=True)
    pictures = {"original": faces}
    for every in (1, 2, 4):
        statistics = measure_statistics(to_unit(setup.public[:64]).split(16), every=every)
        mask = make_mask(choose_channels("zigzag", statistics), statistics, secret=1, every=every)
        for what, made in (
            ("shown", [shown(mask, mask(part)) for part in faces.split(8)]),
            ("integrated", [Integration()(mask(part), mask, mean=setup.mean) for part in faces.split(8)]),
        ):
            images = torch.cat(made)
            found[f"{what}, every {every}"] = judged(setup, images, own=True)
            pictures[f"{what}, every {every}"] = images
            print(what, every, found[f"{what}, every {every}"], flush=True)
    save_pictures(runs / "masks", pictures)
    return found


def save_pictures(folder: Path, pictures: dict[str, Tensor]) -> None:
    """Rows of the first eight of each, for eyes here; they show LFW's people, so they stay in runs/."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, images in pictures.items():
        row = torch.cat(list(images[:8].clamp(0, 1)), 2)
        (folder / f"{name.replace(' ', '-').replace(',', '').replace(':', '')}.png").write_bytes(encode(to_array(row)))
