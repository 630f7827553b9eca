"""Verification of a recogniser on a set of pairs: its images embedded once, then measured."""

from __future__ import annotations

import copy
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from facemin.evaluation.pairs import FOLDS
from facemin.evaluation.result import FARS, Evaluation, OperatingPoint
from facemin.metrics import (
    Interval,
    TarAtFar,
    cross_identity_threshold,
    eer,
    identity_bootstrap_mean,
    pair_scores,
    tar_at_far,
    ten_fold_accuracy,
    wilson,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from facemin.evaluation.pairs import VerificationSet
    from facemin.evaluation.photo_reader import LoadedFace
    from facemin.models import Recogniser

CROSS_IMAGES = 20_000
"""Most images all of whose impostor pairs are compared: 200 million pairs, some seconds a FAR."""


class Embeddings(NamedTuple):
    """Unit embeddings (M, D) of a set's images, and how many of those had no face that was found."""

    rows: Tensor
    no_face: int


def evaluate(
    pairs: VerificationSet,
    recogniser: Recogniser,
    *,
    flip: bool = False,
    batch: int = 64,
    workers: int = 2,
    device: torch.device | str = "cpu",
    on_images: Callable[[int], None] | None = None,
) -> Evaluation:
    """Measure a recogniser on a verification set.

    Args:
        pairs: the set; each of its images is loaded and embedded once.
        recogniser: left as it is.
        flip: add the mirrored image's embedding to each, as InsightFace does.
        batch: images embedded at once.
        workers: threads that decode and align beside the network.
        device: where the network runs.
        on_images: called with the number of images done, after each batch.

    Raises:
        ValueError: a setting out of range, or an image that cannot be read.
        OSError: a file that is not there.
    """
    model = on_device(recogniser, device)
    rows, no_face, done = [], 0, 0
    for faces, missed in face_batches(pairs, batch=batch, workers=workers):
        rows.append(embed(model, faces, flip=flip))
        no_face, done = no_face + missed, done + len(faces)
        if on_images is not None:
            on_images(done)
    return measure(pairs, Embeddings(torch.cat(rows), no_face), recogniser, flip=flip)


def on_device(recogniser: Recogniser, device: torch.device | str) -> Recogniser:
    """The recogniser itself on the CPU, else a copy of it there: use never changes a recogniser."""
    return recogniser if torch.device(device).type == "cpu" else copy.deepcopy(recogniser).to(device)


def face_batches(pairs: VerificationSet, *, batch: int = 64, workers: int = 2) -> Iterator[tuple[Tensor, int]]:
    """Load a set's images in order, some batches ahead of the caller.

    Yields:
        Faces (B, 3, 112, 112) in [0, 1], and in how many of their photos no face was found.

    Raises:
        ValueError: a setting out of range, or an image that cannot be read.
    """
    if batch < 1 or workers < 1:
        raise ValueError(f"batch, workers: expected at least 1, got {batch}, {workers}")
    pool = ThreadPoolExecutor(workers, thread_name_prefix="facemin-load")
    upcoming = iter(range(pairs.images))
    waiting: deque[Future[LoadedFace]] = deque()
    try:
        while True:
            while len(waiting) < 2 * batch and (at := next(upcoming, None)) is not None:
                waiting.append(pool.submit(pairs.read, at))
            if not waiting:
                return
            loaded = [waiting.popleft().result() for _ in range(min(batch, len(waiting)))]
            yield torch.stack([face.face for face in loaded]), sum(not face.found for face in loaded)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def embed(recogniser: Recogniser, faces: Tensor, *, flip: bool = False) -> Tensor:
    """Unit embeddings (B, D) float32 on the CPU of faces (B, 3, 112, 112) in [0, 1].

    Source of the flip: deepinsight/insightface, recognition/arcface_torch/eval/verification.py: embeddings of the
    image and its mirror image are added before they are brought to unit length.
    """
    device = next(iter(recogniser.buffers()), faces).device
    with torch.inference_mode():
        faces = faces.to(device)
        raw: Tensor = recogniser.module(faces).flatten(1)
        if flip:
            raw = raw + recogniser.module(faces.flip(3)).flatten(1)
        return F.normalize(raw).float().cpu()


def measure(pairs: VerificationSet, embedded: Embeddings, recogniser: Recogniser, *, flip: bool = False) -> Evaluation:
    """All figures from the embeddings of a set's images.

    Args:
        pairs: the set.
        embedded: of its images, in their order.
        recogniser: named in the result.
        flip: whether the embeddings are sums with the mirrored images'.
    """
    rows, same, people = embedded.rows, pairs.same, pairs.people
    first, second = pairs.pairs.unbind(1)
    scores = pair_scores(rows[first], rows[second])
    genuine, impostor = scores[same], scores[~same]
    accuracy = ten_fold_accuracy(scores, same, folds=FOLDS)
    sizes = torch.tensor([len(part) for part in torch.tensor_split(same, FOLDS)])
    correct = ((2 - 2 * scores) < accuracy.thresholds.repeat_interleave(sizes)) == same
    pair_people = None if people is None else people[pairs.pairs]
    owners = None if people is None else people[first[same]]
    listed = {name: tar_at_far(genuine, impostor, far=far) for name, far in FARS.items()}
    cross = {} if people is None else {name: _cross(rows, people, genuine, far) for name, far in FARS.items()}
    return Evaluation(
        model=recogniser.name,
        fingerprint=recogniser.fingerprint,
        data=pairs.source,
        flip=flip,
        scores=scores,
        same=same,
        accuracy=accuracy,
        accuracy_wilson=wilson(int(correct.sum()), len(same)),
        accuracy_people=None if pair_people is None else _bootstrap(correct, pair_people),
        eer=eer(genuine, impostor),
        listed={name: _point(at, genuine, owners) for name, at in listed.items()},
        cross_identity={name: _point(at, genuine, owners) for name, at in cross.items()} or None,
        n={
            "pairs": len(same),
            "genuine": len(genuine),
            "impostor": len(impostor),
            "images": pairs.images,
            "people": None if people is None else torch.unique(people).numel(),
            "no_face": embedded.no_face,
        },
    )


def _cross(rows: Tensor, people: Tensor, genuine: Tensor, far: float) -> TarAtFar:
    """An operating point whose threshold comes from all pairs of different people."""
    step = -(-len(rows) // CROSS_IMAGES)
    at = cross_identity_threshold(rows[::step], people[::step], far=far)
    tar = int((genuine >= at.threshold).sum()) / len(genuine)
    return TarAtFar(tar, at.threshold, at.far_measured, len(genuine), at.n_impostor, at.meaningful)


def _point(at: TarAtFar, genuine: Tensor, owners: Tensor | None) -> OperatingPoint:
    accepted = genuine >= at.threshold
    people = None if owners is None else _bootstrap(accepted, owners)
    return OperatingPoint(at, wilson(int(accepted.sum()), len(accepted)), people)


def _bootstrap(flags: Tensor, people: Tensor) -> Interval:
    return identity_bootstrap_mean(flags, people, generator=torch.Generator().manual_seed(0))
