"""Calibration: scores that are frequencies, thresholds that keep to a rate of false alarms."""

from mllm_protector.calibration.calibrators import (
    Calibrator,
    Isotonic,
    Platt,
    Temperature,
    calibrator_from_dict,
    sigmoid,
    to_logits,
)
from mllm_protector.calibration.detector import CalibratedDetector, calibrated
from mllm_protector.calibration.document import (
    CALIBRATION,
    HARM,
    CalibrationFile,
    Head,
    Quality,
    load_calibration,
)
from mllm_protector.calibration.fitting import METHODS, CrossFit, cross_fit, fit, folds_of, pav
from mllm_protector.calibration.measures import Bin, brier, calibration_error, nll, reliability
from mllm_protector.calibration.operating import (
    CONFIDENCE,
    OperatingPoint,
    OperatingPoints,
    clopper_pearson,
    operating_points,
    threshold_for_fpr,
)

__all__ = [
    "CALIBRATION",
    "CONFIDENCE",
    "HARM",
    "METHODS",
    "Bin",
    "CalibratedDetector",
    "CalibrationFile",
    "Calibrator",
    "CrossFit",
    "Head",
    "Isotonic",
    "OperatingPoint",
    "OperatingPoints",
    "Platt",
    "Quality",
    "Temperature",
    "brier",
    "calibrated",
    "calibration_error",
    "calibrator_from_dict",
    "clopper_pearson",
    "cross_fit",
    "fit",
    "folds_of",
    "load_calibration",
    "nll",
    "operating_points",
    "pav",
    "reliability",
    "sigmoid",
    "threshold_for_fpr",
    "to_logits",
]
