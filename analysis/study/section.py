"""A question and the comparison that answers it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """One comparison with its question. The answer is what the tables say."""

    title: str
    question: str
    sweep: str  # of sweeps/study/; several with spaces between
    arguments: tuple[str, ...]  # of analysis.compare, beside --sweep
    tables: tuple[str, ...] = ("summary", "verdict")
    figure: str | None = None  # its file's stem

    @property
    def sweeps(self) -> list[str]:
        """The names of its sweeps."""
        return self.sweep.split()


def against_the_control(title: str, sweep: str, *methods: str) -> Section:
    """Memory heads against the MLP of their size, with the runs of a section before."""
    return Section(
        title,
        "The same runs against the MLP head with as many trainable parameters: is it the memory, or the size?",
        sweep,
        ("--method", "mlp_head", "hma_head", *methods, "--baseline", "mlp_head"),
        ("verdict",),
    )
