"""A trained model as a file that others run: ONNX, TorchScript, or its weights as safetensors."""

from .export import FORMATS, Form, export_model

__all__ = ['FORMATS', 'Form', 'export_model']
