"""ONNX graphs as differentiable torch modules."""
