"""Intervals and tests: over seeds, over test images, over both at once, over data sets.

scipy and statsmodels do what they have: t, bootstrap, sign flips, McNemar's binomial, Holm. Own, as neither has it: the
crossed test over seeds and images with its power, Owen's pigeonhole bootstrap, and a bootstrap that takes single runs.
"""
