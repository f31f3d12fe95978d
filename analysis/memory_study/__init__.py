"""Whether a memory of training images adds to closed-form heads on the same frozen features: docs/MEMORY.md."""
