"""The run directory: record, status, metrics and environment of one run."""
