"""The command line: what admins and researchers type."""
