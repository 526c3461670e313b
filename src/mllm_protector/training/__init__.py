"""Training: detector, detoxifier, joint model and their export. ``embedded/`` makes the detector that ships.

Needs the ``train`` extra. Each trainer is one file with its settings on top; they share one loop.
"""
