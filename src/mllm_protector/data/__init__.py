"""Exchanges in files: JSON lines, the records in them, images, and runs that can be interrupted."""
