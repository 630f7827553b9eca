"""Checkpoints of the native families that PyTorch wrote: read without running anything in them, and converted.

`weights_only` alone still allows calls that fill memory (a bytearray of any length), and reads a pickle of any
length opcode by opcode. So the pickle's length and the names it uses are looked at first.
"""

from __future__ import annotations

import io
import pickletools
import warnings
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import safetensors.torch
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

FILE_BYTES = 1 << 30
"""Longest checkpoint read: IR-100 with its optimiser's state has room."""
PICKLE_BYTES = 512 << 10
"""Longest pickle in it; a thousand tensors and their momentum take half of that."""
ELEMENTS = 1 << 28
"""Most elements of all weights together."""

_ZIP, _ZIP_END = b"PK\x03\x04", b"PK\x05\x06\x00\x00\x00\x00"
# pickle.dumps(0x1950A86A20F9469CFC6C, 2), with which torch.save began a file before 1.6
_LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_LEGACY_PICKLES = 5
_STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
_ALLOWED = frozenset(
    {
        "collections OrderedDict",
        "torch Size",
        "torch._utils _rebuild_parameter",
        "torch._utils _rebuild_tensor_v2",
        *(f"torch{device} {kind}Storage" for device in ("", ".cuda") for kind in _STORAGES),
    }
)
_NESTED = ("state_dict", "model_state_dict", "model", "backbone", "net")
_PARALLEL = "module."
# BatchNorm's counter of training steps: inference never reads it, and files older than PyTorch 0.4.1 lack it
_COUNTER = "num_batches_tracked"


def convert_checkpoint(path: Path, *, family: str) -> tuple[bytes, bytes]:
    """A checkpoint of a native family as an ONNX graph and as safetensors.

    Args:
        path: what `torch.save` wrote: a state dict, or a dict that holds one (`state_dict`, `model`, ...).
        family: one of `facemin.train.families.FAMILIES`.

    Returns:
        The bytes of the graph, (batch, 3, 112, 112) RGB in [0, 1] to the embedding, and of the weights.

    Raises:
        ValueError: an unknown family, a file that is refused, or weights that do not fit the family; the message
            lists the names that are missing and those that are too many.
        FileNotFoundError: when the file does not exist.
    """
    from facemin.train.families import FAMILIES
    from facemin.train.families.export import to_graph

    if family not in FAMILIES:
        raise ValueError(f"family: expected one of {', '.join(FAMILIES)}, got {family!r:.80}")
    state = read_checkpoint(path)
    module = FAMILIES[family]()
    fit(module, state, name=f"{path}, family {family}")
    return to_graph(module).SerializeToString(), safetensors.torch.save(state)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The state dict in a PyTorch checkpoint; nothing in the file is run, and no more than its weights is held.

    Raises:
        ValueError: not a checkpoint, cut off, too large, one whose pickle uses anything but tensors, or without a
            state dict of dense finite tensors.
        FileNotFoundError: when the file does not exist.
    """
    size = path.stat().st_size
    if not 0 < size <= FILE_BYTES:
        raise ValueError(f"{path}: expected a checkpoint of 1 to {FILE_BYTES} bytes, got {size}")
    with path.open("rb") as file:
        try:
            zipped = _check(file, size)
            file.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = torch.load(path if zipped else file, map_location="cpu", weights_only=True, mmap=zipped or None)
            return _tensors(found)
        # torch answers a hostile file with almost any exception; for the caller it is all one bad input
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(f"{path}: expected a PyTorch checkpoint of tensors only, got: {reason:.300}") from error


def fit(module: torch.nn.Module, state: Mapping[str, Tensor], *, name: str) -> None:
    """Load a state dict into a module that has exactly those tensors.

    Raises:
        ValueError: names or shapes differ; `name` and up to five of each are in the message.
    """
    own = module.state_dict()
    missing = [key for key in own if key not in state and not key.endswith(_COUNTER)]
    extra = [key for key in state if key not in own]
    wrong = [
        f"{key} {tuple(state[key].shape)} for {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    parts = [
        f"{kind} {_few(keys)}" for kind, keys in (("missing", missing), ("unexpected", extra), ("shape", wrong)) if keys
    ]
    if parts:
        raise ValueError(f"{name}: expected a state dict with exactly the family's tensors, got: {'; '.join(parts)}")
    counters = {key: value for key, value in own.items() if key.endswith(_COUNTER)}
    module.load_state_dict(counters | dict(state), strict=True)


def _few(keys: list[str]) -> str:
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return f"({len(keys)}) {', '.join(key[:80] for key in keys[:5])}{more}"


def _check(file: BinaryIO, size: int) -> bool:
    """Whether the file is a zip archive, as torch writes since 1.6; ValueError where it is none of torch's kinds."""
    head = file.read(PICKLE_BYTES)
    if head.startswith(_LEGACY):
        _check_pickles(io.BytesIO(head), _LEGACY_PICKLES)
        return False
    if not head.startswith(_ZIP):
        raise ValueError(f"bytes that begin {head[:8]!r}")
    # an archive that ends in a comment, or begins with something else, may read differently to two readers
    file.seek(max(0, size - 22))
    tail = file.read()
    if not tail.startswith(_ZIP_END) or not tail.endswith(b"\0\0"):
        raise ValueError("an archive that is cut off")
    try:
        with ZipFile(file) as archive:
            entries = archive.infolist()
            packed = [entry.filename for entry in entries if entry.compress_type != ZIP_STORED]
            if packed or sum(entry.file_size for entry in entries) > size:
                raise ValueError("an archive with compressed or overlapping entries, which torch does not write")
            pickles = [entry for entry in entries if entry.filename.endswith("data.pkl")]
            if len(pickles) != 1 or pickles[0].file_size > PICKLE_BYTES:
                raise ValueError(f"an archive without one data.pkl of at most {PICKLE_BYTES} bytes")
            _check_pickles(io.BytesIO(archive.read(pickles[0])), 1)
    except BadZipFile as error:
        raise ValueError(f"a damaged archive ({error})") from None
    return True


def _check_pickles(stream: io.BytesIO, count: int) -> None:
    for _ in range(count):
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "GLOBAL" and argument not in _ALLOWED:
                raise ValueError(f"a pickle that uses {str(argument).replace(' ', '.')!r:.100}")
            if opcode.name in {"STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"}:
                raise ValueError(f"a pickle with the opcode {opcode.name}")


def _tensors(found: object) -> dict[str, Tensor]:
    if isinstance(found, dict):
        found = next((found[key] for key in _NESTED if isinstance(found.get(key), dict)), found)
    if not isinstance(found, dict) or not found:
        raise ValueError(f"no state dict but a {type(found).__name__}")
    state = dict(_named(found))
    if all(key.startswith(_PARALLEL) for key in state):
        state = {key.removeprefix(_PARALLEL): value for key, value in state.items()}
    elements = sum(value.numel() for value in state.values())
    if elements > ELEMENTS:
        raise ValueError(f"{elements} elements, more than {ELEMENTS}")
    # copies, because the tensors of the file lie in its mapped memory and may share it
    whole = {key: value.detach().clone(memory_format=torch.contiguous_format) for key, value in state.items()}
    bad = [key for key, value in whole.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if bad:
        raise ValueError(f"weights that are not finite: {_few(bad)}")
    return whole


def _named(found: dict[object, object]) -> Iterator[tuple[str, Tensor]]:
    for key, value in found.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ValueError(f"a state dict with the entry {str(key)[:80]!r} of type {type(value).__name__}")  # noqa: TRY004
        if value.layout is not torch.strided or value.device.type != "cpu" or value.is_quantized:
            raise ValueError(f"the entry {key[:80]!r}, which is no dense tensor")
        yield key, value
