"""Field limits of a protobuf message, counted before it is parsed."""

from google.protobuf.descriptor import Descriptor, FieldDescriptor  # type: ignore[import-untyped]
from onnx import ModelProto

from facemin.models.onnx.limits import GraphLimits

NO_MODEL = "expected an ONNX file, got bytes that do not parse as one"
CUT_OFF = "expected an ONNX file, got one that is cut off"

LENGTH_DELIMITED = 2
FIXED = {1: 8, 5: 4}
"""Bytes of the kinds of fixed length."""

DEEPEST = 16
"""Messages inside messages; a model with one graph and no subgraphs needs eight."""


def check_fields(data: bytes, *, limits: GraphLimits) -> None:
    """Raises ValueError where bytes are no ONNX model, hold names that are no text, or more fields than allowed.

    Payloads are stepped over, so a file of 500 MB costs no more than its structure.
    """
    if not data:
        raise ValueError("expected an ONNX file, got no bytes")
    outer: list[tuple[Descriptor, int]] = []
    message, at, end = ModelProto.DESCRIPTOR, 0, len(data)
    fields = 0
    try:
        while True:
            if at == end and outer:
                message, end = outer.pop()
                continue
            if at >= end:
                break
            fields += 1
            if fields > limits.fields:
                raise ValueError(f"expected an ONNX file of at most {limits.fields} fields")
            number, kind, at, stop = _field(data, at)
            if stop > end:
                raise ValueError(CUT_OFF)
            field = message.fields_by_number.get(number) if kind == LENGTH_DELIMITED else None
            if field is not None and field.type == FieldDescriptor.TYPE_STRING:
                # The parser hands out bytes where a name is no text, which no later check expects.
                data[at:stop].decode("utf-8")
            inner = None if field is None else field.message_type
            if inner is None:
                at = stop
                continue
            outer.append((message, end))
            if len(outer) > DEEPEST:
                raise ValueError(f"expected an ONNX file of at most {DEEPEST} messages inside each other")
            message, end = inner, stop
    except IndexError as error:
        raise ValueError(CUT_OFF) from error


def _field(data: bytes, at: int) -> tuple[int, int, int, int]:
    """Number and kind of the field at a place, where its content begins, and where it ends."""
    key, at = _varint(data, at)
    kind = key & 7
    if kind == LENGTH_DELIMITED:
        length, at = _varint(data, at)
        return key >> 3, kind, at, at + length
    if kind == 0:
        return key >> 3, kind, at, _varint(data, at)[1]
    if kind not in FIXED:
        raise ValueError(NO_MODEL)
    return key >> 3, kind, at, at + FIXED[kind]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError(NO_MODEL)
