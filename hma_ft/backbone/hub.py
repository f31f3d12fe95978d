"""Weights from timm's hub, or from its cache on this machine."""

import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import torch
from huggingface_hub import constants
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
from timm.models import get_pretrained_cfg

from hma_ft.backbone.architecture import TimmViT, build, one_line
from hma_ft.config.schema import ModelConfig
from hma_ft.errors import UserError

REACH_SECONDS = 5.0


def build_from_hub(config: ModelConfig, image_size: int) -> TimmViT:
    """The timm model with timm's own weights and without its classifier.

    Raises:
        UserError: what `build` refuses, no such weights, no network, or keys that do not fit the model.
    """
    with torch.device("meta"):  # refuse what cannot be built before anything is fetched
        build(config, image_size, pretrained=False, num_classes=0)
    source = get_pretrained_cfg(config.name)
    if source is None or not source.has_weights:
        raise UserError(
            f"model.name={config.name}: timm has no weights for it; give a local file as model.weights=FILE or set "
            "model.pretrained=false to train from scratch."
        )
    try:
        # With its classifier still on: timm forgives missing keys once the number of classes differs.
        with _without_retries_in_vain():
            vit = build(config, image_size, pretrained=True)
    except (OSError, EntryNotFoundError, HfHubHTTPError) as error:
        raise UserError(
            f"model.name={config.name}: its weights are not on this machine and cannot be fetched "
            f"({type(error).__name__}); give a local file as model.weights=FILE, run once with network, or set "
            "model.pretrained=false to train from scratch."
        ) from error
    except RuntimeError as error:
        raise UserError(
            f"model.name={config.name}: its weights do not fit model.options={config.options} ({one_line(error)})."
        ) from error
    vit.reset_classifier(0)
    return vit


@contextmanager
def _without_retries_in_vain() -> Iterator[None]:
    """The hub's client asks for over a minute before it gives up; where its server isn't reached it need not ask.

    What lies in the cache is found all the same.
    """
    configured = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = configured or not _hub_is_reachable()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = configured


def _hub_is_reachable() -> bool:
    """Whether the hub's server takes a connection; taken for granted behind a proxy."""
    if urllib.request.getproxies():
        return True
    address = urlsplit(constants.ENDPOINT)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname or "", port), timeout=REACH_SECONDS).close()
    except OSError:
        return False
    return True
