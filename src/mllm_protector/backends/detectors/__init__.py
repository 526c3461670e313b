"""Harm detectors."""
