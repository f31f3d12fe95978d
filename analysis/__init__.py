"""Programs that read the records of runs and never train."""
