"""From the run directory to MLflow, while a run trains and later."""
