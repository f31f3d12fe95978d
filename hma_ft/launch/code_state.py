"""Which code a trial was submitted with, and whether it has moved since."""

import hashlib
from typing import Any

from hma_ft.launch.sweep import Order


def digest_of_changes(git: dict[str, Any]) -> str:
    """Digest of uncommitted changes and names of untracked files; empty if there are none."""
    changes = git["diff"] + "\n".join(git["untracked"])
    return hashlib.sha256(changes.encode()).hexdigest()[:12] if changes else ""


def moved(order: Order, git: dict[str, Any]) -> str:
    """How the code differs from that of the submission, in words; empty if it doesn't."""
    if git["commit"] != order.commit:
        return f"code moved: submitted at {_short(order.commit)}, run at {_short(git['commit'])}"
    if digest_of_changes(git) != order.changes:
        return f"code moved: uncommitted changes on {_short(order.commit)} since submission"
    return ""


def _short(commit: str | None) -> str:
    return commit[:10] if commit else "no commit"
