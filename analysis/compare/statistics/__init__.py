"""Intervals and tests: over seeds, over test images, over both at once, over data sets.

scipy does what it has: t, bootstrap, sign flips, McNemar's binomial. Own, as it has none: Holm's correction, the
crossed test over seeds and images with its power, Owen's pigeonhole bootstrap, and a bootstrap that takes single runs.
"""
