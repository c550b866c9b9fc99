"""The DICOM Conformance Statement: its text, and the tables that are made from code and configuration."""
