"""Copies of batches to the device."""

import torch

from hma_ft.data.batch import Batch


class DeviceCopy:
    """Brings batches to a device; to a GPU on a stream of its own, so that it still computes the step before.

    The host runs up to a step ahead of a GPU: a copy on the stream of the computation would wait for that step.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def __call__(self, batch: Batch) -> Batch:
        """The batch on the device, for the current stream."""
        if self._stream is None:
            return batch.to(self.device)
        current = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self._stream):
            copied = batch.to(self.device)
        current.wait_stream(self._stream)
        for tensor in copied:
            tensor.record_stream(current)  # its memory is given to no other copy before the step has read it
        return copied
