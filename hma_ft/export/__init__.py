"""A finished run as files for others: weights in timm's layout or our own, ONNX graphs, a model card."""
