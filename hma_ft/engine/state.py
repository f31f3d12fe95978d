"""What a run has learned: the part of a method's state that its pretrained weights don't give."""

import hashlib
from collections.abc import Iterator

from torch import Tensor, nn

from hma_ft.errors import UserError
from hma_ft.methods.base import Method

FROZEN_DIGEST = "frozen_digest"  # key of a checkpoint
NOTHING_FROZEN = hashlib.sha256().hexdigest()  # its value where the checkpoint holds the whole backbone


def trainable_state_dict(method: Method, *, inference_only: bool = False) -> dict[str, Tensor]:
    """The method's state without frozen weights of the backbone; `inference_only` leaves out what predicts nothing.

    Support banks are left out too: every evaluation fills them anew, and the last one's are kept by `support_state`.
    """
    given = _names_of_frozen(method) | _support_names(method)
    left_out = method.training_only if inference_only else ()
    return {
        name: value
        for name, value in method.state_dict().items()
        if name not in given and not name.startswith(left_out)
    }


def support_state(method: Method) -> dict[str, Tensor]:
    """The contents of the method's support banks, by their names in its state."""
    names = _support_names(method)
    return {name: value for name, value in method.state_dict().items() if name in names}


def load_trainable_state_dict(method: Method, state: dict[str, Tensor], frozen_digest: str) -> None:
    """Restore what `trainable_state_dict` gave, on the same pretrained weights; UserError if those are others."""
    if frozen_digest != digest_of_frozen(method):
        raise UserError(
            "the backbone's pretrained weights are not those that this run was trained with: "
            "give model.weights the same file as then"
        )
    missing, unexpected = method.load_state_dict(state, strict=False)
    elsewhere = _names_of_frozen(method) | _support_names(method)
    missing = [name for name in missing if name not in elsewhere and not name.startswith(method.training_only)]
    if missing or unexpected:
        raise UserError(
            f"the checkpoint does not fit the model (missing {missing}, not known {unexpected}): use the code that "
            "wrote it"
        )


def load_support_state(method: Method, state: dict[str, Tensor]) -> None:
    """Restore what `support_state` gave."""
    unexpected = method.load_state_dict(state, strict=False).unexpected_keys
    if unexpected:
        raise UserError(f"the support set does not fit the model (not known {unexpected}): use the code that wrote it")


def digest_of_frozen(method: Method) -> str:
    """SHA-256 over the backbone's frozen weights, by name."""
    digest = hashlib.sha256()
    for name, value in _frozen(method):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _names_of_frozen(method: Method) -> set[str]:
    """Names of the backbone's frozen weights in the method's state, also where a momentum copy shares them."""
    frozen = {id(parameter) for _, parameter in _frozen(method)}
    return {name for name, value in method.named_parameters(remove_duplicate=False) if id(value) in frozen}


def _frozen(method: Method) -> Iterator[tuple[str, nn.Parameter]]:
    for name, parameter in method.backbone.named_parameters():
        if not parameter.requires_grad:
            yield f"backbone.{name}", parameter


def _support_names(method: Method) -> set[str]:
    """Names in the state of what support banks hold."""
    banks = {id(method.support_bank(mode)) for mode in method.inference_modes()}
    return {
        f"{prefix}.{name}"
        for prefix, module in method.named_modules()
        if id(module) in banks
        for name, _ in module.named_buffers()
    }
