"""Places on disk, known to nothing above them."""
