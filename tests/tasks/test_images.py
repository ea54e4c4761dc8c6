"""Reading pictures: whole ones are taken whatever follows them, half ones are refused, sizes come from headers."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.coco_folder import document, write
from helpers.refused import refused

from archlab.core.errors import InputError
from archlab.tasks.image_format import FormatError, whole
from archlab.tasks.images import MOST_PIXELS, check_images, image_size, read_image
from archlab.tasks.pose.data.coco import load_people

FORMS = {
    "plain": [],
    "progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    "restarts": [cv2.IMWRITE_JPEG_RST_INTERVAL, 2],
    "optimised": [cv2.IMWRITE_JPEG_OPTIMIZE, 1],
    "full chroma": [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444],
}
END = b"\xff\xd9"


def noise(width: int = 160, height: int = 120) -> np.ndarray:
    random = np.random.default_rng(0).integers(0, 256, (height // 2, width // 2, 3), dtype=np.uint8)
    return cv2.resize(random, (width, height))


def letterboxed() -> np.ndarray:
    """A picture whose lower half is the grey that decoders fill in."""
    picture = noise()
    picture[60:] = 128
    return picture


def jpeg(picture: np.ndarray, form: str = "plain") -> bytes:
    return cv2.imencode(".jpg", picture, FORMS[form])[1].tobytes()


def png(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def exif(orientation: int, order: str) -> bytes:
    """A TIFF block with two entries, of which the second is the orientation."""
    entries = ((0x10F, 2, 1, 65, 0), (0x112, 3, 1, orientation, 0))
    body = b"".join(struct.pack(f"{order}HHIHH", *entry) for entry in entries)
    return (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, 2) + body + b"\0\0\0\0"


def with_segment(data: bytes, body: bytes) -> bytes:
    """The JPEG with an APP1 segment at its start."""
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


def written(folder: Path, data: bytes) -> Path:
    path = folder / "picture.jpg"
    path.write_bytes(data)
    return path


def is_read(folder: Path, data: bytes) -> bool:
    """Whether a file of these bytes is read, or refused by an error that does not name it."""
    path = written(folder, data)
    try:
        read_image(path)
    except InputError as error:
        return [problem.file for problem in error.problems] != [str(path)]
    return True


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("picture", [noise(), noise(61, 45), letterboxed()], ids=["noise", "odd", "letterboxed"])
def test_a_whole_jpeg_is_read_alike_whatever_bytes_follow_it(form: str, picture: np.ndarray, tmp_path: Path) -> None:
    data = jpeg(picture, form)
    alone = read_image(written(tmp_path, data))
    assert alone.shape == picture.shape
    for trailer in (b"\0" * 5000, b"PK\x03\x04" + bytes(range(256)) * 20, data, data[: len(data) // 2]):
        assert np.array_equal(read_image(written(tmp_path, data + trailer)), alone)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("picture", [noise(), letterboxed()], ids=["noise", "letterboxed"])
def test_a_half_jpeg_is_refused_whatever_it_ends_with(form: str, picture: np.ndarray, tmp_path: Path) -> None:
    data = jpeg(picture, form)
    after = data.index(b"\xff\xda") + 20
    half = data[: after + (len(data) - after) // (4 if picture[-1, -1, 0] == 128 else 2)]
    other = np.random.default_rng(0).bytes(3000)
    for trailer in (b"", END, b"\xff" + END, data, other, other + END):
        assert not is_read(tmp_path, half + trailer)


def test_a_grey_jpeg_is_whole_or_half_as_a_coloured_one(tmp_path: Path) -> None:
    data = jpeg(cv2.cvtColor(noise(), cv2.COLOR_BGR2GRAY))
    assert is_read(tmp_path, data)
    assert not is_read(tmp_path, data[: len(data) // 2] + END)


def test_the_end_marker_of_a_thumbnail_is_not_that_of_the_picture(tmp_path: Path) -> None:
    data = with_segment(jpeg(noise()), b"Exif\0\0" + exif(1, "<") + jpeg(noise(32, 24)))
    assert is_read(tmp_path, data)
    assert not is_read(tmp_path, data[: len(data) // 2])


def test_a_png_is_whole_up_to_its_last_chunk_and_its_checksums(tmp_path: Path) -> None:
    data = png(noise())
    assert is_read(tmp_path, data)
    assert is_read(tmp_path, data + b"anything" * 1000)
    end = data[-12:]
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    for broken in (data[:middle], data[:middle] + end, data[:-12], flipped, data[:33] + end):
        assert not is_read(tmp_path, broken)


def test_a_wrong_checksum_of_a_chunk_that_decoding_does_not_need_is_no_damage(tmp_path: Path) -> None:
    data = png(noise())
    text = chunk(b"tEXt", b"Comment\0drawn")
    assert is_read(tmp_path, data[:33] + text[:-1] + bytes([text[-1] ^ 1]) + data[33:])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(10))
def test_the_size_from_the_header_is_that_of_the_decoded_picture(orientation: int, order: str, tmp_path: Path) -> None:
    plain, block = jpeg(noise(64, 48)), b"Exif\0\0" + exif(orientation, order)
    other = b"http://ns.adobe.com/xap/1.0/\0<x/>"
    stored = png(noise(64, 48))
    pictures = [
        with_segment(plain, block),
        with_segment(with_segment(plain, block), other),
        with_segment(with_segment(plain, other), block),
        with_segment(with_segment(plain, block), b"\0" * 40_000),
        stored[:33] + chunk(b"eXIf", exif(orientation, order)) + stored[33:],
    ]
    sizes = [image_size(written(tmp_path, data)) for data in pictures]
    turned = (48, 64) if orientation in (5, 6, 7, 8) else (64, 48)
    assert sizes == [turned] * len(pictures)
    for data in pictures:
        assert read_image(written(tmp_path, data)).shape == (*turned[::-1], 3)


@pytest.mark.parametrize("kind", [".bmp", ".webp", ".tiff", ".ppm"])
def test_other_formats_are_decoded_for_their_size_and_their_halves_are_refused(kind: str, tmp_path: Path) -> None:
    data = cv2.imencode(kind, noise(64, 48))[1].tobytes()
    assert image_size(written(tmp_path, data)) == (64, 48)
    assert not is_read(tmp_path, data[: len(data) // 2])
    assert image_size(written(tmp_path, data[: len(data) // 2])) is None


@pytest.mark.parametrize("sides", [(65500, 65500), (30000, 30000), (2**31 - 1, 2**31 - 1), (0, 0)])
def test_a_header_of_absurd_size_is_refused_before_anything_is_decoded(sides: tuple[int, int], tmp_path: Path) -> None:
    stored = png(noise())
    header = struct.pack(">II", *sides) + stored[24:29]
    pictures = [stored[:8] + chunk(b"IHDR", header) + stored[33:]]
    if max(sides) < 2**16:
        plain = jpeg(noise())
        at = plain.index(b"\xff\xc0") + 5
        pictures.append(plain[:at] + struct.pack(">HH", *sides) + plain[at + 4 :])
    for data in pictures:
        with refused(*([MOST_PIXELS, *sides] if all(sides) else []), file=tmp_path / "picture.jpg"):
            read_image(written(tmp_path, data))


@pytest.mark.parametrize("content", ["cut", "empty", "text", "gone"])
def test_a_damaged_image_is_named(tmp_path: Path, content: str) -> None:
    whole = jpeg(noise())
    path = written(tmp_path, {"cut": whole[: len(whole) // 2], "text": b"hello"}.get(content, b""))
    if content == "gone":
        path.unlink()
    with refused(*(["missing"] if content == "gone" else []), file=path):
        read_image(path)
    assert image_size(path) is None or content == "cut"


def test_a_thousand_cuts_and_flips_are_read_or_refused_and_nothing_else(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    for sound in (jpeg(noise(40, 30)), jpeg(noise(40, 30), "progressive"), png(noise(40, 30))):
        for _ in range(330):
            data = bytearray(sound)
            for at in random.integers(0, len(data), 3):
                data[at] = random.integers(256)
            image_size(written(tmp_path, bytes(data)))
            is_read(tmp_path, bytes(data[: random.integers(1, len(data) + 1)]) + END * int(random.integers(2)))


def test_cut_and_missing_images_are_all_found_without_decoding(tmp_path: Path) -> None:
    files = load_people(write(tmp_path, document(5)), "val2017", aspect=1.0).image_files
    check_images(files)
    for file in files[1:3]:
        file.write_bytes(file.read_bytes()[:-40])
    files[4].unlink()
    with pytest.raises(InputError) as caught:
        check_images(files)
    assert [problem.file for problem in caught.value.problems] == [str(files[i]) for i in (1, 2, 4)]
    assert "missing" in caught.value.problems[2].message


@pytest.mark.parametrize("length", [0, 1, 8190, 8191, 8192, 8193, 8192 + 2**17 - 1, 8192 + 2**17, 300_000])
def test_an_end_marker_is_found_behind_coded_data_of_any_length(length: int) -> None:
    plain = jpeg(noise(16, 16))
    head = plain[: plain.index(b"\xff\xda") + 14]
    coded = (b"\x01\xff\x00\xff\xd3" * (length // 5 + 1))[:length]
    for body in (coded, coded[:-1] + b"\xff"):
        assert whole(head + body + END).coded_end == len(head + body)
        with pytest.raises(FormatError):
            whole(head + body + b"\x00")
