"""What makes a pseudonym's images, as the flags of `protect` name it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from facemin.keys.key import Key
    from facemin.protection.one_pass.protector_file import ProtectorFile


def open_for_targets(
    method: str, protectors: Sequence[Path], keys: Sequence[Key], *, upload: str, one_image: bool
) -> Any:
    """The settings of what makes a pseudonym's images; None where its feature is sent.

    Args:
        method: of `--method`.
        protectors: files of `--protector`.
        keys: whose targets they are.
        upload: "image" or "features".
        one_image: whether the keys share an image.

    Raises:
        ValueError: a file or a method that would not be used, or that makes no image for one of the keys.
    """
    from facemin.protection.one_pass.protector import OnePassProtector
    from facemin.protection.sources import image_groups, open_aimed

    if upload == "features":
        for name, given in {"--method": method != "auto", "--protector": bool(protectors)}.items():
            if given:
                raise ValueError(f"{name}: expected with --upload image: a pseudonym's feature is sent as it is")
        return None
    painter = OnePassProtector(files=_protectors(protectors, keys)) if protectors else method
    return open_aimed(painter, image_groups(keys, one_image=one_image))


def _protectors(paths: Sequence[Path], keys: Sequence[Key]) -> tuple[ProtectorFile, ...]:
    """Protectors from their files, each the only one for the space of one of the keys."""
    from facemin.protection.one_pass.protector_file import ProtectorFile

    spaces = {key.space.id.hex(): key.manifest.key_id for key in keys if key.space is not None}
    found: dict[str, ProtectorFile] = {}
    for path in paths:
        file = ProtectorFile.load(path)
        space = file.manifest.space
        if space not in spaces:
            expected = " or ".join(key.manifest.key_id for key in keys)
            raise ValueError(
                f"--protector: {path}: expected one for the space of key {expected}, got one for another space, "
                f"{space[:16]}"
            )
        if space in found:
            raise ValueError(f"--protector: {path}: expected one for key {spaces[space]}, got a second one")
        found[space] = file
    return tuple(found.values())
