"""Size limits of graphs from strangers."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class GraphLimits:
    """Limits for an ONNX file that somebody else wrote.

    Args:
        bytes: length of the file; checked before it is read.
        fields: protobuf fields in the file; checked before it is parsed, since an empty message of two bytes
            takes a hundred when parsed.
        nodes: nodes of the graph.
        side: height and width of the input image, in pixels.
        elements: elements of any one value, for one image.
        total_elements: elements of all values together, for one image.
        work: elementary operations (multiply-accumulates, comparisons in a pooling window), for one image.
    """

    bytes: int = 512 << 20
    fields: int = 500_000
    nodes: int = 4096
    side: int = 1024
    elements: int = 1 << 26
    total_elements: int = 1 << 28
    work: int = 100_000_000_000
