"""Stages follow from outcomes alone: which trials are next, what val chose, what a failure costs."""

import pytest

from hma_ft.launch.candidates import Attempt, Candidate, Outcome
from hma_ft.launch.choosing import Tuning
from hma_ft.launch.grid import Grid
from hma_ft.launch.halving import SHARES, Length
from hma_ft.launch.stages import Progress, StageName, progress

HEAD = Candidate("method=head", "head", [0, 1, 2], Grid({"optimizer.lr": [0.01, 0.03, 0.1]}))
KNN = Candidate("method=knn", "knn", [0, 1, 2])
TUNE = [100, 101]


class Trials:
    """Runs what is asked for: val is largest at `best`, and what is in `failing` fails."""

    def __init__(self, best: float, failing: tuple[tuple[float, int], ...] = ()) -> None:
        self.best, self.failing = best, failing
        self.done: dict[str, Outcome] = {}

    def of(self, attempt: Attempt) -> Outcome:
        return self.done.get(attempt.label, Outcome())

    def run(self, attempt: Attempt) -> None:
        rate = attempt.point.get("optimizer.lr", 1.0)
        failed = (rate, attempt.seed) in self.failing
        val = 1.0 / (1.0 + abs(rate - self.best)) + 1e-6 * attempt.seed
        self.done[attempt.label] = Outcome(error="it diverged") if failed else Outcome(val=val, finished=True)

    def look(self, *, extend: int = 2, left_out: tuple[str, ...] = ()) -> Progress:
        return progress([HEAD, KNN], self.of, Tuning(TUNE, extend), left_out=left_out)

    def run_stages(self, *, extend: int = 2) -> list[tuple[StageName, list[str]]]:
        """Name and labels of what each stage still had to do."""
        found = []
        while (stage := self.look(extend=extend).present) is not None:
            todo = [attempt for attempt in stage.attempts if not self.of(attempt).ended]
            found.append((stage.name, [attempt.label for attempt in todo]))
            for attempt in todo:
                self.run(attempt)
        return found


def rates(labels: list[str]) -> set[str]:
    return {label.split()[1].partition("=")[2] for label in labels if "optimizer.lr" in label}


def test_val_chooses_with_seeds_apart_and_the_seeds_follow_at_the_choice() -> None:
    trials = Trials(best=0.03)
    stages = trials.run_stages()
    assert [name for name, _ in stages] == ["first", "choose", "seeds"]
    assert stages[0][1] == ["method=head optimizer.lr=0.03 seed=100", "method=knn seed=0"]
    assert len(stages[1][1]) == 3 * 2 - 1
    final = [f"method=head optimizer.lr=0.03 seed={seed}" for seed in (0, 1, 2)]
    assert stages[2][1] == [*final, "method=knn seed=1", "method=knn seed=2"]
    choice = trials.look().choices["method=head"]
    assert (choice.point, choice.tried, choice.at_end) == ({"optimizer.lr": 0.03}, 3, [])
    assert choice.val == pytest.approx(1.0 + 1e-6 * 100.5)


def test_a_grid_whose_end_was_chosen_grows_until_the_choice_lies_inside() -> None:
    trials = Trials(best=0.3)
    stages = trials.run_stages()
    grown = [rates(labels) for name, labels in stages if name is StageName.extend]
    assert grown == [{"0.3"}, {"1"}]
    assert trials.look().choices["method=head"].point == {"optimizer.lr": 0.3}
    assert rates(stages[-1][1]) == {"0.3"}


def test_a_grid_grows_so_many_times_and_no_further() -> None:
    trials = Trials(best=1e6)
    assert [name for name, _ in trials.run_stages(extend=1)] == ["first", "choose", "extend", "seeds"]
    line = trials.look(extend=1).choices["method=head"].in_words()
    assert "val chose optimizer.lr=0.3" in line and "after 1 extension" in line
    assert "optimizer.lr is the end of the grid: the best may lie beyond" in line
    assert "extend" not in [name for name, _ in Trials(best=1e6).run_stages(extend=0)]


def test_a_failed_trial_costs_its_point_alone() -> None:
    trials = Trials(best=0.03, failing=((0.03, 101),))
    stages = trials.run_stages()
    choice = trials.look().choices["method=head"]
    assert choice.point == {"optimizer.lr": 0.01}  # nearest to the best of those that are whole
    assert "1 of 8 trials failed (optimizer.lr=0.03 seed=101: it diverged)" in choice.in_words()
    assert rates(stages[-1][1]) == {"0.01"}


def test_a_candidate_without_a_finished_trial_is_left_out() -> None:
    trials = Trials(best=0.03, failing=tuple((rate, seed) for rate in (0.01, 0.03, 0.1) for seed in TUNE))
    stages = trials.run_stages()
    assert stages[-1] == ("seeds", ["method=knn seed=1", "method=knn seed=2"])
    assert trials.look().choices["method=head"].in_words().startswith("nothing is chosen, as all of its 6 trials")


def test_what_is_left_out_has_its_first_trial_only() -> None:
    trials = Trials(best=0.03)
    for attempt in trials.look().stages[0].attempts:
        trials.run(attempt)
    made = trials.look(left_out=("method=head",))
    assert [a.candidate.label for stage in made.stages[1:] for a in stage.attempts] == ["method=knn"] * 3


def test_it_goes_on_wherever_it_was_cut_off() -> None:
    whole = Trials(best=0.3)
    expected = [label for _, labels in whole.run_stages() for label in labels]
    trials, seen = Trials(best=0.3), []
    while (stage := trials.look().present) is not None:  # one trial a command
        attempt = next(attempt for attempt in stage.attempts if not trials.of(attempt).ended)
        seen.append(attempt.label)
        trials.run(attempt)
    assert seen == expected


def test_halving_tries_all_for_a_ninth_of_the_steps_and_the_best_half_for_a_third() -> None:
    long = Candidate(
        "method=lora", "lora", [0], Grid({"optimizer.lr": [0.01, 0.03, 0.1, 0.3, 1.0]}), length=Length(900, 90)
    )
    trials, found = Trials(best=0.09), []
    fitted = Candidate("method=ridge", "ridge", [0], Grid({"optimizer.lr": [0.01, 0.1]}))
    while (stage := progress([long, fitted], trials.of, Tuning(TUNE, 2, SHARES)).present) is not None:
        found.append((stage.name, [attempt for attempt in stage.attempts if not trials.of(attempt).ended]))
        for attempt in found[-1][1]:
            trials.run(attempt)
    assert [name for name, _ in found] == ["first", "halve", "choose", "extend", "seeds"]
    points = [[attempt.settings for attempt in attempts if attempt.candidate is long] for _, attempts in found]
    assert points[0] == [{"optimizer.lr": 0.1, "trainer.max_steps": 100, "scheduler.warmup_steps": 10}]
    assert len(points[1]) == 5 * 2 - 1 and {point["trainer.max_steps"] for point in points[1]} == {100}
    assert {point["optimizer.lr"] for point in points[2]} == {0.01, 0.03, 0.1}  # the three that are nearest
    assert {(point["trainer.max_steps"], point["scheduler.warmup_steps"]) for point in points[2]} == {(300, 30)}
    assert points[4] == [{"optimizer.lr": 0.1}]
    lengths = {tuple(a.settings) for _, attempts in found for a in attempts if a.candidate is fitted}
    assert lengths == {("optimizer.lr",)}  # never shortened
    spent = sum(a.share for _, attempts in found[:4] for a in attempts if a.candidate is long)
    assert spent == pytest.approx((5 / 9 + 3 / 3) * len(TUNE))  # of 10


def test_halving_keeps_what_failed_in_sight() -> None:
    long = Candidate("method=lora", "lora", [0], Grid({"optimizer.lr": [0.01, 0.03, 0.1]}), length=Length(900))
    trials = Trials(best=0.02, failing=((0.1, 100), (0.1, 101)))
    while (stage := progress([long], trials.of, Tuning(TUNE, 0, SHARES)).present) is not None:
        for attempt in stage.attempts:
            trials.run(attempt)
    choice = progress([long], trials.of, Tuning(TUNE, 0, SHARES)).choices["method=lora"]
    assert "of 3 settings, after 33% of the steps" in choice.in_words()
    assert "2 of 10 trials failed (optimizer.lr=0.1 trainer.max_steps=100" in choice.in_words()


def test_without_tuning_seeds_nothing_is_chosen() -> None:
    trials = Trials(best=0.03)
    made = progress([HEAD, KNN], trials.of, Tuning([], 2))
    assert [attempt.label for attempt in made.stages[0].attempts] == ["method=head seed=0", "method=knn seed=0"]


def test_values_of_a_grid_may_be_lists() -> None:
    crops = [[0.08, 1.0], [0.5, 1.0]]
    candidate = Candidate("method=head", "head", [0], Grid({"optimizer.lr": [0.01, 0.1], "augment.crop_scale": crops}))
    trials = Trials(best=0.1)
    found = [StageName.first]
    while (stage := progress([candidate], trials.of, Tuning(TUNE, 1)).present) is not None:
        found.append(stage.name)
        for attempt in stage.attempts:
            trials.run(attempt)
    assert found[-1] is StageName.seeds and StageName.extend in found


def test_a_trial_without_val_has_ended_too() -> None:
    assert progress([KNN], lambda _: Outcome(finished=True), Tuning([])).complete
