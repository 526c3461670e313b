"""Training of the models: data mixture, trainer, calibration, export. Needs the ``train`` extra."""
