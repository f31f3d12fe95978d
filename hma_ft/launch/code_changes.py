"""Which code a trial was submitted with, and whether it has moved since."""

import hashlib
from typing import Any

from hma_ft.launch.sweep import LaunchSpec


def digest_of_changes(git: dict[str, Any]) -> str:
    """Digest of uncommitted changes and names of untracked files; empty if there are none."""
    changes = git["diff"] + "\n".join(git["untracked"])
    return hashlib.sha256(changes.encode()).hexdigest()[:12] if changes else ""


def code_changed(spec: LaunchSpec, git: dict[str, Any]) -> str:
    """How the code differs from that of the submission, in words; empty if it doesn't."""
    if git["commit"] != spec.commit:
        return f"code changed: submitted at {_short(spec.commit)}, run at {_short(git['commit'])}"
    if digest_of_changes(git) != spec.changes:
        return f"code changed: uncommitted changes on {_short(spec.commit)} since submission"
    return ""


def _short(commit: str | None) -> str:
    return commit[:10] if commit else "no commit"
