"""Byte strings of a pickle, located without unpickling it.

A pickle is a program; unpickling runs it. Python's own disassembler, `pickletools.genops`, reads its opcodes, and this
keeps a stack for the few that lists of byte strings and flags need. It imports nothing, calls nothing and keeps no byte
string: of each it notes where it lies in the file. Everything else is refused, and size, depth and number are bounded,
so a hostile file costs a second and a few tens of megabytes.
"""

from __future__ import annotations

import pickletools
import warnings
from typing import TYPE_CHECKING, Any

from facemin.datasets import pickle_arrays
from facemin.datasets.pickle_arrays import REWRITE, Span, Uint8Array, Value

if TYPE_CHECKING:
    from collections.abc import Callable
    from mmap import mmap

MAX_OPCODES = 400_000
"""The largest known sets hold 14,000 images of 22 opcodes each where they are NumPy arrays."""
MAX_STACK = 65_536
"""Writers append in batches of 1,000."""
MAX_MARKS = 8
MAX_LISTS = 16
MAX_TUPLE = 8
"""NumPy describes a dtype in a tuple of eight; nothing longer is needed."""
MAX_TEXT = 64
MAX_LINE = 128
MAX_BYTES = 1 << 24
"""Of one byte string, which is copied once to be passed over; faces of 112 x 112 have some kilobytes."""
MAX_INTEGER = 1 << 63
MAX_PROTOCOL = 5
PROTOCOL_0 = ("PUT", "GET", "LONG", "STRING", "UNICODE", "DICT")
"""Values written as lines of text."""


def read_pickle(buffer: bytes | mmap) -> Value:
    """Read a pickle of byte strings, flags, integers, lists and tuples; a byte string becomes its Span.

    A list holds byte strings, flags and integers only. In a list a uint8 NumPy array of shape (n,) or (n, 1)
    is the Span of its contents (see pickle_arrays). Protocols 1 to 5 of Python 2 and 3.

    Args:
        buffer: the whole pickle.

    Raises:
        ValueError: anything else is in there, or the pickle is cut off; names the offset.
    """
    source = _Source(buffer)
    machine = _Machine(source)
    start = 0
    try:
        with warnings.catch_warnings():
            # of escapes that Python does not know: what is in the file is not the caller's code
            warnings.simplefilter("ignore")
            for number, (opcode, argument, _) in enumerate(pickletools.genops(source)):  # type: ignore[arg-type]
                if number >= MAX_OPCODES:
                    raise ValueError(f"more than {MAX_OPCODES} opcodes")
                if opcode.name != "STOP":
                    machine.step(opcode.name, argument)
                start = source.at
    except ValueError as error:
        raise ValueError(f"pickle: at byte {start}: {error}") from None
    return machine.result()


class _Source:
    """A file of bounded reads, as the disassembler wants one."""

    def __init__(self, buffer: bytes | mmap) -> None:
        self.buffer = buffer
        self.at = 0

    @property
    def left(self) -> int:
        return len(self.buffer) - self.at

    def tell(self) -> int:
        return self.at

    def read(self, count: int) -> bytes:
        if count > min(MAX_BYTES, self.left) and count > 1:
            raise ValueError(f"{count} bytes declared, {self.left} left, at most {MAX_BYTES} allowed")
        found = self.buffer[self.at : self.at + count]
        self.at += len(found)
        return found

    def readline(self) -> bytes:
        end = self.buffer.find(b"\n", self.at, self.at + MAX_LINE)
        if end < 0:
            raise ValueError(f"a line without an end in {MAX_LINE} bytes")
        return self.read(end + 1 - self.at)


class _Machine:
    def __init__(self, source: _Source) -> None:
        self.source = source
        self.stack: list[Value] = []
        self.marks: list[int] = []
        self.memo: dict[int, Value] = {}
        self.lists = 0

    def step(self, name: str, argument: Any) -> None:
        if name not in _STEPS:
            hint = f"; protocol 0 writes so. {REWRITE}" if name in PROTOCOL_0 else ""
            raise ValueError(f"opcode {name} is not allowed{hint}")
        _STEPS[name](self, argument)

    def result(self) -> Value:
        if len(self.stack) != 1 or self.marks:
            raise ValueError(f"pickle: expected one value at STOP, got {len(self.stack)}")
        if self.source.left:
            raise ValueError(f"pickle: {self.source.left} bytes follow its STOP")
        return self.stack[0]

    def push(self, value: Value) -> None:
        if len(self.stack) >= MAX_STACK:
            raise ValueError(f"more than {MAX_STACK} values wait on the stack")
        self.stack.append(value)

    def top(self) -> Value:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("a value is missing on the stack")
        return self.stack[-1]

    def pop(self) -> Value:
        self.top()
        return self.stack.pop()

    def pop_several(self, count: int) -> list[Value]:
        return [self.pop() for _ in range(count)][::-1]

    def pop_mark(self) -> list[Value]:
        if not self.marks:
            raise ValueError("a mark is missing on the stack")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def mark(self) -> None:
        if len(self.marks) >= MAX_MARKS:
            raise ValueError(f"nested deeper than {MAX_MARKS} marks")
        self.marks.append(len(self.stack))

    def protocol(self, version: int) -> None:
        if version > MAX_PROTOCOL:
            raise ValueError(f"expected a pickle protocol up to {MAX_PROTOCOL}, got {version}")

    def frame(self, length: int) -> None:
        if length > self.source.left:
            raise ValueError(f"{length} bytes declared, {self.source.left} left")

    def new_list(self, values: list[Value]) -> None:
        self.lists += 1
        if self.lists > MAX_LISTS:
            raise ValueError(f"more than {MAX_LISTS} lists")
        self.push([])
        self.extend(values)

    def extend(self, values: list[Value]) -> None:
        items = [_item(value) for value in values]
        target = self.top()
        if isinstance(target, list):
            target.extend(items)
            return
        raise ValueError(f"expected a list to append to, got {type(target).__name__}")

    def new_tuple(self, values: list[Value]) -> None:
        if len(values) > MAX_TUPLE:
            raise ValueError(f"a tuple of more than {MAX_TUPLE}")
        for value in values:
            if isinstance(value, tuple) and any(isinstance(inner, tuple | list) for inner in value):
                raise ValueError("tuples nested too deep")
        self.push(tuple(values))

    def text(self, text: str) -> None:
        if len(text) > MAX_TEXT:
            raise ValueError(f"expected bytes, got a text of {len(text)} characters")
        self.push(text)

    def integer(self, value: int) -> None:
        if not -MAX_INTEGER <= value < MAX_INTEGER:
            raise ValueError(f"expected an integer of at most 8 bytes, got {value.bit_length()} bits")
        self.push(value)

    def span(self, contents: bytes | str) -> None:
        """Of a byte string that ends where the file is read to; Python 2's are given as texts of as many characters."""
        self.push(Span(self.source.at - len(contents), len(contents)))

    def put(self, key: int) -> None:
        self.memo[key] = self.top()

    def get(self, key: int) -> None:
        if key not in self.memo:
            raise ValueError(f"memo entry {key} was never stored")
        self.push(self.memo[key])

    def symbol(self, names: str) -> None:
        # the disassembler parts module and name by a space, which neither has
        self.push(pickle_arrays.symbol(*names.split(" ", 1)))

    def call(self) -> None:
        function, arguments = self.pop_several(2)
        self.push(pickle_arrays.call(self.source.buffer, function, arguments))

    def build(self) -> None:
        state = self.pop()
        pickle_arrays.build(self.source.buffer, self.top(), state)


def _item(value: Value) -> Span | int:
    item = value.contents if isinstance(value, Uint8Array) else value
    if isinstance(item, (Span, int)):
        return item
    raise ValueError(f"a list may hold bytes, flags and integers, not {type(value).__name__}")


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _Machine.protocol,
    "FRAME": _Machine.frame,
    "MARK": lambda m, _: m.mark(),
    "EMPTY_LIST": lambda m, _: m.new_list([]),
    "LIST": lambda m, _: m.new_list(m.pop_mark()),
    "APPEND": lambda m, _: m.extend([m.pop()]),
    "APPENDS": lambda m, _: m.extend(m.pop_mark()),
    "EMPTY_TUPLE": lambda m, _: m.new_tuple([]),
    "TUPLE": lambda m, _: m.new_tuple(m.pop_mark()),
    **{f"TUPLE{count}": lambda m, _, count=count: m.new_tuple(m.pop_several(count)) for count in (1, 2, 3)},  # type: ignore[misc]
    "NONE": lambda m, _: m.push(None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    **dict.fromkeys(("INT", "BININT1", "BININT2", "BININT", "LONG1"), _Machine.integer),
    **dict.fromkeys(
        ("SHORT_BINSTRING", "BINSTRING", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
        _Machine.span,
    ),
    **dict.fromkeys(("SHORT_BINUNICODE", "BINUNICODE"), _Machine.text),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _Machine.put),
    "MEMOIZE": lambda m, _: m.put(len(m.memo)),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Machine.get),
    "GLOBAL": _Machine.symbol,
    "STACK_GLOBAL": lambda m, _: m.push(pickle_arrays.symbol(*m.pop_several(2))),
    "REDUCE": lambda m, _: m.call(),
    "BUILD": lambda m, _: m.build(),
}
