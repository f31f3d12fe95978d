"""The momentum (EMA) copy of an encoder that writes the real memory (He et al., CVPR 2020, eq. 2)."""

import copy

import torch
from torch import Tensor, nn


class MomentumEncoder(nn.Module):
    """A copy m of an encoder w with m <- momentum * m + (1 - momentum) * w after each training step's read.

    It never trains, is no part of the model's parameter count, and always runs in evaluation mode without a graph.
    Copied is what trains in the encoder; parameters that are frozen are the encoder's own.
    """

    def __init__(self, encoder: nn.Module, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        shared = {id(parameter): parameter for parameter in encoder.parameters() if not parameter.requires_grad}
        self.encoder = copy.deepcopy(encoder, shared).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "MomentumEncoder":
        """Stay in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def update(self, encoder: nn.Module) -> None:
        """Move towards the live encoder, all tensors in one fused call; its buffers are copied."""
        pairs = zip(self.encoder.parameters(), encoder.parameters(), strict=True)
        copied: list[tuple[Tensor, Tensor]] = [(own, live) for own, live in pairs if own is not live]
        torch._foreach_lerp_([own for own, _ in copied], [live for _, live in copied], 1.0 - self.momentum)
        for buffer, live_buffer in zip(self.encoder.buffers(), encoder.buffers(), strict=True):
            buffer.copy_(live_buffer)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Features [B, D] of the copy."""
        return self.encoder(images)
