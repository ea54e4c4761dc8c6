"""The batched path against the per-sample one: the same draws, joints, targets, keypoints, and pixels by the protocol."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from helpers.coco_folder import SIDES, document, write
from helpers.refused import refused
from torch.utils.data import default_collate

from archlab.tasks.pixels import MEAN, STD, sample_generator
from archlab.tasks.pose.data.batched import BatchedPipeline
from archlab.tasks.pose.data.coco import load_people
from archlab.tasks.pose.data.crops import Placement, affine, augment
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.tasks.pose.data.regions import reachable, whole_crop
from archlab.tasks.pose.data.warp import gaussian_targets_batch, sample_crops
from archlab.tasks.pose.decode import decode
from archlab.tasks.pose.decode_gpu import _mirrored, decode_batch
from archlab.tasks.pose.keypoints import COCO
from archlab.tasks.pose.options import NO_AUGMENTATION, Augmentation
from archlab.tasks.pose.predict import flip_averaged
from archlab.tasks.pose.targets import gaussian_targets

SIZE = (64, 48)
GREY = 1 if int(cv2.__version__.split(".")[0]) >= 5 else 4
"""OpenCV 4 rounds coordinates to 1/32 of a pixel."""
UNBOUNDED = 10**6
ALL = 10**8
WARPS = ("torch", "opencv")
CUDA = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))
DEVICES = ["cpu", CUDA]
CHOICES = ("augmentation", "seed", "sigma", "crops", "targets")


def pipeline_of(people, size, **options):
    """The pipeline of the samples that these choices make."""
    choices = {name: options.pop(name) for name in CHOICES if name in options}
    return BatchedPipeline(PoseDataset(people, size, **choices), **options)


@pytest.fixture
def root(tmp_path):
    return write(tmp_path, crowd())


@pytest.fixture
def people(root):
    return load_people(root, "val2017", aspect=0.75)


def crowd(images=5):
    """Three people an image, anywhere and of any size, cut off by the image's edges too; all joints labelled."""
    content, random = document(images), np.random.default_rng(1)
    content["annotations"] = []
    for number in range(3 * images):
        low = random.uniform((-10, -10), (50, 35))
        size = random.uniform(12, 60, 2)
        joints = low + random.random((17, 2)) * size
        content["annotations"].append(
            {
                "id": number,
                "image_id": number % images,
                "category_id": 1,
                "bbox": [*low, *size],
                "area": 500.0,
                "keypoints": np.concatenate((joints, np.full((17, 1), 2)), axis=1).ravel().tolist(),
            }
        )
    return content


def expected(people, indices, *, epoch=0, size=SIZE, **options):
    dataset = PoseDataset(people, size, **options)
    dataset.set_epoch(epoch)
    return default_collate([dataset[index] for index in indices])


def grey_levels(first, second):
    """The largest difference between two normalised batches, in grey levels."""
    std = torch.tensor(STD)[:, None, None]
    return ((first.cpu() - second.cpu()) * std * 255).abs().max().item()


def assert_alike(batch, reference):
    assert batch["image"].shape == reference["image"].shape
    assert grey_levels(batch["image"], reference["image"]) <= GREY + 0.01
    assert (batch["target"].cpu() - reference["target"]).abs().max() <= 1e-6
    assert torch.equal(batch["weight"].cpu(), reference["weight"])
    assert torch.equal(batch["index"].cpu(), reference["index"])
    assert all(batch[name].dtype == reference[name].dtype for name in reference)


def assert_same(first, second):
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("warp", WARPS)
@pytest.mark.parametrize("budget", [0, ALL])
def test_evaluation_batches_are_those_of_the_data_set(people, device, warp, budget):
    pipeline = pipeline_of(people, SIZE, device=torch.device(device), budget_bytes=budget, warp=warp)
    rows = [4, 0, 14, 9, 1]
    assert_alike(pipeline.batch(rows), expected(people, rows))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("warp", WARPS)
def test_augmented_batches_are_those_of_the_data_set(people, device, warp):
    # 15 people in 8 epochs: about 60 flips, 36 half bodies, 72 turns.
    options = {"augmentation": Augmentation(), "seed": 3}
    pipeline = pipeline_of(
        people, SIZE, device=torch.device(device), budget_bytes=ALL, region_pixels=UNBOUNDED, warp=warp, **options
    )
    rows = list(range(len(people)))
    for epoch in range(8):
        pipeline.set_epoch(epoch)
        assert_alike(pipeline.batch(rows), expected(people, rows, epoch=epoch, **options))


@pytest.mark.parametrize("augmentation", [None, Augmentation()])
def test_udp_crops_are_batched_too(people, augmentation):
    options = {"augmentation": augmentation, "crops": "udp", "targets": "udp"}
    pipeline = pipeline_of(people, SIZE, region_pixels=UNBOUNDED, warp="torch", **options)
    rows = list(range(len(people)))
    assert_alike(pipeline.batch(rows), expected(people, rows, **options))


@pytest.mark.parametrize("augmentation", [None, Augmentation()])
def test_photographs_are_cropped_as_by_opencv(shared, augmentation):
    people = load_people(shared / "data" / "coco", "val2017", aspect=0.75).subset(range(24))
    pipeline = pipeline_of(people, (256, 192), augmentation=augmentation, region_pixels=UNBOUNDED, warp="torch")
    rows = list(range(24))
    assert_alike(pipeline.batch(rows), expected(people, rows, size=(256, 192), augmentation=augmentation))


@pytest.mark.parametrize("warp", WARPS)
@pytest.mark.parametrize("limit", [UNBOUNDED, 600])
def test_a_batch_does_not_depend_on_the_budget_nor_on_what_was_asked_before(people, warp, limit):
    options = {"augmentation": Augmentation(), "seed": 3, "region_pixels": limit, "warp": warp}
    rows = [7, 2, 11]
    wanted = pipeline_of(people, SIZE, **options).batch(rows)
    for budget in (12_000, ALL):
        pipeline = pipeline_of(people, SIZE, budget_bytes=budget, workers=2, **options)
        pipeline.batch([13, 2, 0, 5])
        pipeline.set_epoch(2)
        pipeline.batch([11, 10])
        pipeline.set_epoch(0)
        assert_same(pipeline.batch(rows), wanted)
        pipeline.store.preload()
        assert_same(pipeline.batch(rows), wanted)
        assert 0 < len(pipeline.store) <= len(people)
        assert (len(pipeline.store) == len(people)) == (budget == ALL)
        assert 0 < pipeline.store.used_bytes <= budget


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_stream_gives_the_batches_in_their_order(people, workers):
    batches = [[0, 5], [3, 14], [1, 2], [8, 9], [7, 6]]
    pipeline = pipeline_of(people, SIZE, augmentation=Augmentation(), budget_bytes=3000, workers=workers)
    streamed = list(pipeline.stream(batches))
    assert len(streamed) == len(batches)
    for batch, rows in zip(streamed, batches, strict=True):
        assert batch["index"].tolist() == rows
        assert_same(batch, pipeline.batch(rows))


def test_one_image_is_decoded_once_for_all_of_its_people(people):
    pipeline = pipeline_of(people, SIZE, augmentation=Augmentation(), budget_bytes=ALL)
    first = int(people.image_index[0])
    pipeline.batch([0])
    people.image_files[first].unlink()
    others = np.flatnonzero(people.image_index == first).tolist()
    assert len(others) == 3
    assert pipeline.batch(others)["index"].tolist() == others


def test_an_image_that_is_missing_is_named(people):
    people.image_files[int(people.image_index[3])].unlink()
    with refused(file=people.image_files[int(people.image_index[3])]):
        pipeline_of(people, SIZE).batch([3])


def test_crops_are_those_of_grid_sample():
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 20, 30, 3), dtype=torch.uint8, generator=random)
    inverse = torch.tensor([[[0.7, 0.3, -4.0], [-0.3, 0.7, 6.0]], [[1.5, 0, -3.25], [0, 1.5, -2.5]]])
    crops = sample_crops(images.reshape(-1, 3), torch.tensor([0, 600]), torch.tensor([[30, 20]] * 2), inverse, (24, 32))
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(24.0), indexing="ij")
    points = torch.einsum("nij,jhw->nhwi", inverse, torch.stack((columns, rows, torch.ones(32, 24))))
    grid = (2 * points + 1) / torch.tensor([30, 20]) - 1
    wanted = torch.nn.functional.grid_sample(images.permute(0, 3, 1, 2).float(), grid, align_corners=False)
    assert (crops - wanted).abs().max() <= 0.501
    assert (crops == 0).float().mean() > 0.2
    assert crops.is_contiguous(memory_format=torch.channels_last)


# What is kept of an image.


@pytest.mark.slow
def test_no_draw_reaches_beyond_what_is_kept():
    random, size = np.random.default_rng(0), (48, 64)
    image_wh = (400, 300)
    touched = np.zeros(2)
    for person in range(40):
        low, extent = random.uniform(0, 250, 2), random.uniform(20, 120, 2)
        joints = (low + random.random((17, 2)) * extent).astype(np.float32)
        place = Placement((low + extent / 2).astype(np.float32), np.full(2, extent[0] / 160), joints, np.full(17, 2))
        region = reachable(place, Augmentation(), COCO, image_wh, size, limit=UNBOUNDED)
        assert region.box is not None
        for draw in range(100):
            generator = sample_generator(0, draw, person)
            drawn = augment(place, Augmentation(), generator, COCO, image_width=image_wh[0], aspect=0.75)
            reached = corners(drawn, size, image_wh[0])
            seen_low = np.clip(reached.min(axis=0) - 1, 0, np.subtract(image_wh, 1))
            seen_high = np.clip(reached.max(axis=0) + 1, 0, np.subtract(image_wh, 1))
            assert (seen_low >= region.box[:2]).all()
            assert (seen_high <= np.subtract(region.box[2:], 1)).all()
            touched += seen_low <= np.add(region.box[:2], 12)
    assert (touched > 40).all(), "the kept part is much larger than what draws reach"


def corners(place, size_wh, image_width):
    """The four corner pixels of a crop in the image as it is."""
    matrix = np.vstack((affine(place.center, place.scale, place.rotation_degrees, size_wh), (0, 0, 1)))
    last_x, last_y = size_wh[0] - 1, size_wh[1] - 1
    points = np.linalg.inv(matrix) @ np.array([[0, last_x, 0, last_x], [0, 0, last_y, last_y], [1, 1, 1, 1]])
    x = image_width - 1 - points[0] if place.flipped else points[0]
    return np.stack((x, points[1]), axis=1)


def test_without_turns_and_scales_the_box_itself_is_kept():
    # 60 x 80 around (100, 100), three pixels of margin, and one to make the end exclusive.
    place = Placement(np.array([100.0, 100.0]), np.array([0.3, 0.4]), np.zeros((17, 2)), np.zeros(17))
    region = reachable(place, NO_AUGMENTATION, COCO, (640, 480), (48, 64), limit=UNBOUNDED)
    assert region.box == (67, 57, 134, 144)
    assert region.size_wh == (67, 87)


def test_a_quarter_turn_reaches_the_diagonal():
    # a = 30, b = 40: 50 pixels every way.
    place = Placement(np.array([100.0, 100.0]), np.array([0.3, 0.4]), np.zeros((17, 2)), np.zeros(17))
    turned = replace(NO_AUGMENTATION, rotation_probability=1.0, rotation_degrees=45.0)
    region = reachable(place, turned, COCO, (640, 480), (48, 64), limit=UNBOUNDED)
    assert region.box == (47, 47, 154, 154)


@pytest.mark.parametrize("limit", [500, 5000, 20_000])
def test_a_large_person_is_kept_in_at_most_the_pixels_of_the_limit(limit):
    place = Placement(np.array([300.0, 200.0]), np.array([1.2, 1.6]), np.zeros((17, 2)), np.zeros(17))
    region = reachable(place, Augmentation(), COCO, (640, 480), (48, 64), limit=limit)
    kept = region.cut(np.zeros((480, 640, 3), np.uint8))
    assert kept.shape == (region.size_wh[1], region.size_wh[0], 3)
    assert 0.8 * limit < kept.shape[0] * kept.shape[1] <= limit


@pytest.mark.parametrize("warp", WARPS)
def test_a_shrunk_person_stays_where_he_was(tmp_path, warp):
    # A slope of 3 grey levels a pixel: half a pixel of displacement would be 1.5 levels, beside 1 of rounding.
    content = document(1)
    content["annotations"][0]["bbox"] = [22.0, 14.0, 16.0, 20.0]
    people = load_people(write(tmp_path, content), "val2017", aspect=0.75)
    x, y = np.meshgrid(np.arange(SIDES[0]), np.arange(SIDES[1]))
    slopes = np.stack((3 * x, 3 * y, 250 - 3 * x), axis=2).astype(np.uint8)
    path = people.image_files[0].with_suffix(".png")
    assert cv2.imwrite(str(path), slopes)
    people = replace(people, image_files=(path,))
    options = {"augmentation": replace(NO_AUGMENTATION, flip_probability=0.5), "seed": 0}
    pipeline = pipeline_of(people, SIZE, region_pixels=250, warp=warp, **options)
    flips = set()
    for epoch in range(6):
        pipeline.set_epoch(epoch)
        reference = expected(people, [0], epoch=epoch, **options)["image"]
        assert grey_levels(pipeline.batch([0])["image"], reference) <= 1.2 + GREY - 1
        flips.add(bool(reference[0, 0, 30, 40] > reference[0, 0, 30, 8]))
    region = pipeline.store.take([0])[0].region
    assert region.matrix[0, 0] < 0.8, "not shrunk"
    assert flips == {False, True}


def test_in_evaluation_the_crop_itself_is_kept(people):
    place = PoseDataset(people, SIZE).place(0, SIDES[0])
    region = whole_crop(place, SIDES[0], (48, 64))
    assert region.size_wh == (48, 64)
    np.testing.assert_array_equal(region.matrix, affine(place.center, place.scale, 0, (48, 64)))


# Targets.


@pytest.mark.parametrize("form", ["released", "dark", "udp"])
@pytest.mark.parametrize(("sigma", "stride"), [(2.0, (4.0, 4.0)), (3.0, (191 / 47, 255 / 63))])
def test_targets_are_those_of_the_loop(sigma, stride, form):
    options = {"sigma": sigma, "stride": stride, "form": form}
    random = np.random.default_rng(0)
    joints = random.uniform(-70, 330, (200, 17, 2)).astype(np.float32)
    joints[:100] = np.rint(joints[:100] / 2) * 2  # half of these lie on the edge between two heat-map pixels
    visible = random.integers(0, 3, (200, 17))
    target, weight = gaussian_targets_batch(torch.tensor(joints), torch.tensor(visible), (48, 64), **options)
    for n in range(200):
        wanted, wanted_weight = gaussian_targets(joints[n], visible[n], (48, 64), **options)
        assert np.abs(target[n].numpy() - wanted).max() <= 1e-6
        np.testing.assert_array_equal(weight[n].numpy(), wanted_weight)
    assert 0.1 < weight.mean() < 0.9
    assert target.max() > 0.99


def test_a_square_that_ends_one_pixel_before_the_map_keeps_its_weight():
    # sigma 2: radius 6. At x = -30 the centre is trunc(-7) = -7 and the square ends at -1; one further it is outside.
    joints = torch.tensor([[[-30.0, 100.0], [-34.0, 100.0]]])
    target, weight = gaussian_targets_batch(joints, torch.full((1, 2), 2), (48, 64), sigma=2.0)
    assert weight.flatten().tolist() == [1, 0]
    assert target.abs().max() == 0


# Decoding.


def places(count):
    """Centres and scales of so many crops, near and far."""
    random = np.random.default_rng(5)
    centers = random.uniform(0, 600, (count, 2)).astype(np.float32)
    return centers, random.uniform(0.1, 4, (count, 2)).astype(np.float32)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("form", ["released", "axes"])
@pytest.mark.parametrize("crops", ["released", "udp"])
@pytest.mark.parametrize("size", [(64, 48), (96, 72), (5, 4)])
def test_decoding_is_that_of_the_host_to_the_bit(size, crops, form, device):
    random = np.random.default_rng(0)
    maps = random.normal(0, 1, (40, 17, *size)).astype(np.float32)
    maps[10:20] = np.rint(maps[10:20])  # ties, of peaks and of neighbours
    maps[0, :6] = -np.abs(maps[0, :6])  # nothing positive
    maps[1] = 0
    edges = [(0, 0), (1, 1), (2, 2), (-1, -1), (-2, -2), (0, 2), (2, 0), (-2, 2), (1, 2), (2, 1), (-1, 2), (2, -1)]
    for k, (x, y) in enumerate(edges):
        maps[2, k, y, x] = 9
    centers, scales = places(40)
    wanted, heights = decode(maps, centers, scales, form=form, crops=crops)
    tensors = (torch.tensor(a, device=device) for a in (maps, centers, scales))
    points, maxvals = decode_batch(*tensors, form=form, crops=crops)
    assert points.dtype == maxvals.dtype == torch.float32
    np.testing.assert_array_equal(points.cpu().numpy(), wanted)
    np.testing.assert_array_equal(maxvals.cpu().numpy(), heights)


def bumps(count, size, *, noise):
    """Gaussians anywhere, at borders too, of heights 0.2 to 1 over uniform noise; and some maps without a peak."""
    random, (height, width) = np.random.default_rng(2), size
    x, y = random.uniform((0, 0), (width - 1, height - 1), (count, 17, 2)).transpose(2, 0, 1)[..., None, None]
    distance = (np.arange(width) - x) ** 2 + (np.arange(height)[:, None] - y) ** 2
    maps = random.uniform(0.2, 1, (count, 17, 1, 1)) * np.exp(-distance / 8) + noise * random.random(distance.shape)
    maps[0, :3] *= -1
    maps[0, 3] = 0
    return maps.astype(np.float32)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("form", ["dark", "udp"])
@pytest.mark.parametrize(("sigma", "post_gaussian"), [(2.0, 0), (3.0, 0), (1.0, 0), (2.0, 11)])
def test_newton_steps_are_those_of_the_host_to_a_ten_thousandth_of_a_map_pixel(form, sigma, post_gaussian, device):
    maps = bumps(24, (64, 48), noise=0.02)
    ones = np.ones((24, 2), np.float32)
    scales = ones * np.float32([48 / 200, 64 / 200])  # a pixel of the crop is one of the map
    options = {"form": form, "sigma": sigma, "post_gaussian": post_gaussian}
    wanted, heights = decode(maps, ones, scales, **options)
    points, maxvals = decode_batch(*(torch.tensor(a, device=device) for a in (maps, ones, scales)), **options)
    assert points.dtype == maxvals.dtype == torch.float32
    np.testing.assert_allclose(points.cpu().numpy(), wanted, atol=1e-4)
    np.testing.assert_allclose(maxvals.cpu().numpy(), heights, rtol=1e-6)
    steps = wanted - decode(maps, ones, scales, form="released", post_gaussian=post_gaussian)[0]
    assert (np.abs(steps) > 0.1).mean() > 0.2, "hardly anything moved"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [(64, 48), (5, 4)])
@pytest.mark.parametrize("form", ["released", "axes"])
def test_the_filter_before_decoding_is_that_of_the_host(form, size, device):
    maps = bumps(24, size, noise=0.1)
    centers, scales = places(24)
    wanted, heights = decode(maps, centers, scales, form=form, post_gaussian=11)
    tensors = (torch.tensor(a, device=device) for a in (maps, centers, scales))
    points, maxvals = decode_batch(*tensors, form=form, post_gaussian=11)
    np.testing.assert_allclose(maxvals.cpu().numpy(), heights, rtol=1e-6)
    other = np.abs(points.cpu().numpy() - wanted).max(axis=2) > 1e-3
    assert other.mean() < 0.01, "more than near-ties"
    assert not np.array_equal(wanted, decode(maps, centers, scales, form=form)[0])


@pytest.mark.parametrize(("side", "half"), [(48, 5), (5, 5), (4, 8), (2, 3), (1, 5)])
def test_beyond_the_border_a_map_is_mirrored_as_opencv_does(side, half):
    wanted = [cv2.borderInterpolate(at, side, cv2.BORDER_REFLECT_101) for at in range(-half, side + half)]
    assert _mirrored(side, half, torch.device("cpu")).tolist() == wanted


@pytest.mark.parametrize("device", [CUDA])
@pytest.mark.parametrize("form", ["released", "axes", "dark", "udp"])
def test_the_flip_test_and_decoding_do_not_wait_for_the_device(form, device):
    maps, centers, scales = (torch.tensor(a, device=device) for a in (bumps(4, (64, 48), noise=0.02), *places(4)))
    order = torch.tensor(COCO.flip_order, device=device)
    torch.cuda.set_sync_debug_mode("error")
    try:
        both = flip_averaged(torch.nn.Identity(), maps, order)
        decode_batch(both, centers, scales, form=form, post_gaussian=11)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_normalisation_is_the_published_one_of_whole_grey_levels(people):
    pipeline = pipeline_of(people, SIZE, augmentation=Augmentation(), warp="torch")
    pixels = pipeline.batch(range(len(people)))["image"]
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    grey = (pixels * std + mean) * 255
    assert (grey - grey.round()).abs().max() < 1e-3
    assert grey.max() > 100
