"""Synthetic mammograms with known lesions, and lesions for real normal films."""
