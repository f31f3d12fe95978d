"""What a run is: the typed schema of conf/, its checks, and the fingerprint that identifies a run."""
