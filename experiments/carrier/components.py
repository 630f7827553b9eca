"""Mean and principal components of LFW faces with hair, neck and background: what carriers' bases are drawn from.

    python experiments/carrier/components.py --shared ../shared

One photo of each of the 2,547 people of `fit` (experiments/pseudonym/people.json), aligned by its landmarks to a frame
of 128 px: brightness at 128 x 128, both colours at 64 x 64 (BT.601). Writes facemin/protection/carrier/components.npz:
sums over all of these photos and nothing of one; eight bits a value, so that what a single photo could leave in a late
component is below the rounding of most of its pixels. `audit.py` looks whether bases resemble one of the people.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np

from facemin.datasets import landmarks
from facemin.experiments.common import REPOSITORY, script_parser
from facemin.face.align import inverse, similarity
from facemin.face.sample import lattice, sample
from facemin.image import decode
from facemin.protection.carrier.components import CHROMA, COMPONENTS, FILE, FRAME, LUMA, from_template, to_planes
from facemin.runtime.files import write_atomically

sys.path.insert(0, str(REPOSITORY / "experiments" / "pseudonym"))

from people import photos


def frames(shared: Path, paths: list[str]) -> np.ndarray:
    """Photos aligned to the frame, uint8 RGB (N, 256, 256, 3): twice as fine as the components, for averaging."""
    points = landmarks(shared / "data" / "lfw_landmarks.npz")
    side = 2 * LUMA
    grid = lattice(side, side)
    placed = from_template(side)
    found = np.empty((len(paths), side, side, 3), np.uint8)
    for row, path in enumerate(paths):
        photo = decode(shared / "data" / "lfw" / path).pixels
        to_frame = _after(placed, similarity(points[path][None])[0])
        found[row] = np.rint(sample(photo, inverse(to_frame[None])[0], grid, border="replicate")).clip(0, 255)
    return found


def _after(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """One affine matrix (2, 3) for two, the first applied first."""
    return np.concatenate([second[:, :2] @ first[:, :2], (second[:, :2] @ first[:, 2] + second[:, 2])[:, None]], 1)


def main() -> None:
    """Sum, decompose, write."""
    given = script_parser(__doc__).parse_args()
    every = sorted(landmarks(given.shared / "data" / "lfw_landmarks.npz"))
    paths = [found[0] for found in photos("fit", every).values()]
    rows = np.stack([to_planes(frame) for frame in frames(given.shared, paths)])
    mean = rows.mean(0)
    rows -= mean
    values, vectors = np.linalg.eigh((rows @ rows.T).astype(np.float64))
    order = np.argsort(-values)[:COMPONENTS]
    # each component times its deviation over people
    parts = (vectors[:, order].T.astype(np.float32) @ rows) / np.sqrt(len(rows))
    sign = np.sign(parts[:, : LUMA * LUMA].sum(1))
    parts *= np.where(sign == 0, 1, sign)[:, None]
    scales = np.abs(parts).max(1) / 127
    kept = np.rint(parts / scales[:, None]).astype(np.int8)
    file = io.BytesIO()
    np.savez_compressed(
        file, mean=np.rint(mean * 16).astype(np.int16), components=kept, scales=scales.astype(np.float32)
    )
    write_atomically(FILE, file.getvalue())
    share = values[order].sum() / values.sum()
    print(
        f"{len(paths)} people, {COMPONENTS} components of {FRAME} px frames ({LUMA}, {CHROMA}): {share:.3f} of the "
        f"variance, {FILE.stat().st_size:,} bytes"
    )


if __name__ == "__main__":
    main()
