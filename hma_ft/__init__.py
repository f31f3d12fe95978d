"""Memory-augmented fine-tuning of Vision Transformers, with its baselines, sweeps and comparison."""

__version__ = "0.1.0"
