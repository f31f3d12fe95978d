"""The study: what memory is worth on the data at hand, written from the records by one command."""
