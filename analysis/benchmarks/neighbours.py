"""Nearest neighbours beside faiss' flat index, and their memory at the size of ImageNet.

python -m analysis.benchmarks.neighbours [--quick]

Needs faiss (pip install faiss-cpu) for the comparison. Both search the same unit vectors by inner product, with the
same threads; the index is filled before the clock starts, the bank too.
"""

import sys

import torch
from torch import Tensor
from torch.nn import functional

from analysis.benchmarks.child import in_a_process
from analysis.benchmarks.measurement import Measurement, Options, main
from analysis.benchmarks.timing import Times, interleaved, ratio
from hma_ft.memory.bank import FeatureBank
from hma_ft.methods.neighbours import nearest_in_blocks

WIDTH, NEIGHBOURS, CLASSES = 768, 20, 1000
IMAGENET = 1_281_167
BOUND_GIB = 8


def measure(options: Options) -> list[Measurement]:
    """The speed beside faiss, and the peak memory."""
    rows, queries = options.size(131_072, 2000), options.size(2048, 64)
    what = f"{NEIGHBOURS} nearest of {rows:,} x {WIDTH}, {queries:,} queries"
    try:
        ours, theirs, equal = in_a_process(searched, rows, queries, options.size(5, 2))
    except ModuleNotFoundError:  # all else that a search needs is imported above
        speed = Measurement(what, "faiss, IndexFlatIP", "skipped: needs faiss (pip install faiss-cpu)")
    else:
        middle, text = ratio(ours, theirs)
        value = f"{text} the time; {100 * equal:.2f}% of the neighbours are the same"
        same = equal > 0.999
        speed = Measurement(
            f"{what}: {ours}", f"faiss, IndexFlatIP: {theirs}", value, "at most 1.5 x", middle <= 1.5 and same
        )
    rows, queries = options.size(IMAGENET, 4000), options.size(1500, 64)
    peak = in_a_process(peak_bytes, rows, queries) / 2**30
    bank = rows * WIDTH * 4 / 2**30
    return [
        speed,
        Measurement(
            f"peak memory of a process that searches {rows:,} x {WIDTH}: {peak:.1f} GiB",
            f"the bank alone: {bank:.1f} GiB",
            f"{peak - bank:.1f} GiB more; queries are taken 1,024 at a time, whatever their number",
            f"at most {BOUND_GIB} GiB",
            peak <= BOUND_GIB,
        ),
    ]


def searched(rows: int, queries: int, repeats: int) -> tuple[Times, Times, float]:
    """Times of this search and of faiss', and the share of neighbours that both found."""
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    bank, asked = _bank(rows), _unit_vectors(queries)
    index = faiss.IndexFlatIP(WIDTH)
    index.add(bank.features.numpy())
    times = interleaved(
        {"ours": lambda: _search(bank, asked), "faiss": lambda: index.search(asked.numpy(), NEIGHBOURS)},
        repeats=repeats,
    )
    ours, theirs = _search(bank, asked), torch.from_numpy(index.search(asked.numpy(), NEIGHBOURS)[1])
    shared = (ours.unsqueeze(2) == theirs.unsqueeze(1)).any(2).double().mean()
    return times["ours"], times["faiss"], float(shared)


def peak_bytes(rows: int, queries: int) -> int:
    """Peak memory of a search."""
    from hma_ft.engine.peak_memory import peak_memory_bytes

    bank, asked = _bank(rows), _unit_vectors(queries)
    _search(bank, asked)
    return peak_memory_bytes()


def _bank(rows: int) -> FeatureBank:
    bank = FeatureBank(WIDTH)
    labels = torch.arange(rows)
    bank.set(_unit_vectors(rows), labels % CLASSES, labels)
    return bank


def _unit_vectors(number: int) -> Tensor:
    """[number, WIDTH], normalized in place: a copy would count as memory of the search."""
    vectors = torch.randn(number, WIDTH, generator=torch.Generator().manual_seed(number))
    for block in vectors.split(65_536):
        functional.normalize(block, dim=1, out=block)
    return vectors


def _search(bank: FeatureBank, queries: Tensor) -> Tensor:
    return torch.cat([found.rows for _, found in nearest_in_blocks(queries, None, bank, k=NEIGHBOURS)])


if __name__ == "__main__":
    sys.exit(main(measure, __doc__))
