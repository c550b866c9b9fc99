"""The dashboard: pages for people, rendered here, and metrics for Prometheus."""
