"""What MLflow's pages show of our runs, in a real Chromium on a real server.

Needs Debian's packages chromium and chromium-driver, or both programs on the path under these names.
"""

import copy
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from hma_ft.config.schema import Config, TrackingConfig
from hma_ft.errors import UserError
from hma_ft.mlflow_sync.store import connect
from hma_ft.mlflow_sync.sync import sync
from hma_ft.mlflow_sync.view import VIEW
from hma_ft.reporting.figures import curves_png
from hma_ft.rundir.record import RunRecord

pytestmark = [pytest.mark.browser, pytest.mark.mlflow_server, pytest.mark.slow]

Server = Any  # of tests/conftest.py
SECONDS = 120.0  # that a page may take; a busy machine is slow
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=2600,1400",  # the run list builds only the columns that are in sight
)
RUNS = {"full": (0.003, 0.6512), "head": (0.00001, 0.7034), "hma": (0.01, 0.7523)}  # learning rate, test top-1
BY_ACCURACY = ["hma", "head", "full"]


class Pages(NamedTuple):
    """Three runs at a server."""

    browser: webdriver.Chrome
    address: str  # of the experiment
    names: dict[str, str]  # method: run name
    ids: dict[str, str]  # method: MLflow's run id
    commands: dict[str, str]
    shots: Path

    def show(self, path: str, *, until: Callable[[str], bool]) -> str:
        """The text of a page once it shows what is waited for; leaves a screenshot."""
        self.browser.get("about:blank")  # else a change behind # loads nothing
        self.browser.get(self.address + path)
        return self.wait(until)

    def wait(self, until: Callable[[str], bool]) -> str:
        """The page's text once it fits."""
        try:
            WebDriverWait(self.browser, SECONDS).until(lambda _: until(self.text))
        finally:
            self.browser.save_screenshot(str(self.shots / f"{time.monotonic_ns()}.png"))
        return self.text

    @property
    def text(self) -> str:
        """What the page says."""
        return self.browser.execute_script("return document.body.innerText")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Chromium with a profile of its own; the test is skipped where there is none."""
    programs = [shutil.which("chromium"), shutil.which("chromedriver")]
    if None in programs:
        pytest.skip("needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = str(programs[0])
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(str(programs[1])))
    driver.set_page_load_timeout(SECONDS)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(browser: webdriver.Chrome, server_of_session: Server, tmp_path_factory: pytest.TempPathFactory) -> Pages:
    """Records of three finished runs, brought to the server."""
    server, folder = server_of_session, tmp_path_factory.mktemp("pages")
    server.start()
    tracking = TrackingConfig(experiment="hma-dtd", uri=server.uri)
    names, ids, commands = {}, {}, {}
    for number, (method, (lr, accuracy)) in enumerate(RUNS.items()):
        directory = folder / "runs" / "dtd" / f"{method}-vit_b32-seed0-{number}2345678"
        values = copy.deepcopy(asdict(Config()))
        values["method"]["name"], values["optimizer"]["lr"] = method, lr
        commands[method] = f"python run.py method={method} dataset=dtd optimizer.lr={lr:g}"
        record = RunRecord.open(
            directory, config=values, fingerprint=f"{number}2345678" * 8, command=commands[method], max_steps=30
        )
        for step in range(1, 31):
            record.log_metrics(step, {"train/loss": 3 / step, "val/top1": accuracy * step / 30})
        curves_png(record.path("curves.png"), record.rows)
        record.write_per_class([("banded", 40, 30), ("zigzagged", 40, 12)])
        record.write_result({"test/top1": accuracy, "val/top1": accuracy + 0.01, "inference": "alone"})
        record.update_status(state="finished", step=30)
        record.close()
        names[method], ids[method] = directory.name, brought(directory, tracking)
    experiment = connect(server.uri).get_experiment_by_name("hma-dtd")
    assert experiment is not None
    address = f"{server.uri}/#/experiments/{experiment.experiment_id}"
    return Pages(browser, address, names, ids, commands, folder)


def brought(directory: Path, tracking: TrackingConfig) -> str:
    """MLflow's run id; a server that has just started may take longer than a request may."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            return sync(directory, tracking)
        except UserError:
            if time.monotonic() > end:
                raise


def test_run_list_and_comparison_of_three_runs(pages: Pages) -> None:
    text = pages.show(
        f"/runs?viewStateShareKey={VIEW}", until=lambda text: all(n in text for n in (*pages.names.values(), "0.7523"))
    )
    places = [text.index(pages.names[method]) for method in BY_ACCURACY]
    assert places == sorted(places)  # the best one first
    for header in ("test/top1", "best/val/top1", "optimizer.lr", "method.name"):
        assert header in text
    for lr, accuracy in RUNS.values():
        assert f"{accuracy:.4f}" in text and f"{accuracy + 0.01:.4f}" in text
        assert f"{lr:.5f}".rstrip("0") in text  # written out, so that it sorts
    pages.browser.find_element(By.CSS_SELECTOR, ".ag-header-select-all input[type=checkbox]").click()
    pages.wait(lambda text: "Compare" in text)
    pages.browser.find_element(By.XPATH, "//button[normalize-space()='Compare']").click()
    # this page rounds metrics to three decimals
    wanted = [*pages.names.values(), "0.00001", "0.752", "0.703", "0.651", "Comparing 3 Runs"]
    text = pages.wait(lambda text: all(word in text for word in wanted))
    assert "method.recipe" not in text


def test_run_page_has_the_command_and_shows_its_files(pages: Pages) -> None:
    run = f"/runs/{pages.ids['hma']}"
    text = pages.show(run, until=lambda text: pages.commands["hma"] in text and "test/top1" in text)
    assert pages.names["hma"] in text
    pages.show(f"{run}/artifacts/curves.png", until=lambda text: "per_class.csv" in text)
    script = "return Math.max(0, ...[...document.images].map(image => image.naturalWidth))"
    WebDriverWait(pages.browser, SECONDS).until(lambda browser: browser.execute_script(script) == 1440)
    pages.show(f"{run}/artifacts/per_class.csv", until=lambda text: "zigzagged" in text and "0.75" in text)
    pages.show(f"{run}/artifacts/result.json", until=lambda text: '"test/top1"' in text)


def test_curves_of_three_runs_share_their_charts(pages: Pages) -> None:
    text = pages.show(
        "/runs?compareRunsMode=CHART",
        until=lambda text: all(f"{name} (train/loss)" in text for name in pages.names.values()),
    )
    assert "best/val/top1" in text
    pages.browser.find_element(By.CSS_SELECTOR, "input[placeholder='Search metric charts']").send_keys("^(train|val)/")
    text = pages.wait(lambda text: "best/val/top1" not in text)  # curves alone
    assert "train/loss" in text and "val/top1" in text
