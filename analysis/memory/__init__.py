"""What the memories of a finished run hold. `python -m analysis.memory --help`; docs/ATTENTION.md."""
