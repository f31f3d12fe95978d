"""Where the pictures come from: one module a data set."""
