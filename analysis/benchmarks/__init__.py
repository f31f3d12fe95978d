"""Speed as ratios against named alternatives, measured side by side in one process on one machine."""
