"""Timing beside peers; README.md says how."""
