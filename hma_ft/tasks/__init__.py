"""What `run.py` does besides training; one module a task."""
