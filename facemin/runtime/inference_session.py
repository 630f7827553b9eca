"""An onnxruntime session on the processor, set as every forward run of facemin needs it."""

from __future__ import annotations

import onnxruntime


def inference_session(graph: bytes, *, threads: int, severity: int = 3) -> onnxruntime.InferenceSession:
    """Open a graph.

    Args:
        graph: an ONNX file's bytes, already checked: onnxruntime reads whatever it is given.
        threads: that one run may use, at least 1; 0 for one a core.
        severity: below which onnxruntime's words are not printed, 0 (all) to 4 (fatal). Its warnings (2) are about how
            a graph was written, which nobody who runs one can change.

    Raises:
        Exception: onnxruntime cannot run it; its errors derive from nothing narrower.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = severity
    # threads that spin while they wait steal the cores they wait for: those of the next session in line
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
