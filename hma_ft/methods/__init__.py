"""How a backbone becomes a classifier: one module a method."""
