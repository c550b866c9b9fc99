"""Evaluation: what a set of weights reaches on labeled mammograms, with intervals, tables and a report."""
