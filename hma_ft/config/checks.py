"""What a type can't say: ranges, combinations, files that must exist. Cheap; nothing heavy is imported."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from hma_ft.config.check_dataset import option_problems, root_problems
from hma_ft.config.check_places import place_problems
from hma_ft.config.check_values import value_problems
from hma_ft.config.schema import BackboneTuning, Config, HeadInit, Selection, Task, TokenType

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULERS = ("cosine", "constant")
MOST_IMAGES = 1_000_000  # of a batch
MOST_WORKERS = 1024
MOST_PIXELS = 8192  # a side
POLICIES = ("randaugment", "trivialaugment")

# Settings that only timm can judge. It takes seconds to import, so other mistakes are reported without it.
JUDGED_BY_TIMM = (
    *("model.name", "model.options", "model.image_size", "augment.image_size"),
    *("method.target", "method.class_token", "method.tokens", "method.peft"),
    *("method.hma.heads", "method.hma.label_width", "method.reads", "trainer.grad_accumulation"),
)


def needs_timm(overrides: Iterable[str]) -> bool:
    """Whether a command line sets what only timm can judge."""
    return any(override.lstrip("+").startswith(JUDGED_BY_TIMM) for override in overrides)


def check(config: Config) -> list[str]:
    """One line for every value that can't work, with the value and what to do; empty if there is none."""
    if config.task in (Task.train, Task.prepare):
        parts = [_model, _method, _dataset, _optimization, _augment, _trainer]
    else:
        parts = [_trained_run, _trainer]
    parts += [_memory, _predictions]
    general = dict(value_problems(config))
    known = tuple(f"{name}=" for name in general)  # one line for a value is enough
    specific = [problem for part in parts for problem in part(config)] + list(place_problems(config))
    return [*general.values(), *(problem for problem in specific if not problem.startswith(known))]


def _positive(**values: float) -> Iterator[str]:
    for name, value in values.items():
        if not value > 0:
            yield f"{name.replace('__', '.')}={value:g} must be greater than 0"


def _not_negative(**values: float) -> Iterator[str]:
    for name, value in values.items():
        if not value >= 0:
            yield f"{name.replace('__', '.')}={value:g} must be 0 or greater"


def _at_most(limit: float, **values: float) -> Iterator[str]:
    for name, value in values.items():
        if value > limit:
            yield f"{name.replace('__', '.')}={value:g} must be at most {limit:,}"


def _share(**values: float) -> Iterator[str]:
    for name, value in values.items():
        if not 0 <= value <= 1:
            yield f"{name.replace('__', '.')}={value:g} must lie between 0 and 1"


def _one_of(name: str, value: str, known: tuple[str, ...]) -> Iterator[str]:
    if value not in known:
        yield f"unknown {name}={value}: use one of {', '.join(known)}"


def _model(config: Config) -> Iterator[str]:
    model = config.model
    if model.weights is not None and not Path(model.weights).is_file():
        yield f"model.weights={model.weights} does not exist: give a .pth, .safetensors or .npz file"
    yield from _positive(model__image_size=model.image_size, augment__image_size=config.augment.image_size)
    yield from _at_most(MOST_PIXELS, augment__image_size=config.augment.image_size)
    yield from _share(model__drop_path_rate=model.drop_path_rate)


def _method(config: Config) -> Iterator[str]:
    hma, real = config.method.hma, config.method.hma.real
    yield from _positive(
        method__hma__label_width=hma.label_width,
        method__hma__heads=hma.heads,
        method__hma__score_scale=hma.score_scale,
        method__hma__support_size=hma.support_size,
    )
    yield from _not_negative(method__hma__real__size=real.size, method__hma__synthetic__slots=hma.synthetic.slots)
    yield from _share(method__hma__dropout=hma.dropout, method__hma__real__momentum=real.momentum)
    if hma.top_k is not None:
        yield from _positive(method__hma__top_k=hma.top_k)
    tokens = config.method.tokens
    if tokens.type is not TokenType.none:
        yield from _positive(method__tokens__number=tokens.number)
    yield from _peft(config)
    if config.method.class_token and config.method.backbone is BackboneTuning.full:
        yield (
            "method.class_token=true has no meaning with method.backbone=full, where everything trains: "
            "set method.backbone=frozen or method.class_token=false"
        )


def _peft(config: Config) -> Iterator[str]:
    method, peft = config.method, config.method.peft
    if not 0 <= peft.drop_path < 1:
        yield f"method.peft.drop_path={peft.drop_path:g} must be at least 0 and less than 1"
    if peft.target is not None and method.backbone is BackboneTuning.full:
        yield (
            f"method.peft.name={peft.name} has no meaning with method.backbone=full, where everything trains: "
            "set method.backbone=frozen or method/peft=none"
        )
    if peft.drop_path > 0 and method.backbone is BackboneTuning.full:
        yield (
            f"method.peft.drop_path={peft.drop_path:g} is of a frozen backbone: with method.backbone=full set "
            "model.drop_path_rate"
        )
    elif peft.drop_path > 0 and not (peft.target or method.class_token or method.tokens.type is not TokenType.none):
        yield (
            f"method.peft.drop_path={peft.drop_path:g} needs something that trains inside the frozen backbone: choose "
            "method/peft or set it to 0"
        )


def _dataset(config: Config) -> Iterator[str]:
    dataset = config.dataset
    for name, fraction in (("val_fraction", dataset.val_fraction), ("test_fraction", dataset.test_fraction)):
        if not 0 < fraction < 1:
            yield f"dataset.{name}={fraction:g} must lie between 0 and 1, both excluded"
    yield from _positive(dataset__cache_gb=dataset.cache_gb)
    if dataset.train_per_class is not None:
        yield from _positive(dataset__train_per_class=dataset.train_per_class)
    if dataset.one_batch is not None:
        yield from _positive(dataset__one_batch=dataset.one_batch)
    yield from _share(dataset__label_noise=dataset.label_noise)
    yield from _not_negative(dataset__held_out_classes=dataset.held_out_classes)
    if not 1 <= dataset.corruption_severity <= 5:
        yield f"dataset.corruption_severity={dataset.corruption_severity} must be 1 to 5"
    if not 0 <= dataset.split_seed < 2**32:
        yield f"dataset.split_seed={dataset.split_seed} must be at least 0 and less than 2**32"
    yield from root_problems(dataset)
    yield from option_problems(dataset)


def _optimization(config: Config) -> Iterator[str]:
    optimizer, steps = config.optimizer, config.trainer.max_steps
    yield from _one_of("optimizer.name", optimizer.name, OPTIMIZERS)
    yield from _positive(optimizer__lr=optimizer.lr)
    yield from _not_negative(
        optimizer__weight_decay=optimizer.weight_decay, scheduler__warmup_steps=config.scheduler.warmup_steps
    )
    if not 0 <= optimizer.momentum < 1:
        yield f"optimizer.momentum={optimizer.momentum:g} must be at least 0 and less than 1"
    if optimizer.layer_decay is not None and not 0 < optimizer.layer_decay <= 1:
        yield f"optimizer.layer_decay={optimizer.layer_decay:g} must be greater than 0 and at most 1"
    yield from _one_of("scheduler.name", config.scheduler.name, SCHEDULERS)
    if config.scheduler.warmup_steps > steps > 0:
        yield (
            f"scheduler.warmup_steps={config.scheduler.warmup_steps} is longer than the run, "
            f"trainer.max_steps={steps}: shorten the warm-up"
        )


def _augment(config: Config) -> Iterator[str]:
    augment = config.augment
    for name, pair in (("crop_scale", augment.crop_scale), ("crop_ratio", augment.crop_ratio)):
        if len(pair) != 2 or not 0 < pair[0] <= pair[1]:
            yield f"augment.{name}={pair} must be two numbers, the smaller one first, both greater than 0"
        elif name == "crop_scale" and pair[1] > 1:
            yield f"augment.{name}={pair} are shares of the image's area: at most 1"
    if augment.auto_augment is not None:
        yield from _one_of("augment.auto_augment", augment.auto_augment, POLICIES)
    if augment.views is not None:
        yield from _positive(augment__views=augment.views)
    yield from _share(augment__flip=augment.flip, augment__random_erasing=augment.random_erasing)
    yield from _share(augment__affine_translate=augment.affine_translate)
    if not 0 <= augment.affine_degrees <= 180:
        yield f"augment.affine_degrees={augment.affine_degrees:g} must lie between 0 and 180"
    if not 0 <= augment.affine_scale < 1:
        yield f"augment.affine_scale={augment.affine_scale:g} must be at least 0 and less than 1"
    yield from _not_negative(augment__randaugment_ops=augment.randaugment_ops)
    if not 0 <= augment.randaugment_magnitude <= 30:
        yield f"augment.randaugment_magnitude={augment.randaugment_magnitude} must lie between 0 and 30"
    yield from _not_negative(augment__mixup_alpha=augment.mixup_alpha, augment__cutmix_alpha=augment.cutmix_alpha)
    if not 0 <= augment.label_smoothing < 1:
        yield f"augment.label_smoothing={augment.label_smoothing:g} must be at least 0 and less than 1"
    if augment.eval_crop_ratio is not None and not 0 < augment.eval_crop_ratio <= 1:
        yield f"augment.eval_crop_ratio={augment.eval_crop_ratio:g} must be greater than 0 and at most 1"


def _trainer(config: Config) -> Iterator[str]:
    trainer = config.trainer
    yield from _positive(
        trainer__max_steps=trainer.max_steps,
        trainer__batch_size=trainer.batch_size,
        trainer__grad_accumulation=trainer.grad_accumulation,
        trainer__eval_every=trainer.eval_every,
        trainer__eval_batch_size=trainer.eval_batch_size,
        trainer__log_every=trainer.log_every,
        trainer__cache_features_gb=trainer.cache_features_gb,
    )
    yield from _at_most(MOST_IMAGES, trainer__batch_size=trainer.batch_size)
    yield from _at_most(MOST_IMAGES, trainer__eval_batch_size=trainer.eval_batch_size)
    yield from _not_negative(
        trainer__num_workers=trainer.num_workers,
        trainer__checkpoint_minutes=trainer.checkpoint_minutes,
        trainer__profile_steps=trainer.profile_steps,
        trainer__eval_cache_gb=trainer.eval_cache_gb,
    )
    yield from _at_most(MOST_WORKERS, trainer__num_workers=trainer.num_workers)
    if trainer.clip_grad_norm is not None:
        yield from _positive(trainer__clip_grad_norm=trainer.clip_grad_norm)
    yield from _not_negative(trainer__logit_adjustment=trainer.logit_adjustment)
    yield from _selection(config)
    if trainer.ema_decay is not None and not 0 < trainer.ema_decay < 1:
        yield f"trainer.ema_decay={trainer.ema_decay:g} must lie between 0 and 1, both excluded"


def _selection(config: Config) -> Iterator[str]:
    trainer, head_init = config.trainer, config.method.head_init
    if trainer.patience is not None:
        yield from _positive(trainer__patience=trainer.patience)
    if trainer.select is not Selection.last:
        return
    trained_on = "has no meaning with trainer.select=last, which trains on val"
    if trainer.patience is not None:
        yield f"trainer.patience={trainer.patience} {trained_on}: set one of them"
    if head_init is not HeadInit.none:
        yield f"method.head_init={head_init.value} {trained_on}: it chooses its strength there; set none"


def _trained_run(config: Config) -> Iterator[str]:
    needs_run = config.task in (Task.evaluate, Task.predict, Task.export)
    if config.run is None and needs_run:
        yield f"task={config.task.value} needs run=DIR, the directory of a finished run"
    elif config.run is not None and (needs_run or config.task is Task.sync):
        if not Path(config.run).is_dir():
            yield f"run={config.run} is not a directory: give that of a run"
        elif not (Path(config.run) / "config.yaml").is_file():
            yield f"run={config.run} is not a run directory (it has no config.yaml)"
    if config.task is Task.predict and config.input is None:
        yield "task=predict needs input=DIR, a directory of images"
    elif config.task is Task.predict and config.input is not None and not Path(config.input).is_dir():
        yield f"input={config.input} is not a directory: give the one that holds the images"


def _predictions(config: Config) -> Iterator[str]:
    if config.task is not Task.predict:
        return
    if config.coverage is not None and not 0 < config.coverage <= 1:
        yield f"coverage={config.coverage:g} must be greater than 0 and at most 1: the share of val images that is kept"
    if config.nearest is not None:
        yield from _not_negative(nearest=config.nearest)


def _memory(config: Config) -> Iterator[str]:
    if config.task is not Task.predict:
        return
    if config.memory is not None and not Path(config.memory).is_dir():
        yield f"memory={config.memory} is not a directory: give the one that holds CLASS/images"
    if config.memory_remove is not None and not Path(config.memory_remove).is_file():
        yield f"memory_remove={config.memory_remove} does not exist: give a text file with a sample a line"
