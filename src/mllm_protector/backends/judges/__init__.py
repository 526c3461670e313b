"""Judges: who says for an evaluation whether an answer is harmful, refused or right."""
