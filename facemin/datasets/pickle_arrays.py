"""The one form of NumPy array that a pickle of images may hold, recognised without NumPy.

NumPy pickles an array as calls of its own functions. Here the names of those functions are mere symbols that
stand for nothing callable: an array is accepted if the calls read exactly as NumPy writes them for a
contiguous uint8 array of shape (n,) or (n, 1), and its contents are then a stretch of the file.
"""

from dataclasses import dataclass
from enum import Enum
from mmap import mmap

REWRITE = (
    "If you trust whoever made the file (loading a pickle runs what it says), write it again: "
    "images, flags = pickle.load(open(FILE, 'rb'), encoding='bytes'); pickle.dump(([bytes(i) for i in images], "
    "[bool(f) for f in flags]), open(NEW, 'wb'), protocol=4)"
)
"""What helps against a pickle of images and flags in another form."""


@dataclass(frozen=True, slots=True)
class Span:
    """A byte string's place in the file: offset and length in bytes."""

    offset: int
    length: int


class Symbol(Enum):
    """What a pickle of uint8 arrays names; UINT8 is the type it describes with DTYPE."""

    RECONSTRUCT = "_reconstruct"
    FROMBUFFER = "_frombuffer"
    NDARRAY = "ndarray"
    DTYPE = "dtype"
    UINT8 = "uint8"


@dataclass(slots=True)
class Uint8Array:
    """An array whose contents a later opcode states, as NumPy writes it up to protocol 4."""

    contents: Span | None = None


# A flag in a pickle is a bool, and so an int.
Value = int | str | Span | Symbol | Uint8Array | list["Value"] | tuple["Value", ...] | None

# NumPy 2 moved its core; files of both generations are about.
_SYMBOLS = {
    ("numpy.core.multiarray", "_reconstruct"): Symbol.RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): Symbol.RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): Symbol.FROMBUFFER,
    ("numpy._core.numeric", "_frombuffer"): Symbol.FROMBUFFER,
    ("numpy", "ndarray"): Symbol.NDARRAY,
    ("numpy", "dtype"): Symbol.DTYPE,
}


_OTHERWISE = {
    "encode": "Python 3 writes bytes so up to protocol 2",
    "scalar": "NumPy writes flags so",
    "bytearray": "Python writes byte arrays so",
}
_REWRITABLE = {
    ("_codecs", "encode"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("__builtin__", "bytearray"),
    ("builtins", "bytearray"),
}


def symbol(module: Value, name: Value) -> Symbol:
    """Return the symbol of a name, looking up nothing; ValueError if it is none of NumPy's six."""
    if isinstance(module, str) and isinstance(name, str):
        if (module, name) in _SYMBOLS:
            return _SYMBOLS[module, name]
        hint = f"; {_OTHERWISE[name]}. {REWRITE}" if (module, name) in _REWRITABLE else ""
        raise ValueError(f"the name '{module}.{name}' is not allowed, only bytes and uint8 arrays are{hint}")
    raise ValueError("expected a name made of two texts")


def call(buffer: bytes | mmap, function: Value, arguments: Value) -> Value:
    """Return what a call written by NumPy stands for; ValueError for every other call."""
    if function is Symbol.DTYPE and _reads(buffer, arguments, ("u1", 0, 1)):
        return Symbol.UINT8
    if function is Symbol.RECONSTRUCT and _reads(buffer, arguments, (Symbol.NDARRAY, (0,), "b")):
        return Uint8Array()
    if function is Symbol.FROMBUFFER and isinstance(arguments, tuple) and len(arguments) == 4:
        contents, dtype, shape, order = arguments
        if dtype is Symbol.UINT8 and _reads(buffer, order, "C"):
            return Uint8Array(_filled(contents, shape))
    raise ValueError(f"a call that is not NumPy's way to write a uint8 array. {REWRITE}")


def build(buffer: bytes | mmap, target: Value, state: Value) -> None:
    """Give a value the state NumPy wrote for it; ValueError for every other value or state."""
    if target is Symbol.UINT8 and _reads(buffer, state, (3, "|", None, None, None, -1, -1, 0)):
        return
    if isinstance(target, Uint8Array) and isinstance(state, tuple) and len(state) == 5:
        version, shape, dtype, fortran, contents = state
        # A column (n, 1) lies in memory the same way in either order.
        if version == 1 and dtype is Symbol.UINT8 and fortran in (0, 1):
            target.contents = _filled(contents, shape)
            return
    raise ValueError(f"a state that is not NumPy's way to write a uint8 array. {REWRITE}")


def _filled(contents: Value, shape: Value) -> Span:
    if isinstance(contents, Span) and shape in ((contents.length,), (contents.length, 1)):
        return contents
    raise ValueError("expected an array of shape (n,) or (n, 1) and its n bytes")


def _reads(buffer: bytes | mmap, value: Value, expected: Value) -> bool:
    """Whether a value equals what is expected; Python 2 wrote texts as byte strings, and flags as 0 and 1."""
    if isinstance(expected, tuple):
        return (
            isinstance(value, tuple)
            and len(value) == len(expected)
            and all(_reads(buffer, *pair) for pair in zip(value, expected, strict=True))
        )
    if isinstance(expected, str) and isinstance(value, Span):
        short = value.length == len(expected)
        return short and buffer[value.offset : value.offset + value.length] == expected.encode()
    return value == expected
