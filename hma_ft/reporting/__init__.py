"""What a person sees of a run: console and figures."""
