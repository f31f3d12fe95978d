"""What a run asks of Accelerate, and what it refuses."""

import pytest
import torch

from hma_ft.config.schema import Device, Precision, TrainerConfig
from hma_ft.engine.autocast import autocast
from hma_ft.engine.distributed import create_accelerator
from hma_ft.errors import UserError

ON_CPU = TrainerConfig(device=Device.cpu)


@pytest.mark.parametrize(
    ("variable", "value", "engine"),
    [
        ("ACCELERATE_USE_FSDP", "true", "FSDP"),
        ("ACCELERATE_USE_DEEPSPEED", "true", "DeepSpeed"),
        ("ACCELERATE_USE_MEGATRON_LM", "true", "Megatron-LM"),
        ("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR", "TorchDynamo"),
    ],
)
def test_engines_that_divide_the_model_are_refused(
    variable: str, value: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=rf"^{engine} is chosen .*{variable}={value}") as error:
        create_accelerator(ON_CPU)
    assert len(str(error.value).splitlines()) == 1


def test_what_accelerate_sets_by_default_is_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "NO")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "false")
    assert create_accelerator(ON_CPU).num_processes == 1


@pytest.mark.parametrize(
    ("precision", "tf32"), [(Precision.fp32, False), (Precision.tf32, True), (Precision.bf16, False)]
)
def test_only_tf32_rounds_float32(precision: Precision, tf32: bool) -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    try:
        autocast(torch.device("cpu"), precision)
        assert torch.get_float32_matmul_precision() == ("high" if tf32 else "highest")
        assert torch.backends.cudnn.allow_tf32 is tf32
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        (TrainerConfig(device=Device.cuda), "trainer.device=cuda, but torch sees no GPU"),
        (TrainerConfig(precision=Precision.fp16), "trainer.precision=fp16 needs a GPU"),
        (TrainerConfig(precision=Precision.tf32), "trainer.precision=tf32 needs a GPU"),
    ],
    ids=str,
)
def test_what_needs_a_gpu(trainer: TrainerConfig, message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}"):
        create_accelerator(trainer)
