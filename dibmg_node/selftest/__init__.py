"""The self-test: an invented exam with a known lesion, sent, read, delivered, checked and removed."""
