"""docs/TUTORIAL.md, made by running what it says."""
