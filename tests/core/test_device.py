"""The choice of a device, and the memory format of a network on it."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.refused import refused
from torch import nn

from archlab.core.device import device_name, model_of, pick_device, placed
from archlab.network.layers import DynamicConv

CUDA = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))
DEVICES = ["cpu", CUDA]


@pytest.mark.parametrize("device", DEVICES)
def test_a_network_is_placed_channels_last(device: str) -> None:
    network = placed(nn.Conv2d(8, 4, 3), torch.device(device))
    weight = next(network.parameters())
    assert weight.device.type == device
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_weights_of_five_dimensions_are_placed_too() -> None:
    """Dite-HRNet's dynamic convolutions have them."""
    network = placed(DynamicConv((2, 4, 3, 3), stride=1, padding=1, groups=1), torch.device("cpu"))
    assert network(torch.ones(1, 3, 5, 5), torch.ones(1, 2, 1, 1)).shape == (1, 4, 5, 5)


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta:x"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with refused(f"'{name}'"):
        pick_device(name)


X86 = "processor\t: 0\nmodel\t\t: 143\nmodel name\t: Intel(R) Xeon(R) Processor\nflags\t\t: fpu\n"
ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd0c\nCPU revision\t: 1\n"
BIG_LITTLE = f"{ARM}\n{ARM.replace('0xd0c', '0xd05')}\n{ARM}"
POWER = "processor\t: 0\ncpu\t\t: POWER9, altivec supported\nclock\t\t: 3800MHz\n"
RISCV = "processor\t: 0\nhart\t\t: 1\nisa\t\t: rv64imafdc\nuarch\t\t: sifive,u74-mc\n"


@pytest.mark.parametrize(
    ("listed", "model"),
    [
        (X86 + X86, "Intel(R) Xeon(R) Processor"),
        (ARM + ARM, "Arm 0x41 0xd0c"),
        (BIG_LITTLE, "Arm 0x41 0xd0c 0xd05"),
        ("model name\t: ARMv7 Processor rev 4 (v7l)\n" + ARM, "ARMv7 Processor rev 4 (v7l)"),
        (POWER, "POWER9, altivec supported"),
        (RISCV, "sifive,u74-mc"),
        ("processor\t: 0\n", ""),
        ("", ""),
    ],
)
def test_the_model_of_a_processor_is_known_from_what_each_kind_of_machine_lists(listed: str, model: str) -> None:
    assert model_of(listed) == model


@pytest.mark.parametrize(
    ("system", "answer", "name"),
    [
        ("darwin", "Apple M2 Pro\n", "cpu: Apple M2 Pro"),
        ("darwin", "", "cpu: arm"),
        ("win32", "Apple M2 Pro\n", "cpu: arm"),
    ],
)
def test_without_a_list_the_model_comes_from_sysctl_and_else_from_python(
    monkeypatch: pytest.MonkeyPatch, system: str, answer: str, name: str
) -> None:
    def unreadable(*_: object, **__: object) -> str:
        raise FileNotFoundError

    def answered(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[-1] == "machdep.cpu.brand_string"
        return subprocess.CompletedProcess(command, 0, answer, "")

    monkeypatch.setattr(Path, "read_text", unreadable)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(subprocess, "run", answered)
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert device_name(torch.device("cpu")) == name
