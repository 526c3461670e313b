"""Exchanges in files: JSON lines, the records in them, images, training data, and runs that can go on."""

from mllm_protector.data.loading import load_records
from mllm_protector.data.training_record import TrainingRecord

__all__ = ["TrainingRecord", "load_records"]
