"""The reader of IDX files: what is sound is read, everything else is refused in one line."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from dynamics import DataError
from dynamics.nonlinear.mnist.idx import Digits, read_idx, read_images
from tests.digits import SIDE, idx_bytes, made_up, write_images


@pytest.mark.parametrize("mark", ["-", "."])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_the_four_files_are_found_under_their_usual_names(tmp_path: Path, mark: str, packed: bool) -> None:
    digits = made_up(30, 10)
    found = read_images(write_images(tmp_path / "images", digits, mark, packed))
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        np.testing.assert_array_equal(getattr(found, name), getattr(digits, name))
    assert found.side == SIDE


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_damage_at_any_byte_of_the_header_is_refused(tmp_path: Path, packed: bool) -> None:
    sound = idx_bytes(np.arange(60, dtype=np.uint8).reshape(5, 4, 3))
    path = tmp_path / "file"
    for place in range(16):
        for value in {0, 1, 3, 8, 9, 127, 255} - {sound[place]}:
            damaged = sound[:place] + bytes([value]) + sound[place + 1 :]
            path.write_bytes(gzip.compress(damaged) if packed else damaged)
            with pytest.raises(DataError, match="file"):
                read_idx(path)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_truncated_file_and_trailing_bytes_are_refused(tmp_path: Path, packed: bool) -> None:
    sound = idx_bytes(np.arange(60, dtype=np.uint8).reshape(5, 4, 3))
    path = tmp_path / "file"
    whole = gzip.compress(sound) if packed else sound
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match="file"):
            read_idx(path)
    path.write_bytes(gzip.compress(sound + b"x") if packed else sound + b"x")
    with pytest.raises(DataError, match=r"more data|has 77"):
        read_idx(path)


def test_a_damaged_gzip_is_refused_or_harmless(tmp_path: Path) -> None:
    array = np.arange(60, dtype=np.uint8).reshape(5, 4, 3)
    sound, path = gzip.compress(idx_bytes(array)), tmp_path / "file.gz"
    for place in range(len(sound)):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 0x5A]) + sound[place + 1 :])
        try:
            found = read_idx(path)
        except DataError:
            continue
        np.testing.assert_array_equal(found, array)  # the date, say
        assert place in {4, 5, 6, 7, 8, 9}


def test_what_a_file_only_claims_to_hold_takes_no_memory_and_what_it_hides_is_not_unpacked(tmp_path: Path) -> None:
    import tracemalloc

    head = bytes([0, 0, 8, 3]) + (2000).to_bytes(4, "big") + (1000).to_bytes(4, "big") * 2
    claims, hides = tmp_path / "claims.gz", tmp_path / "hides.gz"
    claims.write_bytes(gzip.compress(head + bytes(10)))
    hides.write_bytes(gzip.compress(idx_bytes(np.zeros((1, 2, 2), np.uint8)) + bytes(200_000_000), compresslevel=1))
    tracemalloc.start()
    with pytest.raises(DataError, match="ends after 10 of 2000000000"):
        read_idx(claims)
    with pytest.raises(DataError, match="more data than its shape"):
        read_idx(hides)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, text in ((tmp_path, "no plain file"), (pipe, "no plain file"), (tmp_path / "none", "No such file")):
        with pytest.raises(DataError, match=text):
            read_idx(path)
    with pytest.raises(DataError, match="no folder"):
        read_images(tmp_path / "none")
    with pytest.raises(DataError, match="holds no train-images-idx3-ubyte"):
        read_images(tmp_path)


def test_images_and_labels_must_agree() -> None:
    good = made_up(20, 10)
    parts = {name: getattr(good, name) for name in ("train_images", "train_labels", "test_images", "test_labels")}
    bad = {
        "an image each": {"train_labels": good.train_labels[:-1]},
        "0 to 9, got 10": {"test_labels": np.full(10, 10, np.uint8)},
        "side, side": {"train_images": good.train_images[:, :, 1:]},
        "the size of train_images": {"test_images": good.test_images[:, 1:, 1:]},
        "unsigned bytes": {"train_images": good.train_images.astype(float)},
    }
    for text, change in bad.items():
        with pytest.raises(DataError, match=text):
            Digits(**{**parts, **change})
