"""The tables of a comparison, a function each, and all of them together."""
