"""Lists of images with labels, as people keep them: CSV, TSV, JSON lines, text, JSON of splits."""
