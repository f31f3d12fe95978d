"""The run directory, which is the record of a run, and MLflow, which is fed from it."""
