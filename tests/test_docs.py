"""What the documentation says is so."""

import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from analysis.contents import SCREENS, anchor, with_contents
from analysis.diagram import svg
from hma_ft.config.expected import node_of
from hma_ft.config.groups import Groups
from hma_ft.config.register import register_schema
from tests.conftest import REPOSITORY

PAGES = sorted((REPOSITORY / "docs").glob("*.md"))
ALL = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *PAGES]
# A setting, and its value where that is written in small letters: others stand for something.
SETTING = re.compile(r"(?<![\w./-])([a-z_]+(?:[./][a-z_0-9]+)*)=([a-z0-9_./,]*)")
TO_BE_WRITTEN = {"conf/hydra/launcher/our_cluster.yaml"}
DEPENDENT = ("dataset.options.", "method.options.", "model.options.")  # on the choice of the group


def name(path: Path) -> str:
    return path.name


def test_every_released_flag_has_its_setting(repository: Path) -> None:
    """The names are those of the released command line."""
    flags = (
        "dataset model_name ckpt size max_steps warmup_steps lr optimizer scheduler weight_decay batch_size "
        "val_check_interval seed workers tune_head tune_cls mem_type add_mem_num HMA label_hidden num_heads topk "
        "norm_after_topk null_KV softmax_temp local_mem_size encoder_momentum abd_augmentation global_memory_number "
        "gaussain_mem logits_resource aba_ablation abd_ablation"
    )
    text = (repository / "docs/RELEASED.md").read_text()
    missing = [flag for flag in flags.split() if f"`--{flag}" not in text]
    assert not missing


@pytest.mark.parametrize("page", ALL, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r'<img src="([^"]+)"', r"](\1)", page.read_text())
    for target, section in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", text):
        file = page.parent / target if target else page
        assert file.exists(), target
        if section:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), flags=re.MULTILINE)
            assert section in map(anchor, headings), section


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_says_whom_it_is_for_and_has_contents_if_it_is_long(page: Path) -> None:
    text = page.read_text()
    title, blank, first, *_ = text.splitlines()
    assert title.startswith("# ") and not blank and first.startswith("For ")
    if len(text.splitlines()) > SCREENS or "## Contents" in text:
        assert with_contents(text) == text


@pytest.mark.parametrize("page", ALL, ids=name)
def test_rows_of_a_table_have_as_many_cells_as_its_head(page: Path) -> None:
    tables = re.findall(r"(?:^\|.*\n)+", page.read_text(), flags=re.MULTILINE)
    for table in tables:
        cells = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(cells) == 1, table.splitlines()[0]


def test_the_index_has_every_page(repository: Path) -> None:
    index = set(re.findall(r"\]\((\w+\.md)\)", (repository / "docs/README.md").read_text()))
    assert index == {page.name for page in PAGES} - {"README.md"}


@pytest.mark.parametrize("page", [page for page in ALL if page.name != "EXTENDING.md"], ids=name)
def test_files_that_are_named_exist(page: Path, repository: Path) -> None:
    """EXTENDING.md names files to be written: tests/test_extending.py follows each of its steps."""
    for file in re.findall(r"`((?:conf|hma_ft|hydra_plugins|analysis|sweeps|tests)/[\w./]+)`", page.read_text()):
        assert "NAME" in file or file in TO_BE_WRITTEN or (repository / file).exists(), file


def test_the_diagram_is_what_its_script_draws(repository: Path) -> None:
    assert (repository / "docs/overview.svg").read_text() == svg()


@pytest.fixture(scope="module")
def composed(repository: Path) -> DictConfig:
    """The configuration without overrides, Hydra's own part included."""
    register_schema()
    with initialize_config_dir(str(repository / "conf"), version_base="1.3"):
        return compose("config", return_hydra_config=True)


@pytest.mark.parametrize("page", ALL, ids=name)
def test_settings_and_choices_exist(page: Path, repository: Path, composed: DictConfig) -> None:
    """Settings and choices of run.py's command lines, and of inline code with a dot or a group before its `=`."""
    groups = Groups(repository / "conf")
    text = page.read_text()
    commands = re.findall(r"^    .*run\.py (.*)$", text, flags=re.MULTILINE)
    inline = re.findall(r"`([^`\n]+=[^`\n]*)`", text)
    for code in commands + inline:
        for key, value in SETTING.findall(code):
            if key in groups:
                assert {choice for choice in value.split(",") if choice and choice[-1] != "/"} <= set(
                    groups.choices(key)
                ), code
            elif (code in commands or "." in key) and not key.startswith(("hydra", "tracking.", *DEPENDENT)):
                assert node_of(composed, key) is not None, code
