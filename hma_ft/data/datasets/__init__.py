"""Where the images come from: one module a data set."""
