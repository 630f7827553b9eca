"""Where the byte strings of a pickle lie, found without unpickling it.

A pickle is a program; unpickling runs it. This reader is an interpreter of its own for the few opcodes that
lists of byte strings and flags need. It imports nothing, calls nothing and copies no byte string: of each it
notes where it lies in the file. Everything else is refused, and size, depth and number are bounded, so a
hostile file costs less than a second and a few tens of megabytes.
Source: the opcode descriptions of Python's standard module pickletools.
"""

from collections.abc import Callable
from mmap import mmap

from facemin.datasets import pickle_arrays
from facemin.datasets.pickle_arrays import REWRITE, Span, Uint8Array, Value

# The largest known sets hold 14,000 images of 22 opcodes each where they are NumPy arrays.
MAX_OPCODES = 400_000
# Writers append in batches of 1,000.
MAX_STACK = 65_536
MAX_MARKS = 8
MAX_LISTS = 16
# NumPy describes a dtype in a tuple of eight; nothing longer is needed.
MAX_TUPLE = 8
MAX_TEXT = 64
MAX_LINE = 128
# PUT, GET, LONG, STRING, UNICODE and DICT: values written as lines of text.
PROTOCOL_0 = frozenset(b"pgLSVd")


def read_pickle(buffer: bytes | mmap) -> Value:
    """Read a pickle of byte strings, flags, integers, lists and tuples; a byte string becomes its Span.

    A list holds byte strings, flags and integers only. In a list a uint8 NumPy array of shape (n,) or (n, 1)
    is the Span of its contents (see pickle_arrays). Protocols 1 to 5 of Python 2 and 3.

    Args:
        buffer: the whole pickle.

    Raises:
        ValueError: anything else is in there, or the pickle is cut off; names the offset.
    """
    return _Machine(buffer).run()


class _Machine:
    def __init__(self, buffer: bytes | mmap) -> None:
        self.buffer = buffer
        self.at = 0
        self.stack: list[Value] = []
        self.marks: list[int] = []
        self.memo: dict[int, Value] = {}
        self.lists = 0

    def run(self) -> Value:
        size = len(self.buffer)
        for _ in range(MAX_OPCODES):
            start = self.at
            if start >= size:
                raise ValueError(f"pickle: cut off at byte {start}, before its STOP")
            opcode = self.buffer[start]
            self.at += 1
            if opcode == ord("."):
                return self.result()
            step = _STEPS.get(opcode)
            try:
                if step is None:
                    hint = f"; protocol 0 writes so. {REWRITE}" if opcode in PROTOCOL_0 else ""
                    raise ValueError(f"opcode {bytes([opcode])!r} is not allowed{hint}")
                step(self)
            except ValueError as error:
                raise ValueError(f"pickle: at byte {start}: {error}") from None
        raise ValueError(f"pickle: expected at most {MAX_OPCODES} opcodes, got more")

    def result(self) -> Value:
        if len(self.stack) != 1 or self.marks:
            raise ValueError(f"pickle: expected one value at STOP, got {len(self.stack)}")
        if self.at != len(self.buffer):
            raise ValueError(f"pickle: {len(self.buffer) - self.at} bytes follow its STOP")
        return self.stack[0]

    def take(self, n: int) -> int:
        """Skip n bytes and return where they began."""
        start = self.at
        if n > len(self.buffer) - start:
            raise ValueError(f"{n} bytes declared, {len(self.buffer) - start} left")
        self.at += n
        return start

    def number(self, n: int, *, signed: bool = False) -> int:
        start = self.take(n)
        # By far the most frequent size, and a hostile file's way to cost time.
        if n == 1 and not signed:
            return self.buffer[start]
        return int.from_bytes(self.buffer[start : self.at], "little", signed=signed)

    def line(self) -> str:
        start = self.at
        end = self.buffer.find(b"\n", start, start + MAX_LINE)
        if end < 0:
            raise ValueError(f"a line without an end in {MAX_LINE} bytes")
        self.at = end + 1
        return self.buffer[start:end].decode("ascii", errors="backslashreplace")

    def push(self, value: Value) -> None:
        if len(self.stack) >= MAX_STACK:
            raise ValueError(f"more than {MAX_STACK} values wait on the stack")
        self.stack.append(value)

    def pop(self) -> Value:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("a value is missing on the stack")
        return self.stack.pop()

    def pop_mark(self) -> list[Value]:
        if not self.marks:
            raise ValueError("a mark is missing on the stack")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def top(self) -> Value:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("a value is missing on the stack")
        return self.stack[-1]

    def mark(self) -> None:
        if len(self.marks) >= MAX_MARKS:
            raise ValueError(f"nested deeper than {MAX_MARKS} marks")
        self.marks.append(len(self.stack))

    def protocol(self) -> None:
        version = self.number(1)
        if version > 5:
            raise ValueError(f"expected a pickle protocol up to 5, got {version}")

    def frame(self) -> None:
        length = self.number(8)
        self.at = self.take(length)

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

    def append(self) -> None:
        item, target = _item(self.pop()), self.top()
        if isinstance(target, list):
            target.append(item)
            return
        raise ValueError(f"expected a list to append to, got {type(target).__name__}")

    def new_tuple(self, values: list[Value]) -> None:
        if len(values) > MAX_TUPLE:
            raise ValueError(f"a tuple of more than {MAX_TUPLE}")
        for value in values:
            if isinstance(value, tuple) and any(isinstance(inner, tuple | list) for inner in value):
                raise ValueError("tuples nested too deep")
        self.push(tuple(values))

    def text(self, length: int) -> None:
        if length > MAX_TEXT:
            raise ValueError(f"expected bytes, got a text of {length} bytes")
        start = self.take(length)
        self.push(self.buffer[start : self.at].decode("utf-8", errors="backslashreplace"))

    def integer(self) -> None:
        written = self.line()
        # Protocols 0 and 1 have no opcode for a flag and write it as these two.
        if written in ("00", "01"):
            self.push(written == "01")
        elif written.removeprefix("-").isdecimal() and len(written) <= 20:
            self.push(int(written))
        else:
            raise ValueError(f"expected an integer, got {written[:20]!r}")

    def long(self) -> None:
        length = self.number(1)
        if length > 8:
            raise ValueError(f"expected an integer of at most 8 bytes, got {length}")
        self.push(self.number(length, signed=True))

    def span(self, length: int) -> None:
        self.push(Span(self.take(length), length))

    def put(self, key: int) -> None:
        self.memo[key] = self.top()

    def get(self, key: int) -> None:
        if key not in self.memo:
            raise ValueError(f"memo entry {key} was never stored")
        self.push(self.memo[key])

    def symbol(self) -> None:
        module = self.line()
        self.push(pickle_arrays.symbol(module, self.line()))

    def stack_symbol(self) -> None:
        name, module = self.pop(), self.pop()
        self.push(pickle_arrays.symbol(module, name))

    def call(self) -> None:
        arguments, function = self.pop(), self.pop()
        self.push(pickle_arrays.call(self.buffer, function, arguments))

    def build(self) -> None:
        state = self.pop()
        pickle_arrays.build(self.buffer, self.top(), state)


def _item(value: Value) -> Span | int:
    item = value.contents if isinstance(value, Uint8Array) else value
    if isinstance(item, (Span, int)):
        return item
    raise ValueError(f"a list may hold bytes, flags and integers, not {type(value).__name__}")


_STEPS: dict[int, Callable[[_Machine], None]] = {
    ord(code): step
    for code, step in {
        b"\x80": _Machine.protocol,
        b"\x95": _Machine.frame,
        b"(": _Machine.mark,
        b"]": lambda m: m.new_list([]),
        b"l": lambda m: m.new_list(m.pop_mark()),
        b"a": _Machine.append,
        b"e": lambda m: m.extend(m.pop_mark()),
        b")": lambda m: m.new_tuple([]),
        b"t": lambda m: m.new_tuple(m.pop_mark()),
        b"\x85": lambda m: m.new_tuple([m.pop()]),
        b"\x86": lambda m: m.new_tuple([m.pop(), m.pop()][::-1]),
        b"\x87": lambda m: m.new_tuple([m.pop(), m.pop(), m.pop()][::-1]),
        b"N": lambda m: m.push(None),
        b"\x88": lambda m: m.push(True),
        b"\x89": lambda m: m.push(False),
        b"I": _Machine.integer,
        b"K": lambda m: m.push(m.number(1)),
        b"M": lambda m: m.push(m.number(2)),
        b"J": lambda m: m.push(m.number(4, signed=True)),
        b"\x8a": _Machine.long,
        b"U": lambda m: m.span(m.number(1)),
        b"C": lambda m: m.span(m.number(1)),
        b"T": lambda m: m.span(m.number(4)),
        b"B": lambda m: m.span(m.number(4)),
        b"\x8e": lambda m: m.span(m.number(8)),
        b"\x96": lambda m: m.span(m.number(8)),
        b"\x8c": lambda m: m.text(m.number(1)),
        b"X": lambda m: m.text(m.number(4)),
        b"q": lambda m: m.put(m.number(1)),
        b"r": lambda m: m.put(m.number(4)),
        b"\x94": lambda m: m.put(len(m.memo)),
        b"h": lambda m: m.get(m.number(1)),
        b"j": lambda m: m.get(m.number(4)),
        b"c": _Machine.symbol,
        b"\x93": _Machine.stack_symbol,
        b"R": _Machine.call,
        b"b": _Machine.build,
    }.items()
}
