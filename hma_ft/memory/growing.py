"""A module whose buffers take the size of what is loaded into them."""

from typing import Any

from torch import nn


class GrowingBuffers(nn.Module):
    """Buffers that may grow along their first dimension: a new module loads what one of any size has saved."""

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Resize each buffer to what was saved, where all other dimensions agree."""
        for name, buffer in list(self.named_buffers()):
            saved = state_dict.get(prefix + name)
            if saved is not None and saved.shape[1:] == buffer.shape[1:]:
                setattr(self, name, buffer.new_empty(saved.shape))
        super()._load_from_state_dict(state_dict, prefix, *rest)
