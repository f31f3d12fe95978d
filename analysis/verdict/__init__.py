"""The verdict of a tuned sweep: its methods compared, in sentences, on a page and as a record."""
