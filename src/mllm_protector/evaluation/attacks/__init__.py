"""Attacks on the guard itself, as pure functions."""
