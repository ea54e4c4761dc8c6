"""A network as an ONNX file, written from its own operators."""
