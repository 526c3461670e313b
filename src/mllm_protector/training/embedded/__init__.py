"""Training of the detector that ships inside the package: mixture, stages, release."""
