"""A report for the terminal, and as Markdown, CSV, JSON, LaTeX and HTML."""
