"""One machine: processes, memory, signals, and what a process may ask of the kernel."""
