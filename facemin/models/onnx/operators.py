"""ONNX operators that facemin runs, by what they do to a value's axes. What is not listed is refused."""

POINTWISE = frozenset(
    [
        "Abs",
        "Cast",
        "Ceil",
        "Celu",
        "Clip",
        "Cos",
        "Dropout",
        "Elu",
        "Erf",
        "Exp",
        "Floor",
        "Gelu",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "LeakyRelu",
        "Log",
        "Mish",
        "Neg",
        "Not",
        "Reciprocal",
        "Relu",
        "Round",
        "Selu",
        "Sigmoid",
        "Sign",
        "Sin",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Swish",
        "Tanh",
        "ThresholdedRelu",
    ]
)
"""Functions of each element of the first input."""

BROADCASTING = frozenset(
    [
        "Add",
        "And",
        "Div",
        "Equal",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
        "Max",
        "Mean",
        "Min",
        "Mod",
        "Mul",
        "Or",
        "PRelu",
        "Pow",
        "Sub",
        "Sum",
        "Where",
    ]
)
"""Functions of elements at the same place of several inputs, which are broadcast to one another."""

IMAGES_ONLY = frozenset(
    [
        "AveragePool",
        "BatchNormalization",
        "Conv",
        "ConvTranspose",
        "DepthToSpace",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "GroupNormalization",
        "InstanceNormalization",
        "LRN",
        "MaxPool",
        "Resize",
        "SpaceToDepth",
        "Upsample",
    ]
)
"""Operators that want an image with its batch axis first; torch's run takes the others lifted over rows too."""

REDUCTIONS = {
    "ReduceL1": 18,
    "ReduceL2": 18,
    "ReduceLogSum": 18,
    "ReduceLogSumExp": 18,
    "ReduceMax": 18,
    "ReduceMean": 18,
    "ReduceMin": 18,
    "ReduceProd": 18,
    "ReduceSum": 13,
    "ReduceSumSquare": 18,
}
"""Reductions over axes, and the opset from which on the axes are an input."""

ALONG_AXES = frozenset(
    [
        "Concat",
        "Einsum",
        "Expand",
        "Flatten",
        "Gather",
        "Gemm",
        "LayerNormalization",
        "LogSoftmax",
        "LpNormalization",
        "MatMul",
        "Pad",
        "RMSNormalization",
        "Reshape",
        "Slice",
        "Softmax",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    ]
)
"""Operators that move, join, split or mix axes; `batch_axis` has a rule for each."""

CONSTANTS = frozenset({"Constant", "ConstantOfShape", "Range", "Shape", "Size"})
"""Operators whose result does not depend on the image."""

ALLOWED = POINTWISE | BROADCASTING | IMAGES_ONLY | frozenset(REDUCTIONS) | ALONG_AXES | CONSTANTS
"""All of them; the workshop's `autograd.operators.OPERATORS` has the same, as a test holds."""

WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators whose elementary operations are multiply-accumulates."""

MIXING = frozenset({"Cast", "Where"})
"""Operators that take other than floats beside what depends on the image."""

FACTOR_A_CHANNEL = 21
"""The opset from which on group normalisation has a factor for each channel instead of each group."""

LARGEST_INTERMEDIATE = 1 << 28
"""Elements of an operator's scratch space, for one image."""


def check_intermediate(elements: int, what: str) -> None:
    """Raises ValueError where an operator would need a scratch space beyond `LARGEST_INTERMEDIATE`."""
    if elements > LARGEST_INTERMEDIATE:
        raise ValueError(f"expected {what} of at most {LARGEST_INTERMEDIATE} elements, got {elements}")


WITH_OPTIONAL_OUTPUTS = frozenset({"Dropout", "GroupNormalization", "LayerNormalization", "MaxPool"})
"""Operators whose later outputs (a mask, indices, statistics) count only where something uses them."""
