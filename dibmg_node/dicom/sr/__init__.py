"""Structured reports of any vendor: their content tree read, checked by TID 4000, and understood."""
