"""Where dlib cuts its chip out of bases and carriers: the constants of `protection/carrier/services/networks.py`.

    PEERS/bin/python experiments/carrier/chips.py CACHE/carriers-photo-test

Prints the mean and deviation of the chip's centre (x, y), width and angle, in pixels of the frame and degrees, over the
PNG files of a folder; dlib's own detector and five landmarks. Needs no facemin.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import dlib
import face_recognition
import numpy as np
from face_recognition.api import pose_predictor_5_point

CHIP, PADDING = 150, 0.25
PHOTO, CORNER = 1000, (244, 268)
"""Side of a photo in frame pixels and where its frame begins, as `protection/carrier/components.py` has them."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    rows, files = [], sorted(parser.parse_args().folder.glob("*.png"))
    for file in files:
        image = face_recognition.load_image_file(str(file))
        for top, right, bottom, left in face_recognition.face_locations(image)[:1]:
            shape = pose_predictor_5_point(image, dlib.rectangle(left, top, right, bottom))
            chip = dlib.get_face_chip_details(shape, CHIP, PADDING)
            centre, scale = chip.rect.dcenter(), PHOTO / image.shape[1]
            x, y = (scale * (at + 0.5) - 0.5 - by for at, by in zip((centre.x, centre.y), CORNER, strict=True))
            rows.append((x, y, scale * chip.rect.width(), np.degrees(chip.angle)))
    found = np.array(rows)
    print(f"{len(rows)} of {len(files)} found; mean {found.mean(0).round(2)}, deviation {found.std(0).round(2)}")


if __name__ == "__main__":
    main()
