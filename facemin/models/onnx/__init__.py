"""ONNX graphs of strangers: read, checked, limited and cut."""
