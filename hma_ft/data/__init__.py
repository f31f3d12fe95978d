"""Data sets as train, val and test splits; order, transforms, loaders, mixing."""
