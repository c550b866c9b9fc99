"""DIB-MG: a weakly supervised network that reads the views of a mammography exam together."""
