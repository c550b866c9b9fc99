"""What the node speaks about: studies, exams, results, their lives. No I/O, no clock, no data set."""
