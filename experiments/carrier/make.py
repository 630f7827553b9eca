"""Carriers of LFW's people for the other experiments, kept in a cache folder; goes on where it ended.

    python experiments/carrier/make.py --shared ../shared --cache CACHE --group test --people 300 --minutes 14

`test`: two photos each of people of `report`, both under the person's one secret. `pairs`: one photo each of people of
`choose` and `fit`, for attackers. Embeddings are of the aligned face and its mirror image, as a device makes them.
Several processes may each make people from `--first` to `--people`.
"""

from __future__ import annotations

import time

import torch
from carriers import GROUPS, arguments, file_of, load, pseudonym_of, rows_of

from facemin.keys.default import default_key
from facemin.protection.carrier import FaceCarrier, PseudonymTarget
from facemin.runtime.files import append_json, write_atomically

BATCH = 16


def main() -> None:
    """Make what is not there."""
    given = arguments(__doc__, group="test", minutes=14.0, look="photo", threads=1)
    if given.group not in GROUPS:
        raise SystemExit(f"--group: expected one of {', '.join(GROUPS)}, got {given.group!r}")
    torch.set_num_threads(given.threads)
    lfw, key = load(given.shared, given.cache), default_key()
    folder = given.cache / f"carriers-{given.look}-{given.group}"
    folder.mkdir(parents=True, exist_ok=True)
    method = FaceCarrier(look=given.look)
    rows = rows_of(lfw, given.group, given.people)
    wanted = [(number, photo) for number in range(given.first, len(rows)) for photo in range(rows.shape[1])]
    todo = [place for place in wanted if not file_of(folder, *place).is_file()]
    end = time.monotonic() + 60 * given.minutes
    for start in range(0, len(todo), BATCH):
        if time.monotonic() > end:
            break
        part = todo[start : start + BATCH]
        targets = [
            [PseudonymTarget(pseudonym=pseudonym_of(given.group, number), embedding=lfw.both[rows[number, photo]])]
            for number, photo in part
        ]
        for (number, photo), done in zip(part, method.aim(targets, [key], seed=0), strict=True):
            assert done.file is not None
            row = {"person": number, "photo": photo, "residual": done.residuals[0], **done.file.told}
            append_json(folder / "made.jsonl", row)
            write_atomically(file_of(folder, number, photo), done.file.data)
        print(f"{start + len(part)} of {len(todo)}", flush=True)


if __name__ == "__main__":
    main()
