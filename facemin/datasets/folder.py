"""Photos in one folder per person."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from facemin.image import SUFFIXES


class PhotoFile(NamedTuple):
    """A photo's path relative to its data set's root, with forward slashes, and whose it is."""

    path: str
    identity: str


@dataclass(frozen=True)
class Folder:
    """The photos under root/person/, sorted by person, then by file name; the folder's name is the identity.

    Only names ending like a photo's (SUFFIXES) count; hidden files and folders, files beside the persons'
    folders and folders below them are passed over. Nothing is decoded.

    Args:
        root: folder of the persons' folders.

    Raises:
        ValueError: root is no folder; on iteration, it holds no photo.
    """

    root: Path

    licence: ClassVar[str] = (
        "Whatever the photos' owner granted. Faces are biometric data: have the consent of the people shown."
    )

    def __post_init__(self) -> None:
        if not self.root.is_dir():
            raise ValueError(f"{self.root}: expected a folder that holds one folder per person, found none")

    def __iter__(self) -> Iterator[PhotoFile]:
        """Yield photo after photo."""
        found = False
        for person in sorted(entry for entry in self.root.iterdir() if _shown(entry) and entry.is_dir()):
            for photo in sorted(entry for entry in person.iterdir() if _shown(entry) and entry.is_file()):
                if photo.suffix.lower() in SUFFIXES:
                    found = True
                    yield PhotoFile(f"{person.name}/{photo.name}", person.name)
        if not found:
            raise ValueError(f"{self.root}: expected photos in one folder per person, found none")


def _shown(entry: Path) -> bool:
    return not entry.name.startswith(".")
