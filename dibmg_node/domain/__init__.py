"""What the node speaks about: studies, exams, results and their lives. Pure: no I/O, no clock, no DICOM data set."""
