"""Keys of conf/model."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class ModelConfig:
    """A timm Vision Transformer and where its weights come from."""

    name: str = "vit_base_patch32_224.augreg_in21k"  # timm's name, with the weight tag
    short_name: str = "vit_b32"  # short, for run directories and tables
    pretrained: bool = True  # fetch timm's weights from the hub, unless `weights` names a file
    weights: str | None = None  # local .pth, .safetensors or .npz
    image_size: int = 224  # pixels a side; position embeddings are interpolated to it
    normalise: bool = True  # by the model's mean and std; false: the ViT gets values of 0..1, as papers on VTAB do
    drop_path_rate: float = 0.0
    options: dict[str, Any] = field(default_factory=dict)  # further keyword arguments of timm.create_model
