"""The doctor: whether machine and configuration are such that the node can work, and what to do where not."""
