"""Measuring detectors, rewrites and whole guards."""
