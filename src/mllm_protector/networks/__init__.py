"""Trained models as training writes them and back-ends run them: template, manifest, networks."""
