"""From JPEG files to training batches: the batched pipeline against the per-sample OpenCV one, in one run.

    python benchmarks/pipeline.py --out benchmarks/results/pipeline.json

The peer is `PoseDataset`: an image decoded, mirrored, cropped, normalised and given its targets for every sample, with
the same random numbers. All ways make the same epoch (training augmentation, shuffled people); they take turns, so
that a load on the machine meets all of them, and a figure is the median of its turns. Samples/s/core divide by
processor seconds of all threads. The aim is for training: its first epoch decodes every image once for all of its
people, later ones find them decoded. With nothing kept an image is decoded once a batch, which a small set gains from
and a large one does not.
`whole` keeps what augmentation can reach at its own resolution, so that the crops are the peer's to 1 grey level;
`bounded` shrinks it to 320 x 256 pixels. On a CUDA device the same runs with worker threads, images/s are by the wall
clock, and `data wait` is the share by which a captured bf16 step of Lite-HRNet-18 takes longer when it is fed than
when it repeats one batch.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from common import Step, captured, describe, seconds, synchronise
from rich.console import Console
from rich.table import Table

import archlab
from archlab.core.files import write_json
from archlab.network.module import build
from archlab.tasks.loading import load_batches
from archlab.tasks.pose.data.batched import BatchedPipeline
from archlab.tasks.pose.data.coco import People, load_people
from archlab.tasks.pose.data.crops import Augmentation
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.tasks.pose.synthetic import generate
from archlab.tasks.pose.targets import joints_mse

SIZE = (256, 192)
PERSON_BYTES = 2 * 10**6
"""Of the budget: more than is kept of anybody"""
WHOLE = 10**7
BOUND = 320 * 256
"""Pixels: more than an image has"""

Batch = dict[str, torch.Tensor]
Rows = list[list[int]]
Source = Callable[[int, Rows], Iterator[Batch]]
"""(epoch, rows) -> batches on the device"""


@dataclass(frozen=True)
class Way:
    """`make` a source with nothing decoded; `warm`: an epoch goes by before the one that is timed."""

    name: str
    make: Callable[[], Source]
    warm: bool
    aim: float | None = None
    fed: bool = True  # whether it can feed more than the one epoch


@dataclass(frozen=True)
class Row:
    way: str
    samples_per_second_per_core: float
    images_per_second: float
    ratio: float
    aim: float | None
    kept_kilobytes_a_person: float | None
    data_wait: float | None


def ways(people: People, device: torch.device, workers: int) -> list[Way]:
    def peer(cache: int) -> Callable[[], Source]:
        def make() -> Source:
            dataset = PoseDataset(people, SIZE, augmentation=Augmentation(), cache_bytes=cache)
            return lambda epoch, rows: loaded(dataset, epoch, rows, device, workers)

        return make

    def ours(budget: int, pixels: int = WHOLE, **options: Any) -> Callable[[], Source]:
        def make() -> Source:
            pipeline = BatchedPipeline(
                PoseDataset(people, SIZE, augmentation=Augmentation()), device=device, budget_bytes=budget,
                region_pixels=pixels, workers=workers, **options,
            )  # fmt: skip
            return lambda epoch, rows: streamed(pipeline, epoch, rows)

        return make

    everybody = PERSON_BYTES * len(people)
    return [
        Way("per sample, OpenCV (the peer)", peer(0), warm=False),
        Way("per sample, whole images kept decoded", peer(everybody), warm=True),
        Way("batched, first epoch", ours(everybody), warm=False, fed=False),
        Way("batched, nothing kept", ours(0), warm=False),
        Way("batched, later epochs, whole", ours(everybody), warm=True, aim=1.5 if device.type == "cpu" else None),
        Way("batched, later epochs, bounded", ours(everybody, BOUND), warm=True),
        Way("batched, later epochs, whole, torch crops", ours(everybody, warp="torch"), warm=True),
    ]


def loaded(dataset: PoseDataset, epoch: int, rows: Rows, device: torch.device, workers: int) -> Iterator[Batch]:
    dataset.set_epoch(epoch)
    for batch in load_batches(dataset, rows, workers=workers, pin=device.type == "cuda"):
        yield {name: values.to(device, non_blocking=True) for name, values in batch.items()}


def streamed(pipeline: BatchedPipeline, epoch: int, rows: Rows) -> Iterator[Batch]:
    pipeline.set_epoch(epoch)
    yield from pipeline.stream(rows)


def shuffled(people: int, batch: int, epoch: int) -> Rows:
    order = np.random.default_rng(epoch).permutation(people)
    return [order[start : start + batch].tolist() for start in range(0, people - batch + 1, batch)]


def timed(source: Source, rows: Rows, epoch: int, device: torch.device) -> tuple[float, float]:
    """Processor and wall seconds of an epoch."""
    synchronise(device)
    start, started = time.process_time(), time.perf_counter()
    for _ in source(epoch, rows):
        pass
    synchronise(device)
    return time.process_time() - start, time.perf_counter() - started


def kept_kilobytes(people: People) -> dict[str, float]:
    """What the store holds of one person in the mean."""
    figures = {}
    budget = PERSON_BYTES * len(people)
    for name, pixels in (("whole", WHOLE), ("bounded", BOUND)):
        samples = PoseDataset(people, SIZE, augmentation=Augmentation())
        pipeline = BatchedPipeline(samples, budget_bytes=budget, region_pixels=pixels)
        pipeline.store.preload()
        figures[name] = pipeline.store.used_bytes / len(people) / 1e3
    return figures


def make_step(buffers: Batch, device: torch.device) -> Step:
    """A training step of Lite-HRNet-18 on fixed tensors, as training_step.py's fastest on the device."""
    torch.manual_seed(0)
    network = build(archlab.assemble(archlab.load("lite_hrnet_18", input=(3, *SIZE)))).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    on_gpu = device.type == "cuda"
    adam = torch.optim.Adam(network.parameters(), 2e-3, fused=True, capturable=on_gpu)

    def step() -> None:
        adam.zero_grad(set_to_none=not on_gpu)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=on_gpu, cache_enabled=False):
            heatmaps = network(buffers["image"])
        joints_mse(heatmaps.float(), buffers["target"], buffers["weight"]).backward()  # type: ignore[no-untyped-call]
        adam.step()

    return captured(step) if on_gpu else step


def data_wait(source: Source, rows: Rows, device: torch.device) -> float:
    """1 - (seconds of the steps on one batch) / (seconds of the steps that the source feeds)."""
    buffers = {name: values.clone() for name, values in next(source(1, rows[:1])).items()}
    buffers["image"] = buffers["image"].contiguous(memory_format=torch.channels_last)
    same = {name: values.clone() for name, values in buffers.items()}
    step = make_step(buffers, device)

    def feed(batch: Batch) -> None:
        for name in ("image", "target", "weight"):
            buffers[name].copy_(batch[name])
        step()

    feed(same)
    alone = seconds(lambda: feed(same), len(rows), device) * len(rows)
    start = time.perf_counter()
    for batch in source(1, rows):
        feed(batch)
    synchronise(device)
    return max(0.0, 1 - alone / (time.perf_counter() - start))


def measure(people: People, device: torch.device, batch: int, workers: int, turns: int, steps: int) -> list[Row]:
    chosen = ways(people, device, workers)
    cpu: dict[str, list[float]] = {way.name: [] for way in chosen}
    wall: dict[str, list[float]] = {way.name: [] for way in chosen}
    first, rows = shuffled(len(people), batch, 0), shuffled(len(people), batch, 1)
    wait: dict[str, float] = {}
    for turn in range(turns):
        for way in chosen:
            source = way.make()
            if way.warm:
                timed(source, first, 0, device)
            processor, clock = timed(source, rows, 1, device)
            cpu[way.name].append(processor)
            wall[way.name].append(clock)
            if steps and turn == 0 and way.fed:
                fed = (rows * (steps // len(rows) + 1))[:steps]
                wait[way.name] = data_wait(source, fed, device)
    made = len(rows) * batch
    middle = {name: made / statistics.median(values) for name, values in cpu.items()}
    clock_rate = {name: made / statistics.median(values) for name, values in wall.items()}
    kept = kept_kilobytes(people)
    peer, compared = chosen[0].name, middle if device.type == "cpu" else clock_rate
    return [
        Row(
            way.name,
            round(middle[way.name], 1),
            round(clock_rate[way.name], 1),
            round(compared[way.name] / compared[peer], 2),
            way.aim,
            next((round(size, 1) for name, size in kept.items() if name in way.name.split(", ")), None),
            round(wait[way.name], 3) if way.name in wait else None,
        )
        for way in chosen
    ]


def show(rows: list[Row], title: str) -> None:
    table = Table(title=title)
    headings = ("way", "samples/s/core", "images/s", "times the peer", "aim", "kB a person", "data wait")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "way" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in asdict(row).values()))
    console = Console()
    (console if console.is_terminal else Console(width=130)).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder in COCO's layout; default: synthetic people, made once")
    parser.add_argument("--images", type=int, default=100, help="of the synthetic people")
    parser.add_argument("--batch", type=int, help="default: 64 on CUDA, 32 on a CPU")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, help="of training for the data wait; default: 100 on CUDA, none on a CPU")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    o = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    on_gpu = device.type == "cuda"
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    root = o.data or generate(Path("data") / f"full-{o.images}-1-1", level="full", train=o.images, val=1, seed=1)
    people = load_people(root, "train2017", aspect=SIZE[1] / SIZE[0])
    workers = (os.cpu_count() or 1) if on_gpu else 0
    batch = o.batch or (64 if on_gpu else 32)
    rows = measure(people, device, batch, workers, o.turns, (100 if on_gpu else 0) if o.steps is None else o.steps)
    head = describe("pipeline", device)
    show(rows, f"From JPEGs to batches of {batch} at {SIZE[0]} x {SIZE[1]}, {head['device']}")
    if o.out:
        head["versions"] |= {"numpy": np.__version__, "opencv": cv2.__version__}
        data = {"images": len(people.image_files), "people": len(people), "kind": root.name if o.data else "full"}
        settings = {"data": data, "size": SIZE, "batch": batch, "workers": workers, "turns": o.turns}
        write_json(o.out, head | settings | {"rows": [asdict(row) for row in rows]})


if __name__ == "__main__":
    main()
