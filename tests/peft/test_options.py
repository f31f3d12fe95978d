"""Options that can't work are one line each, with the value, before weights and data are touched."""

from pathlib import Path

import pytest

from hma_ft.config import check
from hma_ft.methods.validate import model_problems
from tests.config.test_command_line import RunPy, errors
from tests.config.test_compose import composed

OPTIONS = "method.peft.options"


def problems(*overrides: str) -> list[str]:
    """What run.py reports before it begins."""
    config = composed("model=vit_micro", "dataset=digits", "augment=digits", *overrides)
    return check(config) or model_problems(config)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["method=lora", f"{OPTIONS}.rank=0"], "method.peft.options.rank=0 must be greater than 0"),
        (["method=lora", f"{OPTIONS}.alpha=0"], "method.peft.options.alpha=0 must be greater than 0"),
        (["method=dora", f"{OPTIONS}.alpha=-1"], "method.peft.options.alpha=-1 must be greater than 0"),
        (["method=lora", f"{OPTIONS}.rank=many"], "method.peft.options.rank=many: Value 'many' of type 'str'"),
        (["method=lora", f"{OPTIONS}.rank=1.5"], "method.peft.options.rank=1.5: Value '1.5' of type 'float'"),
        (["method=lora", f"{OPTIONS}.dropout=1"], "method.peft.options.dropout=1 must be at least 0 and less than 1"),
        (["method=lora", f"{OPTIONS}.targets=[q,w]"], "method.peft.options.targets=[q,w]: use [qkv]"),
        (["method=lora", f"{OPTIONS}.targets=[]"], "method.peft.options.targets=[]: use [qkv]"),
        (["method=lora", f"{OPTIONS}.targets=[q,q]"], "method.peft.options.targets=[q,q]: use [qkv]"),
        (["method=lora", f"{OPTIONS}.targets=[qkv,q]"], "method.peft.options.targets=[qkv,q]: use [qkv]"),
        (["method=adapter", f"{OPTIONS}.bottleneck=0"], "method.peft.options.bottleneck=0 must be greater than 0"),
        (["method=adapter", f"{OPTIONS}.placement=before"], "method.peft.options.placement=before is not known"),
        (["method=adaptformer", f"{OPTIONS}.scale=0"], "method.peft.options.scale=0 must be greater than 0"),
        (["method=adapter_plus", f"{OPTIONS}.drop_path=2"], "method.peft.options.drop_path=2 must be at least 0"),
        (["method=vpt_deep", f"{OPTIONS}.number=0"], "method.peft.options.number=0 must be greater than 0"),
        (["method=partial", f"{OPTIONS}.blocks=5"], "method.peft.options.blocks=5: the model has 4 blocks"),
        (
            ["method=bitfit", f"+{OPTIONS}.rank=8"],
            "method.peft.options.rank: unknown option of bitfit; its options: none",
        ),
        (["method=ssf", f"+{OPTIONS}.alpha=8"], "method.peft.options.alpha: unknown option of ssf"),
        (
            ["method=lora", f"+{OPTIONS}.number=8"],
            "method.peft.options.number: unknown option of lora; its options: rank",
        ),
        (["method=lora", f"~{OPTIONS}.rank"], "method.peft.options.rank: lora needs a value"),
        (
            ["method=head", f"+{OPTIONS}.rank=8"],
            "method.peft.options={'rank': 8}: method.peft.name=none takes no options",
        ),
        (["method=lora", "method.peft.target=os.nothing"], "method.peft.target=os.nothing can't be imported"),
        (["method=lora", "method.peft.target=os.sep"], "method.peft.target=os.sep is not a function"),
        (["method=lora", "method.peft.drop_path=1"], "method.peft.drop_path=1 must be at least 0 and less than 1"),
        (["method=lora", "method.backbone=full"], "method.peft.name=lora has no meaning with method.backbone=full"),
        (["method=full", "method.peft.drop_path=0.1"], "method.peft.drop_path=0.1 is of a frozen backbone"),
        (["method=head", "method.peft.drop_path=0.1"], "method.peft.drop_path=0.1 needs something that trains"),
        (["method=knn", "method/peft=lora"], "method.name=knn has no head that trains by steps"),
        (["method=knn", "method/peft=class_token"], "method.name=knn has no head that trains by steps"),
        (["method=knn", "method.backbone=full"], "method.name=knn has no head that trains by steps"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_one_line_each(overrides: list[str], message: str) -> None:
    found = problems(*overrides)
    assert found[0].startswith(message), found
    assert "\n" not in "".join(found)


def test_prompts_on_a_model_that_cannot_take_them() -> None:
    (line,) = problems(
        "method=vpt_deep", "model.name=beit_base_patch16_224", "augment.image_size=224", "model.options={}"
    )
    assert line.startswith("method.peft.name=vpt_deep: tokens can't be added to Beit models")


def test_a_wrong_command_line_ends_before_data_with_exit_code_2(run_py: RunPy, tmp_path: Path) -> None:
    lines = errors(run_py("method=lora", f"{OPTIONS}.rank=0", "method/peft=lora", "optimizer.lr=-1", "dataset=dtd"))
    assert lines == ["optimizer.lr=-1 must be greater than 0", f"{OPTIONS}.rank=0 must be greater than 0"]
    lines = errors(run_py("method/peft=loora", f"{OPTIONS}.rnk=1", "method=peft/lora"))
    assert lines[0].startswith("unknown choice method/peft=loora; did you mean lora?")
    assert lines[1].startswith("unknown choice method=peft/lora") and "peft/" not in lines[1].partition("there are:")[2]
    assert lines[2].startswith(f"unknown setting {OPTIONS}.rnk")
    assert not list(tmp_path.iterdir())
