"""The ONNX operators that facemin runs: name -> builder. What is not listed is refused."""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from facemin.models import operators_conv as conv
from facemin.models import operators_index as index
from facemin.models import operators_norm as norm
from facemin.models import operators_pointwise as pointwise
from facemin.models import operators_pool as pool
from facemin.models import operators_shape as shape
from facemin.models.lowering import Lowered, Node
from facemin.models.operators_einsum import einsum
from facemin.models.operators_reduce import reduce_axes
from facemin.models.operators_resize import resize

Builder = Callable[[Node], Lowered]

OPERATORS: dict[str, Builder] = {
    "Abs": pointwise.unary(torch.abs),
    "Add": pointwise.binary(torch.add),
    "And": pointwise.binary(torch.logical_and),
    "AveragePool": pool.average_pool,
    "BatchNormalization": norm.batch_normalization,
    "Cast": shape.cast,
    "Ceil": pointwise.unary(torch.ceil),
    "Celu": pointwise.celu,
    "Clip": pointwise.clip,
    "Concat": shape.concat,
    "Constant": shape.constant,
    "ConstantOfShape": shape.constant_of_shape,
    "Conv": conv.conv,
    "ConvTranspose": conv.conv_transpose,
    "Cos": pointwise.unary(torch.cos),
    "DepthToSpace": shape.depth_to_space,
    "Div": pointwise.binary(pointwise.divide),
    "Dropout": pointwise.identity,
    "Einsum": einsum,
    "Elu": pointwise.elu,
    "Equal": pointwise.binary(torch.eq),
    "Erf": pointwise.unary(torch.erf),
    "Exp": pointwise.unary(torch.exp),
    "Expand": shape.expand,
    "Flatten": shape.flatten,
    "Floor": pointwise.unary(torch.floor),
    "Gather": index.gather,
    "Gelu": pointwise.gelu,
    "Gemm": conv.gemm,
    "GlobalAveragePool": pool.global_pool,
    "GlobalMaxPool": pool.global_pool,
    "Greater": pointwise.binary(torch.gt),
    "GreaterOrEqual": pointwise.binary(torch.ge),
    "GroupNormalization": norm.group_normalization,
    "HardSigmoid": pointwise.hard_sigmoid,
    "HardSwish": pointwise.unary(F.hardswish),
    "Identity": pointwise.identity,
    "InstanceNormalization": norm.instance_normalization,
    "LRN": norm.local_response,
    "LayerNormalization": norm.layer_normalization,
    "LeakyRelu": pointwise.leaky_relu,
    "Less": pointwise.binary(torch.lt),
    "LessOrEqual": pointwise.binary(torch.le),
    "Log": pointwise.unary(torch.log),
    "LogSoftmax": pointwise.softmax,
    "LpNormalization": norm.lp_normalization,
    "MatMul": conv.matmul,
    "Max": pointwise.variadic(torch.maximum),
    "MaxPool": pool.max_pool,
    "Mean": pointwise.mean,
    "Min": pointwise.variadic(torch.minimum),
    "Mish": pointwise.unary(F.mish),
    "Mod": pointwise.remainder,
    "Mul": pointwise.binary(torch.mul),
    "Neg": pointwise.unary(torch.neg),
    "Not": pointwise.unary(torch.logical_not),
    "Or": pointwise.binary(torch.logical_or),
    "PRelu": pointwise.build_prelu,
    "Pad": index.pad,
    "Pow": pointwise.power,
    "RMSNormalization": norm.rms_normalization,
    "Range": shape.number_range,
    "Reciprocal": pointwise.unary(torch.reciprocal),
    "ReduceL1": reduce_axes,
    "ReduceL2": reduce_axes,
    "ReduceLogSum": reduce_axes,
    "ReduceLogSumExp": reduce_axes,
    "ReduceMax": reduce_axes,
    "ReduceMean": reduce_axes,
    "ReduceMin": reduce_axes,
    "ReduceProd": reduce_axes,
    "ReduceSum": reduce_axes,
    "ReduceSumSquare": reduce_axes,
    "Relu": pointwise.unary(torch.relu),
    "Reshape": shape.reshape,
    "Resize": resize,
    "Round": pointwise.unary(torch.round),
    "Selu": pointwise.selu,
    "Shape": shape.shape_of,
    "Sigmoid": pointwise.unary(torch.sigmoid),
    "Sign": pointwise.unary(torch.sign),
    "Sin": pointwise.unary(torch.sin),
    "Size": shape.size_of,
    "Slice": index.slice_axes,
    "Softmax": pointwise.softmax,
    "Softplus": pointwise.unary(F.softplus),
    "Softsign": pointwise.unary(F.softsign),
    "SpaceToDepth": shape.space_to_depth,
    "Split": shape.split,
    "Sqrt": pointwise.unary(torch.sqrt),
    "Squeeze": shape.squeeze,
    "Sub": pointwise.binary(torch.sub),
    "Sum": pointwise.variadic(torch.add),
    "Swish": pointwise.swish,
    "Tanh": pointwise.unary(torch.tanh),
    "ThresholdedRelu": pointwise.thresholded_relu,
    "Tile": shape.tile,
    "Transpose": shape.transpose,
    "Unsqueeze": shape.unsqueeze,
    "Upsample": resize,
    "Where": pointwise.where,
}
"""Builder by operator of ONNX's default domain."""

IMAGES_ONLY = frozenset(
    {
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
    }
)
"""Operators that want an image with its batch axis first; the others run on lifted values too: see `lowering`."""
