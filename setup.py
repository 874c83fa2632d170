"""For tools that still want this file."""

from setuptools import setup

setup()  # everything is said in pyproject.toml
