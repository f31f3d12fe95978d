"""A trained model behind an HTTP address, by `mlflow models serve`."""
