"""Floors: images that tell nothing of a person, to print beside every similarity of a protected face.

What lies above the floors, a protected image still shows. What lies below them hides no more than they do: noise has
a lower SSIM than the mean face, and neither knows the person.
"""

import torch
from torch import Tensor

from facemin.metrics.similarity import checked_images

# The 8-bit value nearest above one half, so that the floor survives encoding.
MID_GREY = 128 / 255


def mean_face(faces: Tensor) -> Tensor:
    """Mean of all faces: the floor of whoever has learnt what faces look like, and nothing of this one.

    Take it over other people than those it is compared with: each face is in its own mean, and the mean of one face
    is that face.

    Args:
        faces: (B, 3, H, W) in [0, 1], aligned.

    Returns:
        (1, 3, H, W), which the similarities compare with every image; not on the 8-bit grid.

    Raises:
        ValueError: faces are not (B, 3, H, W) floats in [0, 1].
    """
    return checked_images("faces", faces).mean(0, keepdim=True)


def other_person(faces: Tensor, labels: Tensor) -> Tensor:
    """Another person's face for each face: the floor of what any two people have in common.

    Args:
        faces: (B, 3, H, W) in [0, 1], aligned.
        labels: identity of each face, (B,), integers.

    Returns:
        (B, 3, H, W), the faces in the order of other_person_rows.

    Raises:
        ValueError: faces are not (B, 3, H, W) floats in [0, 1]; else as other_person_rows.
    """
    checked_images("faces", faces)
    if labels.shape != faces.shape[:1]:
        raise ValueError(f"labels: expected ({len(faces)},), got {tuple(labels.shape)}")
    return faces[other_person_rows(labels).to(faces.device)]


def other_person_rows(labels: Tensor) -> Tensor:
    """For each row the row of somebody else; every row is used once, and the same labels always give the same.

    Sorted by person the rows are rolled by the length of the longest run, which leaves nobody within their own.

    Args:
        labels: identity of each row, (N,), integers; nobody may own more than half of the rows.

    Returns:
        (N,) int64, a permutation, on the labels' device.

    Raises:
        ValueError: labels are not (N,) integers, N >= 1; one person owns more than half of the rows.
    """
    if labels.ndim != 1 or labels.numel() == 0 or labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"labels: expected integers (N,), N >= 1, got {labels.dtype} {tuple(labels.shape)}")
    longest = int(torch.unique(labels, return_counts=True)[1].max())
    if 2 * longest > len(labels):
        raise ValueError(f"labels: expected nobody on more than half of {len(labels)} rows, got one on {longest}")
    order = labels.argsort(stable=True)
    rows = torch.empty_like(order)
    rows[order] = order.roll(longest)
    return rows


def grey(faces: Tensor, *, level: float = MID_GREY) -> Tensor:
    """One even grey for all faces: the floor of an image with nothing on it.

    Args:
        faces: (B, 3, H, W) in [0, 1]; only shape, type and device matter.
        level: its value in [0, 1]; the default is on the 8-bit grid.

    Returns:
        (1, 3, H, W), which the similarities compare with every image.

    Raises:
        ValueError: faces are not (B, 3, H, W) floats in [0, 1]; level is outside [0, 1].
    """
    checked_images("faces", faces)
    if not 0 <= level <= 1:
        raise ValueError(f"level: expected a value in [0, 1], got {level}")
    return faces.new_full((1, *faces.shape[1:]), level)
