"""What the memory of a finished HMA run looked at. `python -m analysis.attention --help`; docs/ATTENTION.md."""
