"""Trained models as programs for other places: StableHLO and ONNX."""
