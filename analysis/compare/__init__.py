"""Compare groups of runs: tables, statistics, figures. `python -m analysis.compare --help`; docs/COMPARE.md."""
