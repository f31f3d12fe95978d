"""Intervals and tests: over seeds, over test images, over both at once, over data sets."""
