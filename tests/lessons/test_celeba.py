from __future__ import annotations

import multiprocessing
import shutil
import zipfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.errors import ImpastoError
from impasto.lessons.celeba import ATTRIBUTES, SPLITS, read_celeba
from impasto.lessons.drawn import draw_faces

COUNT = 12
HEADER = "image_id," + ",".join(ATTRIBUTES)
NO = ",".join(["-1"] * 40)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_faces(tmp_path_factory.mktemp("drawn"), COUNT, 1, side=32)


@pytest.fixture
def data(drawn: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(drawn, tmp_path / "data")


def pack(folder: Path, method: int = zipfile.ZIP_STORED, prefix: str = "img_align_celeba/") -> Path:
    """Put the images into the zip and take the folder away."""
    path = folder / "img_align_celeba.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        if prefix:
            archive.writestr(prefix, b"")
        for image in sorted((folder / "img_align_celeba").iterdir()):
            archive.write(image, prefix + image.name)
    shutil.rmtree(folder / "img_align_celeba")
    return path


def as_txt(folder: Path) -> Path:
    """Turn the table into the original form: a count, a header, rows with two blanks before a 1."""
    header, *rows = (folder / "list_attr_celeba.csv").read_text().splitlines()
    lines = [str(len(rows)), header.partition(",")[2].replace(",", " ") + " "]
    lines += [row.replace(",1", "  1").replace(",", " ") for row in rows]
    (folder / "list_attr_celeba.csv").unlink()
    path = folder / "list_attr_celeba.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def change_line(path: Path, number: int, line: str | None) -> None:
    lines = path.read_text().splitlines()
    lines[number - 1 : number] = [] if line is None else [line]
    path.write_text("\n".join(lines) + "\n")


def complaint(folder: Path) -> str:
    with pytest.raises(ImpastoError) as caught:
        read_celeba(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestReading:
    def test_known_values(self, data: Path) -> None:
        table = data / "list_attr_celeba.csv"
        change_line(table, 3, f"000002.jpg,{NO[:-2]}1")
        celeba = read_celeba(data)
        assert celeba.names == tuple(f"{number:06}.jpg" for number in range(1, COUNT + 1))
        assert celeba.attributes == ATTRIBUTES
        assert celeba.labels is not None
        assert (celeba.labels.dtype, celeba.labels.shape) == (torch.bool, (COUNT, 40))
        assert celeba.labels[1].nonzero().tolist() == [[39]]
        with Image.open(data / "img_align_celeba" / "000003.jpg") as picture:
            assert np.array_equal(celeba.image(2).permute(1, 2, 0), np.array(picture))

    def test_the_original_form_says_the_same(self, data: Path) -> None:
        before = read_celeba(data)
        as_txt(data)
        after = read_celeba(data)
        assert torch.equal(before.labels, after.labels)
        assert (before.names, before.attributes) == (after.names, after.attributes)

    def test_columns_may_stand_in_another_order(self, data: Path) -> None:
        table = data / "list_attr_celeba.csv"
        rows = [line.split(",") for line in table.read_text().splitlines()]
        table.write_text("\n".join(",".join([row[0], *row[:0:-1]]) for row in rows) + "\n")
        assert read_celeba(data).attributes == ATTRIBUTES[::-1]

    def test_byte_order_mark_and_windows_lines(self, data: Path) -> None:
        table = data / "list_attr_celeba.csv"
        before = read_celeba(data)
        table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes().replace(b"\n", b"\r\n"))
        assert torch.equal(read_celeba(data).labels, before.labels)

    def test_without_attributes(self, data: Path) -> None:
        (data / "list_attr_celeba.csv").unlink()
        celeba = read_celeba(data)
        assert (celeba.labels, celeba.attributes, len(celeba)) == (None, (), COUNT)
        assert celeba.names == tuple(sorted(celeba.names))
        assert celeba.load(16).shape == (COUNT, 3, 16, 16)

    @pytest.mark.parametrize("inner", ["img_align_celeba/img_align_celeba", "Img/img_align_celeba"])
    def test_folders_of_kaggle_and_of_the_release(self, data: Path, inner: str) -> None:
        shutil.move(data / "img_align_celeba", data / "faces")
        (data / inner).parent.mkdir()
        shutil.move(data / "faces", data / inner)
        assert len(read_celeba(data)) == COUNT

    def test_tables_of_the_release(self, data: Path) -> None:
        (data / "Anno").mkdir()
        shutil.move(as_txt(data), data / "Anno")
        (data / "Eval").mkdir()
        text = "".join(f"{number:06}.jpg {number % 3}\n" for number in range(1, COUNT + 1))
        (data / "Eval" / "list_eval_partition.txt").write_text(text)
        celeba = read_celeba(data)
        assert celeba.labels is not None
        assert celeba.split[:3] == ("validation", "test", "train")


class TestSplit:
    def test_by_hash_is_the_same_everywhere(self, data: Path) -> None:
        split = read_celeba(data).split
        # sha256 of the name, its first eight bytes as a fraction: below 0.8, below 0.9, the rest.
        assert dict(zip(read_celeba(data).names, split, strict=True))["000001.jpg"] == expected_split("000001.jpg")
        assert split == tuple(map(expected_split, read_celeba(data).names))

    def test_about_eighty_ten_ten(self) -> None:
        from impasto.lessons.celeba import _split_by_hash

        counts = [sum(_split_by_hash(f"{n:06}.jpg") == part for n in range(4000)) for part in SPLITS]
        assert counts[0] == pytest.approx(3200, abs=100)
        assert counts[1] == pytest.approx(400, abs=70)
        assert counts[2] == pytest.approx(400, abs=70)

    def test_the_partition_file_decides_and_may_know_more(self, data: Path) -> None:
        rows = "".join(f"{number:06}.jpg,{number % 3}\n" for number in range(1, COUNT + 5))
        (data / "list_eval_partition.csv").write_text("image_id,partition\n" + rows)
        celeba = read_celeba(data)
        assert celeba.rows("train") == [2, 5, 8, 11]
        assert celeba.rows("validation") == [0, 3, 6, 9]
        assert celeba.rows() == list(range(COUNT))
        assert torch.equal(celeba.load(16, "test"), celeba.load(16)[1::3])

    def test_a_split_that_is_none(self, data: Path) -> None:
        with pytest.raises(ImpastoError, match="split: 'eval' is none; take one of train, validation, test"):
            read_celeba(data).rows("eval")


def expected_split(name: str) -> str:
    import hashlib

    fraction = int(hashlib.sha256(name.encode()).hexdigest()[:16], 16) / 2**64
    return "train" if fraction < 0.8 else "validation" if fraction < 0.9 else "test"


class TestLoad:
    def test_crops_the_central_square(self, tmp_path: Path) -> None:
        """Of 178 x 218, the 20 rows above and below are not looked at."""
        picture = np.full((218, 178, 3), 255, np.uint8)
        picture[20:198] = (200, 40, 90)
        (tmp_path / "img_align_celeba").mkdir()
        Image.fromarray(picture).save(tmp_path / "img_align_celeba" / "a.png")
        celeba = read_celeba(tmp_path)
        for side in (178, 64, 7):
            faces = celeba.load(side)
            assert faces.dtype == torch.uint8
            assert torch.equal(faces, torch.tensor([200, 40, 90], dtype=torch.uint8).view(1, 3, 1, 1).expand_as(faces))
        assert celeba.image(0).shape == (3, 218, 178)

    def test_at_full_size_it_is_the_image_itself(self, data: Path) -> None:
        celeba = read_celeba(data)
        assert torch.equal(celeba.load(32)[4], celeba.image(4)[:, 3:35])

    def test_gray_becomes_three_channels(self, data: Path) -> None:
        Image.new("L", (32, 39), 77).save(data / "img_align_celeba" / "000001.jpg")
        assert torch.equal(read_celeba(data).load(16)[0], torch.full((3, 16, 16), 77, dtype=torch.uint8))

    @pytest.mark.parametrize("side", [0, -3])
    def test_no_side(self, data: Path, side: int) -> None:
        with pytest.raises(ImpastoError, match=f"side: {side} pixels; give at least 1"):
            read_celeba(data).load(side)

    def test_a_cut_image(self, data: Path) -> None:
        path = data / "img_align_celeba" / "000007.jpg"
        path.write_bytes(path.read_bytes()[:300])
        with pytest.raises(ImpastoError, match=r"000007\.jpg: damaged or no image"):
            read_celeba(data).load(16)


class TestZip:
    @pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    @pytest.mark.parametrize("prefix", ["img_align_celeba/", "", "a/b/"])
    def test_the_same_as_unpacked(self, data: Path, method: int, prefix: str) -> None:
        before = read_celeba(data)
        faces = before.load(16)
        pack(data, method, prefix)
        after = read_celeba(data)
        assert (after.names, after.split) == (before.names, before.split)
        assert torch.equal(after.load(16), faces)

    def test_shadows_of_a_mac_are_passed_over(self, data: Path) -> None:
        with zipfile.ZipFile(pack(data), "a") as archive:
            archive.writestr("__MACOSX/img_align_celeba/._000001.jpg", b"shadow")
        assert len(read_celeba(data)) == COUNT

    def test_many_threads_and_processes(self, data: Path) -> None:
        expected = read_celeba(data).load(16)
        pack(data, zipfile.ZIP_DEFLATED)
        celeba = read_celeba(data)
        rows = list(range(COUNT)) * 4
        with ThreadPoolExecutor(8) as pool:
            threads = list(pool.map(celeba.image, rows))
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            processes = [torch.from_numpy(image) for image in pool.map(_Image(celeba), rows)]
        assert all(map(torch.equal, threads, processes))
        assert torch.equal(celeba.load(16), expected)

    def test_cut(self, data: Path) -> None:
        path = pack(data)
        path.write_bytes(path.read_bytes()[:-200])
        assert complaint(data).startswith(f"{path}: cut short, or no zip")

    def test_a_byte_that_flipped(self, data: Path) -> None:
        path = pack(data)
        content = bytearray(path.read_bytes())
        with zipfile.ZipFile(path) as archive:
            content[archive.getinfo("img_align_celeba/000005.jpg").header_offset + 200] ^= 1
        path.write_bytes(content)
        celeba = read_celeba(data)
        celeba.image(3)
        with pytest.raises(ImpastoError, match=r"000005\.jpg in .*zip: damaged in the zip"):
            celeba.image(4)

    def test_twice_the_same_name(self, data: Path) -> None:
        with zipfile.ZipFile(pack(data), "a") as archive:
            archive.writestr("other/000001.jpg", b"")
        assert complaint(data).endswith("000001.jpg is in it twice; get it again")

    def test_empty(self, data: Path) -> None:
        shutil.rmtree(data / "img_align_celeba")
        with zipfile.ZipFile(data / "img_align_celeba.zip", "w") as archive:
            archive.writestr("readme.txt", "none")
        assert "there are no images in it" in complaint(data)


class _Image:
    """Decodes one face in another process; arrays, because tensors travel through shared memory."""

    def __init__(self, celeba: object) -> None:
        self.celeba = celeba

    def __call__(self, index: int) -> np.ndarray:
        return self.celeba.image(index).numpy()  # type: ignore[attr-defined]


class TestMistakes:
    def test_folders(self, tmp_path: Path) -> None:
        assert (
            complaint(tmp_path / "gone") == f"{tmp_path / 'gone'}: no such folder; give one with img_align_celeba in it"
        )
        assert "neither img_align_celeba/*.jpg nor img_align_celeba.zip" in complaint(tmp_path)

    @pytest.mark.parametrize(
        ("number", "line", "message"),
        [
            (1, HEADER.replace("Smiling", "Grinning"), "line 1: 'Grinning' is no attribute of CelebA"),
            (1, HEADER.replace(",Smiling", ""), "line 1: the column Smiling is missing"),
            (1, HEADER.replace("Smiling", "Young"), "line 1: the column Young is there twice"),
            (1, HEADER.replace("image_id", "name"), "line 1: the first column is 'name', not 'image_id'"),
            (4, f"000003.jpg,0{NO[2:]}", "line 4: 5_o_Clock_Shadow of 000003.jpg is '0'; labels are -1 or 1"),
            (4, f"000003.jpg,{NO[:-2]}", "line 4: Young of 000003.jpg is ''; labels are -1 or 1"),
            (4, f"000003.jpg,{NO},1", "line 4: 000003.jpg has 41 labels instead of 40"),
            (4, "000003.jpg", "line 4: 000003.jpg has 0 labels instead of 40"),
            (4, f"000002.jpg,{NO}", "line 4: 000002.jpg stands in line 3 already"),
            (4, f"999999.jpg,{NO}", "line 4: 999999.jpg is not in "),
            (4, f"../000003.jpg,{NO}", "line 4: ../000003.jpg is not in "),
            (4, None, "has no row for 000003.jpg in "),
        ],
    )
    def test_table(self, data: Path, number: int, line: str | None, message: str) -> None:
        table = data / "list_attr_celeba.csv"
        change_line(table, number, line)
        said = complaint(data)
        assert said.startswith(str(table))
        assert message in said

    @pytest.mark.parametrize(
        ("number", "line", "message"),
        [
            (1, "13", "line 1: 13 rows are announced and 12 are there"),
            (1, "twelve", "line 1: no count of rows"),
            (2, "Smiling Young", "line 2: the column 5_o_Clock_Shadow is missing"),
            (7, "000005.jpg " + " ".join(["2"] * 40), "line 7: 5_o_Clock_Shadow of 000005.jpg is '2'"),
        ],
    )
    def test_original_table(self, data: Path, number: int, line: str, message: str) -> None:
        table = as_txt(data)
        change_line(table, number, line)
        assert message in complaint(data)

    def test_a_missing_image(self, data: Path) -> None:
        (data / "img_align_celeba" / "000009.jpg").unlink()
        assert "list_attr_celeba.csv, line 10: 000009.jpg is not in " in complaint(data)

    @pytest.mark.parametrize("content", [b"", b"image_id\xff\xfe", b"\n\n"])
    def test_no_table_at_all(self, data: Path, content: bytes) -> None:
        (data / "list_attr_celeba.csv").write_bytes(content)
        assert "list_attr_celeba.csv" in complaint(data)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("image_id,partition\n000001.jpg,3\n", "line 2: '000001.jpg 3' is not a file name and 0, 1 or 2"),
            ("image_id,partition\n000001.jpg,1\n000001.jpg,1\n", "line 3: 000001.jpg is there twice"),
            ("name,part\n", "line 1: the columns are name,part, not image_id,partition"),
            ("image_id,partition\n000001.jpg,1\n", "has no row for 000002.jpg"),
        ],
    )
    def test_partition(self, data: Path, content: str, message: str) -> None:
        (data / "list_eval_partition.csv").write_text(content)
        said = complaint(data)
        assert "list_eval_partition.csv" in said
        assert message in said


@pytest.mark.parametrize(("name", "count", "size"), [("celeba_178x218", 100, (3, 218, 178))])
def test_real_faces(shared: Path, name: str, count: int, size: tuple[int, int, int]) -> None:
    folder = shared / "data" / "faces" / name
    if not folder.is_dir():
        pytest.skip("the faces are not in the folder 'shared'")
    celeba = read_celeba(folder)
    assert len(celeba) == count
    assert celeba.image(0).shape == size
    assert celeba.load(64).shape == (count, 3, 64, 64)
    assert celeba.labels is not None
    # The first row of the release: no eyeglasses, smiling, young.
    row = dict(zip(celeba.attributes, celeba.labels[0].tolist(), strict=True))
    assert (row["Eyeglasses"], row["Smiling"], row["Young"]) == (False, True, True)
