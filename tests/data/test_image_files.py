"""The walk over folders of images: what is taken, what is followed, what is counted."""

import os
from pathlib import Path

from hma_ft.data.image_files import LeftOut, files_in, folders_in, images_below
from hma_ft.names import printable
from tests.data.layouts import image


def names(paths: list[Path], root: Path) -> list[str]:
    return [printable(path.relative_to(root)) for path in paths]


def test_every_known_suffix_in_any_case_sorted_by_the_parts_of_the_path(tmp_path: Path) -> None:
    wanted = ["a.jpg", "a/z.JPEG", "a b/c.Png", "b.jfif", "c.pgm", "d.heic", "e.AVIF", "f.jp2", "g.tiff", "h.webp"]
    for name in wanted:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = images_below(tmp_path, LeftOut())
    assert names(found, tmp_path) == [p.as_posix() for p in sorted(map(Path, wanted))]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    for name in ("a.txt", "b.TXT", "c.mov", "README", "kept.png", ".hidden.png", "._kept.png", "._b.png", "Thumbs.db"):
        (tmp_path / name).touch()
    for name in (".ipynb_checkpoints", "__MACOSX", "@eaDir"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").touch()
    (tmp_path / "broken.png").symlink_to("nowhere")
    (tmp_path / "itself.png").symlink_to("itself.png")
    os.mkfifo(tmp_path / "pipe.png")  # reading it would wait for ever
    left_out = LeftOut()
    assert names(images_below(tmp_path, left_out), tmp_path) == ["kept.png"]
    assert left_out.suffixes == {".txt": 2, ".mov": 1, "": 1}
    assert left_out.in_words() == [
        "left out: 2 .txt, 1 without a suffix, 1 .mov",
        "hidden and system files and folders skipped: 2 ._*, 1 .hidden.png, 1 .ipynb_checkpoints, 1 @eaDir, "
        "1 Thumbs.db, 1 __MACOSX",
        f"broken links and special files skipped: 3, {tmp_path}/broken.png",
    ]
    assert LeftOut().in_words() == []


def test_many_suffixes_stay_one_line(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"a.{number:02d}").touch()
    left_out = LeftOut()
    images_below(tmp_path, left_out)
    assert left_out.in_words() == ["left out: 1 .00, 1 .01, 1 .02, 1 .03, 1 .04, 1 .05, 1 .06, 1 .07 and 4 others"]


def test_links_are_followed_and_never_in_a_circle(tmp_path: Path) -> None:
    root = tmp_path / "root"
    image(root / "cat" / "z" / "1.png", 1)
    image(tmp_path / "elsewhere" / "2.png", 2)
    image(tmp_path / "file.png", 3)
    (root / "cat" / "file.png").symlink_to(tmp_path / "file.png")
    (root / "cat" / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "cat" / "a").symlink_to(root / "cat" / "z")  # another name of a folder that is read anyway
    (root / "cat" / "circle").symlink_to(root / "cat")
    (root / "cat" / "up").symlink_to(root)  # would bring the other classes
    (tmp_path / "elsewhere" / "back").symlink_to(root / "cat")
    image(root / "dog" / "4.png", 4)
    assert names(images_below(root / "cat", LeftOut()), root / "cat") == ["file.png", "linked/2.png", "z/1.png"]
    (tmp_path / "entry").symlink_to(root)
    assert len(images_below(tmp_path / "entry", LeftOut())) == 4


def test_a_folder_named_like_an_image_is_a_folder(tmp_path: Path) -> None:
    image(tmp_path / "album.jpg" / "1.png", 1)
    assert names(images_below(tmp_path, LeftOut()), tmp_path) == ["album.jpg/1.png"]
    assert names(folders_in(tmp_path, LeftOut()), tmp_path) == ["album.jpg"]
    assert files_in(tmp_path) == []


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    folder = tmp_path / b"caf\xe9".decode(errors="surrogateescape")
    folder.mkdir()
    (folder / b"cr\xe8me.png".decode(errors="surrogateescape")).touch()
    (folder / b"note.\xe9".decode(errors="surrogateescape")).touch()
    left_out = LeftOut()
    assert names(images_below(tmp_path, left_out), tmp_path) == [r"caf\xe9/cr\xe8me.png"]
    "".join(left_out.in_words()).encode()
