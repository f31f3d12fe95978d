"""Seeds as pure functions of what they belong to."""

import hashlib
import json


def derive_seed(*parts: int | str) -> int:
    """A seed of 63 bits from (what for, seed, step, ...): equal parts give equal seeds, others unrelated ones."""
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
