"""From the settings to what processes are made of: one module for each side of the node."""
