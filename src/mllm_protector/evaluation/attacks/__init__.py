"""Attacks on a model and on the guard: functions of text and pictures, and writers of benchmark folders."""
