"""The ONNX operators that facemin runs: name -> builder. What is not listed is refused."""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from facemin.autograd.operator_api import Lowered, Node
from facemin.autograd.operators import conv, index, norm, pointwise, pool, shape
from facemin.autograd.operators.reduce import reduce_axes
from facemin.autograd.operators.resize import resize

Builder = Callable[[Node], Lowered]

OPERATORS: dict[str, Builder] = {
    "Abs": pointwise.unary(torch.abs),
    "Add": pointwise.binary(torch.add),
    "AveragePool": pool.average_pool,
    "BatchNormalization": norm.batch_normalization,
    "Cast": shape.cast,
    "Ceil": pointwise.unary(torch.ceil),
    "Clip": pointwise.clip,
    "Concat": shape.concat,
    "Constant": shape.constant,
    "ConstantOfShape": shape.constant_of_shape,
    "Conv": conv.conv,
    "ConvTranspose": conv.conv_transpose,
    "DepthToSpace": shape.depth_to_space,
    "Div": pointwise.binary(pointwise.divide),
    "Dropout": pointwise.identity,
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
    "HardSigmoid": pointwise.hard_sigmoid,
    "HardSwish": pointwise.unary(F.hardswish),
    "Identity": pointwise.identity,
    "InstanceNormalization": norm.instance_normalization,
    "LeakyRelu": pointwise.leaky_relu,
    "Log": pointwise.unary(torch.log),
    "LogSoftmax": pointwise.softmax,
    "LpNormalization": norm.lp_normalization,
    "MatMul": conv.matmul,
    "Max": pointwise.variadic(torch.maximum),
    "MaxPool": pool.max_pool,
    "Min": pointwise.variadic(torch.minimum),
    "Mul": pointwise.binary(torch.mul),
    "Neg": pointwise.unary(torch.neg),
    "PRelu": pointwise.build_prelu,
    "Pad": index.pad,
    "Pow": pointwise.binary(torch.pow),
    "Reciprocal": pointwise.unary(torch.reciprocal),
    "ReduceL1": reduce_axes,
    "ReduceL2": reduce_axes,
    "ReduceMax": reduce_axes,
    "ReduceMean": reduce_axes,
    "ReduceMin": reduce_axes,
    "ReduceProd": reduce_axes,
    "ReduceSum": reduce_axes,
    "ReduceSumSquare": reduce_axes,
    "Relu": pointwise.unary(torch.relu),
    "Reshape": shape.reshape,
    "Resize": resize,
    "Shape": shape.shape_of,
    "Sigmoid": pointwise.unary(torch.sigmoid),
    "Slice": index.slice_axes,
    "Softmax": pointwise.softmax,
    "Softplus": pointwise.unary(F.softplus),
    "Split": shape.split,
    "Sqrt": pointwise.unary(torch.sqrt),
    "Squeeze": shape.squeeze,
    "Sub": pointwise.binary(torch.sub),
    "Sum": pointwise.variadic(torch.add),
    "Tanh": pointwise.unary(torch.tanh),
    "Tile": shape.tile,
    "Transpose": shape.transpose,
    "Unsqueeze": shape.unsqueeze,
    "Upsample": resize,
    "Where": pointwise.where,
}
"""Builder by operator of ONNX's default domain."""
