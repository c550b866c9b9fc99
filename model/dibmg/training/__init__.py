"""Training DIB-MG."""
