"""Finished runs and sweeps, read from run directories, archives or MLflow."""
