"""Readers of published mammography data sets: one module a layout, rows of the image manifest out."""
