"""The pages of the study: what each asks, under which protocol, and what may be held against it."""

from dataclasses import dataclass

from analysis.study.section import Section
from analysis.study.sections_dtd import DTD
from analysis.study.sections_elsewhere import ELSEWHERE
from analysis.study.sections_frozen import FROZEN


@dataclass(frozen=True)
class Page:
    """A file of docs/."""

    file: str
    title: str
    backbone: str  # which one, and what of it trains; in words
    sections: tuple[Section, ...]
    threats: str


_THREATS = """\
- Seeds vary initial weights, order and augmentation; except where said, all of them share one split. Intervals cover
  other test images, not another choice of the training images.
- Runs shared a machine's cores with one another: where times are shown, they order the methods, and no more.
- Where a grid's end was chosen (`end of grid`), a wider grid could move that method.
- A verdict of *not significant* is no proof of equality: the intervals say how large a difference may have been
  missed.
"""
_SHORT = """\
- DTD is the ten-class subset at hand with a split of its own: no figure compares with published ones.
- Runs are short, a few passes over the training images: what a memory is worth after a long training is not answered.
"""

PAGES = (
    Page(
        "STUDY.md",
        "Is heterogeneous memory worth it?",
        "DeiT-Tiny (ImageNet-1k weights) at 112 x 112 pixels, frozen",
        FROZEN,
        "- One small backbone, frozen, pretrained on images that resemble some of the data.\n"
        "- The order of methods may be another at 224 pixels, where features tell more.\n"
        "- Five data sets of seven: the sweep takes any folder of images, but CIFAR-10 and Caltech-101 were not run.\n"
        "- Closed forms and `knn` see no augmented views, as in their papers: fitted on ten views they may do better.\n"
        "- Seeds share the ten views of a training image: an interval over seeds lacks the variance of other views.\n"
        "- Data sets are subsets or small copies with splits of their own: no figure compares with published ones.\n"
        + _THREATS,
    ),
    Page(
        "STUDY_SHORT.md",
        "What in the memory matters?",
        "DeiT-Tiny (ImageNet-1k weights), frozen",
        DTD,
        "- One small backbone, frozen, pretrained on images that resemble some of the data; few steps. Nothing here is "
        "about full\n  fine-tuning, large backbones or long training.\n" + _SHORT + _THREATS,
    ),
    Page(
        "STUDY_BEYOND.md",
        "Is heterogeneous memory worth it elsewhere?",
        "DeiT-Tiny (ImageNet-1k weights), frozen except where said",
        ELSEWHERE,
        "- One small backbone, pretrained on images that resemble some of the data. Where it trains, a hundred steps "
        "are few: that\n  says little about long fine-tuning, for which `method.recipe` has ten times as many.\n"
        "- The flowers are 64 x 64 copies. The rates of trained backbones were chosen with one seed.\n"
        + _SHORT
        + _THREATS,
    ),
)
