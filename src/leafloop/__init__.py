"""Leafloop: a disease-stage service for leaf photos that learns from the people who use it."""

__version__ = "0.1.0"
