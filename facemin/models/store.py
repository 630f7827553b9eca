"""The model store: a person's own recognisers on this machine, each with what is known of it."""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from facemin.models import MODELS, RecogniserGraph, load_graph
from facemin.models.calibration import Calibration, shipped_calibration
from facemin.models.imported import import_graph, read_recogniser
from facemin.models.onnx.external import self_contained
from facemin.models.onnx.graph import read_graph
from facemin.models.onnx.limits import GraphLimits
from facemin.models.preprocess import BYTE_RANGE, Preprocess
from facemin.models.space import SpaceDeclaration
from facemin.models.space_fit import SpaceMap, append_space
from facemin.runtime.errors import in_words
from facemin.runtime.faults import faults_named
from facemin.runtime.files import read_at_most, write_atomically
from facemin.runtime.home import home

CHECKPOINTS = frozenset({".pt", ".pth"})
GRAPH, ENTRY, WEIGHTS = "model.onnx", "entry.json", "weights.safetensors"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LIMITS = GraphLimits()


class StoredModel(BaseModel):
    """What the store says of one recogniser."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(default=1, ge=1, le=1)
    name: str
    licence: str = Field(min_length=1, max_length=200)
    source: str = Field(max_length=500)
    """Where it comes from, in words; the file's name where nothing was said."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of `model.onnx` in the store."""
    preprocess: Preprocess
    embedding_size: int = Field(ge=1)
    added: AwareDatetime
    family: str | None = None
    """The native family whose checkpoint it was; None for an ONNX file."""
    weights_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Of `weights.safetensors` in the store; None for an ONNX file."""
    calibration: Calibration | None = None
    """Once measured."""
    space: SpaceDeclaration | None = None
    """What its embedding is, where a space was fitted for pseudonyms (`add_space`)."""


@dataclass(frozen=True, kw_only=True)
class ModelStore:
    """One folder per model under `root`, each with the graph and what is known of it.

    Adding, replacing and removing are renames, so another process sees a whole model or none.

    Args:
        root: made when the first model is added; `models` in `home()` by default.
    """

    root: Path = field(default_factory=lambda: home() / "models")

    def names(self) -> list[str]:
        """Names of the stored models, sorted."""
        if not self.root.is_dir():
            return []
        return sorted(entry.name for entry in self.root.iterdir() if _NAME.fullmatch(entry.name) and entry.is_dir())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _NAME.fullmatch(name) is not None and (self.root / name).is_dir()

    def entry(self, name: str) -> StoredModel:
        """What is known of a model.

        Raises:
            ValueError: there is none of that name, or its entry was damaged.
        """
        file = self._folder(name) / ENTRY
        try:
            with faults_named(f"{file}: expected the entry of a stored model; ", value=False):
                entry = StoredModel.model_validate_json(file.read_bytes())
        except FileNotFoundError:
            raise ValueError(f"{file}: expected the entry of the stored model {name}, found none") from None
        if entry.name != name:
            raise ValueError(f"{file}: expected the entry of {name}, got that of {entry.name!r:.80}")
        return entry

    def open(self, name: str) -> RecogniserGraph:
        """Open a model after comparing its bytes with the hash taken when it was added.

        Raises:
            ValueError: there is none of that name, or its file was changed.
        """
        entry = self.entry(name)
        file = self._folder(name) / GRAPH
        data = _read(file)
        digest = hashlib.sha256(data).hexdigest()
        if digest != entry.sha256:
            raise ValueError(f"{file}: expected the file that was added ({entry.sha256}), got {digest}: it was changed")
        recogniser = read_recogniser(data, name=name, preprocess=entry.preprocess, space=entry.space)
        if recogniser.embedding_size != entry.embedding_size:
            raise ValueError(
                f"{name}: expected embeddings of {entry.embedding_size} as its entry says, "
                f"got {recogniser.embedding_size} from its graph"
            )
        return recogniser

    def add(
        self,
        file: Path,
        *,
        name: str,
        licence: str,
        preprocess: Preprocess | None = None,
        source: str = "",
        family: str | None = None,
        force: bool = False,
    ) -> StoredModel:
        """Take a recogniser into the store.

        Args:
            file: an ONNX graph, or a native family's checkpoint (`.pt`, `.pth`).
            name: 1 to 64 of a-z, 0-9, ".", "_", "-", the first a letter or digit; not that of a built-in one.
            licence: under which its weights may be used, say "MIT" or "none stated".
            preprocess: how the graph wants its faces; None for RGB in [0, 255] (a file), as the family's own graph
                has it (a checkpoint).
            source: where it comes from; the file's name when empty.
            family: of a checkpoint, one of `facemin.train.families.FAMILIES`.
            force: replace a stored model of that name.

        Raises:
            ValueError: a wrong name, one that is taken, a file that is refused, or settings that do not fit it.
            OSError: the file cannot be read, or the store not written.
        """
        _check_name(name)
        if name in self and not force:
            raise ValueError(f"name: expected one that is free, got {name!r}, which is stored; --force replaces it")
        weights: bytes | None = None
        if file.suffix.lower() in CHECKPOINTS:
            if family is None or preprocess is not None:
                raise ValueError(f"{file}: expected a family and no preprocessing for a checkpoint")
            from facemin.train.families.pytorch_checkpoint import convert_checkpoint

            data, weights = convert_checkpoint(file, family=family)
            preprocess = Preprocess()
        elif family is not None:
            raise ValueError(f"{file}: expected a .pt or .pth checkpoint for the family {family}, got another file")
        else:
            data, preprocess = self_contained(file, limits=_LIMITS), preprocess or BYTE_RANGE
        imported = import_graph(data, name=name, preprocess=preprocess, label=str(file))
        if find_spec("torch") is not None:
            from facemin.autograd.recogniser import agreeing

            agreeing(imported, label=str(file))
        entry = StoredModel(
            name=name,
            licence=_text("licence", licence),
            source=source or file.name,
            sha256=hashlib.sha256(data).hexdigest(),
            preprocess=preprocess,
            embedding_size=imported.embedding_size,
            added=datetime.now(UTC).replace(microsecond=0),
            family=family,
            weights_sha256=hashlib.sha256(weights).hexdigest() if weights is not None else None,
        )
        files = {GRAPH: data, ENTRY: _json(entry)} | ({WEIGHTS: weights} if weights is not None else {})
        self._place(name, files, force=force)
        return entry

    def add_space(
        self, name: str, fitted: SpaceMap, declaration: SpaceDeclaration, *, new_name: str, force: bool = False
    ) -> StoredModel:
        """Add a stored model once more, under another name, with a space after its embedding.

        Args:
            name: of the stored model; it stays as it is.
            fitted: the map from its embeddings.
            declaration: what its keys will say of the space.
            new_name: of the model with the space, as `add` takes it.
            force: replace a stored model of that name.

        Raises:
            ValueError: a wrong name, one that is taken, or a model that has a space.
            OSError: the store cannot be written.
        """
        _check_name(new_name)
        if new_name == name or (new_name in self and not force):
            raise ValueError(f"name: expected one that is free, got {new_name!r}, which is stored")
        recogniser, old = self.open(name), self.entry(name)
        # the bytes that were just checked, not the graph that preprocessing was put before
        data = append_space(read_graph(_read(self._folder(name) / GRAPH), name=name), fitted).SerializeToString()
        entry = old.model_copy(
            update={
                "name": new_name,
                "source": f"{recogniser.name} ({recogniser.fingerprint[:16]}) in a space: {declaration.fitted}"[:500],
                "sha256": hashlib.sha256(data).hexdigest(),
                "embedding_size": declaration.dimension,
                "added": datetime.now(UTC).replace(microsecond=0),
                "family": None,
                "weights_sha256": None,
                "calibration": None,
                "space": declaration,
            }
        )
        read_recogniser(data, name=new_name, preprocess=entry.preprocess, space=declaration)
        self._place(new_name, {GRAPH: data, ENTRY: _json(entry)}, force=force)
        return entry

    def remove(self, name: str) -> None:
        """Take a model out of the store and delete its files.

        Raises:
            ValueError: there is none of that name.
        """
        leaving = self.root / f".{secrets.token_hex(8)}.tmp"
        self._folder(name).rename(leaving)
        shutil.rmtree(leaving)

    def calibrate(self, name: str, calibration: Calibration) -> StoredModel:
        """Write what was measured of a model into its entry, in place of an earlier measurement.

        Raises:
            ValueError: there is none of that name, or another model was measured.
        """
        fingerprint = self.open(name).fingerprint
        if calibration.fingerprint != fingerprint:
            raise ValueError(
                f"{name}: expected a calibration of this model ({fingerprint[:16]}), "
                f"got one of {calibration.model} ({calibration.fingerprint[:16]})"
            )
        entry = self.entry(name).model_copy(update={"calibration": calibration})
        write_atomically(self._folder(name) / ENTRY, _json(entry))
        return entry

    def _folder(self, name: str) -> Path:
        if name not in self:
            raise ValueError(
                f"model: expected a stored one ({', '.join(self.names()) or 'there are none'}), got {name!r}"
            )
        return self.root / name

    def _place(self, name: str, files: dict[str, bytes], *, force: bool) -> None:
        """Write a model's files in a hidden folder, then give that its name."""
        token = secrets.token_hex(8)
        coming, leaving, final = self.root / f".{token}.tmp", self.root / f".{token}.old", self.root / name
        try:
            for file, data in files.items():
                write_atomically(coming / file, data)
            if force and final.is_dir():
                final.rename(leaving)
            try:
                coming.rename(final)
            except OSError as error:
                if leaving.is_dir():
                    leaving.rename(final)
                    raise
                raise ValueError(f"name: expected one that is free, got {name!r}: {in_words(error)}") from error
        finally:
            shutil.rmtree(coming, ignore_errors=True)
            shutil.rmtree(leaving, ignore_errors=True)


def open_graph(name: str | Path, *, preprocess: Preprocess | None = None) -> RecogniserGraph:
    """Open a recogniser: one that comes with facemin, else a stored one, else an ONNX file.

    Args:
        name: a name, or a path that ends in `.onnx`.
        preprocess: how a file's graph wants its faces; RGB in [0, 255] when None. Not for a name.

    Raises:
        ValueError: neither a known name nor a recogniser's file.
        FileNotFoundError: when the file does not exist.
    """
    store, text = ModelStore(), str(name)
    stored = text in store
    if preprocess is not None and (text in MODELS or stored):
        raise ValueError(
            f"model: expected preprocessing for an .onnx file only, got it for {text!r}, which has its own"
        )
    if stored and text not in MODELS:
        return store.open(text)
    if text in MODELS or Path(name).suffix.lower() == ".onnx":
        return load_graph(name, preprocess=preprocess)
    known = ", ".join([*MODELS, *store.names()])
    raise ValueError(f"model: expected one of {known}, or an .onnx file; got {text!r}")


def calibration_of(recogniser: RecogniserGraph) -> Calibration | None:
    """What was measured of a recogniser: as shipped with facemin, else as stored under its name, or None.

    Raises:
        ValueError: when another model of that name was measured.
    """
    if (shipped := shipped_calibration(recogniser)) is not None:
        return shipped
    store = ModelStore()
    calibration = store.entry(recogniser.name).calibration if recogniser.name in store else None
    # a bare file may have a stored model's name by chance; its thresholds are then not this one's
    return calibration if calibration is not None and calibration.fingerprint == recogniser.fingerprint else None


def _read(file: Path) -> bytes:
    return read_at_most(file, _LIMITS.bytes, expected=f"{file}: expected")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or Path(name).suffix in {".onnx", *CHECKPOINTS}:
        raise ValueError(
            "name: expected 1 to 64 of a-z, 0-9, '.', '_' and '-', the first a letter or digit, "
            f"and no file's suffix at the end; got {name!r:.100}"
        )
    if name in MODELS:
        raise ValueError(f"name: expected another than that of a model that comes with facemin, got {name!r}")


def _text(field_name: str, text: str) -> str:
    if not 1 <= len(text.strip()) <= 200:
        raise ValueError(f"{field_name}: expected 1 to 200 characters, got {text!r:.80}")
    return text.strip()


def _json(entry: StoredModel) -> bytes:
    return (entry.model_dump_json(indent=1) + "\n").encode()
