"""Detectors as graphs of tensors: MMDetection's ``onnx_export``, with the detections of its test."""

from .exporter import BoxExporter

__all__ = ['BoxExporter']
