"""What the documentation says is so."""

import re
from pathlib import Path


def test_every_released_flag_is_in_the_readme(repository: Path) -> None:
    """The names are those of the released command line."""
    flags = (
        "dataset model_name ckpt size max_steps warmup_steps lr optimizer scheduler weight_decay batch_size "
        "val_check_interval seed workers tune_head tune_cls mem_type add_mem_num HMA label_hidden num_heads topk "
        "norm_after_topk null_KV softmax_temp local_mem_size encoder_momentum abd_augmentation global_memory_number "
        "gaussain_mem logits_resource aba_ablation abd_ablation"
    )
    text = (repository / "README.md").read_text()
    missing = [flag for flag in flags.split() if f"`--{flag}" not in text]
    assert not missing


def test_links_lead_somewhere(repository: Path) -> None:
    for page in (repository / "README.md", *sorted((repository / "docs").glob("*.md"))):
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
