"""Weights in files, under our names or those of the released Lite-HRNet code and of mmpose."""

from __future__ import annotations

import hashlib
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from archlab.core import notes
from archlab.core.errors import InputError, Problem, missing_file
from archlab.core.files import replacing, write_bytes
from archlab.network.module import Network, auxiliary_layers

# Ours -> released; the first match counts. {s} counts stages from 0 in Lite-HRNet. Layers end in `conv` or `norm`.
LITE_HRNET = (
    (r"stem\.conv", "backbone.stem.conv1.{layer}"),
    (r"stem\.first\.depthwise", "backbone.stem.branch1.0.{layer}"),
    (r"stem\.first\.pointwise", "backbone.stem.branch1.1.{layer}"),
    (r"stem\.second\.expand", "backbone.stem.expand_conv.{layer}"),
    (r"stem\.second\.depthwise", "backbone.stem.depthwise_conv.{layer}"),
    (r"stem\.second\.project", "backbone.stem.linear_conv.{layer}"),
    (r"stage(\d)\.transition\.kept(\d)\.(depthwise|pointwise)", "backbone.transition{s}.{1}.{pair:2}"),
    (r"stage(\d)\.transition\.new(\d)\.(depthwise|pointwise)", "backbone.transition{s}.{1}.0.{pair:2}"),
    (r"stage(\d)\.module(\d+)\.unit(\d+)\.cross_resolution\.(reduce|expand)",
     "backbone.stage{s}.{1}.layers.{2}.cross_resolution_weighting.{two:3}.{layer}"),
    (r"stage(\d)\.module(\d+)\.unit(\d+)\.depthwise(\d)",
     "backbone.stage{s}.{1}.layers.{2}.depthwise_convs.{3}.{layer}"),
    (r"stage(\d)\.module(\d+)\.unit(\d+)\.spatial\.branch(\d)\.(reduce|expand)",
     "backbone.stage{s}.{1}.layers.{2}.spatial_weighting.{3}.{two:4}.conv"),
    (r"stage(\d)\.module(\d+)\.unit(\d+)\.branch(\d)\.(expand|depthwise|project)",
     "backbone.stage{s}.{1}.layers.{3}.{2}.branch2.{place}.{layer}"),
    (r"stage(\d)\.module(\d+)\.fusion\.to(\d)\.from(\d)\.pointwise", "backbone.stage{s}.{1}.fuse_layers.{2}.{3}.{one}"),
    (r"stage(\d)\.module(\d+)\.fusion\.to(\d)\.from(\d)\.step(\d)\.(depthwise|pointwise)",
     "backbone.stage{s}.{1}.fuse_layers.{2}.{3}.{4}.{pair:5}"),
    (r"head\.project(\d)\.(depthwise|pointwise)", "backbone.head_layer.projects.{0}.{1}_conv.{layer}"),
    (r"last", "keypoint_head.final_layer"),
)  # fmt: skip
HRNET = (
    (r"stem\.0\.conv([12])", "backbone.{kind}{0}"),
    (r"stem\.1\.conv([123])", "backbone.layer1.0.{kind}{0}"),
    (r"stem\.1\.shortcut", "backbone.layer1.0.downsample.{one}"),
    (r"stage(\d)\.transition\.kept(\d)", "backbone.transition{t}.{1}.{one}"),
    (r"stage(\d)\.transition\.new(\d)", "backbone.transition{t}.{1}.0.{one}"),
    (r"stage(\d)\.module(\d+)\.unit(\d+)\.branch(\d)\.conv([12])", "backbone.stage{0}.{1}.branches.{3}.{2}.{kind}{4}"),
    (r"stage(\d)\.module(\d+)\.fusion\.to(\d)\.from(\d)\.pointwise", "backbone.stage{0}.{1}.fuse_layers.{2}.{3}.{one}"),
    (r"stage(\d)\.module(\d+)\.fusion\.to(\d)\.from(\d)\.step(\d)",
     "backbone.stage{0}.{1}.fuse_layers.{2}.{3}.{4}.{one}"),
    (r"last", "keypoint_head.final_layer"),
)  # fmt: skip

HEAD = "last."
"""Prefix of the keys of the last layer, whose size follows from the network's outputs."""
RELEASED_HEAD = "keypoint_head.final_layer."
SAFETENSORS = ".safetensors"
DIGEST = "sha256"
"""The entry in the metadata of a safetensors file with the hash of its tensors."""


def load_released(network: nn.Module, state_dict: Mapping[str, Any]) -> None:
    """Load a released checkpoint into `network`, in place.

    state_dict: with or without the wrapper {"state_dict": ...} and the prefix `module.`; its head is called
      `keypoint_head` or `head`.
    Raises InputError naming every key that is missing, unexpected or of another shape; the network is then unchanged.
    """
    released = _unwrapped(state_dict)
    ours = network.state_dict()
    names = {key: released_name(key, ours) for key in ours}
    _check(names, ours, released)
    network.load_state_dict({key: released[name] for key, name in names.items()})


def to_released(network: nn.Module) -> dict[str, Tensor]:
    """Return the network's weights under the released key names. Raises InputError for layers without such a name."""
    ours = network.state_dict()
    names = {key: released_name(key, ours) for key in ours}
    unnamed = [key for key, name in names.items() if name.startswith("?")]
    if unnamed:
        raise InputError(Problem("the released code has no such layer", key) for key in unnamed)
    return {name: ours[key] for key, name in names.items()}


def load_file(path: Path) -> dict[str, Any]:
    """Read a checkpoint file without running code in it. Raises InputError if it is damaged or no checkpoint."""
    if not path.is_file():
        raise missing_file(path, "checkpoint")
    if path.suffix == SAFETENSORS:
        return _load_safetensors(path)
    _check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols, of no help for a wrong file
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's message advises to disable the safe mode
        reason = "it is not one, or holds more than tensors and plain values"
        raise InputError(Problem(f"not a checkpoint that can be read safely: {reason}", file=str(path))) from error
    except Exception as error:  # the unpickler of damaged bytes may raise anything
        reason = str(error).strip().split("\n")[0][:200] or type(error).__name__
        raise InputError(Problem(f"not a checkpoint that can be read: {reason}", file=str(path))) from error
    if not isinstance(content, dict):
        found = type(content).__name__
        raise InputError(Problem(f"a checkpoint is a dictionary of tensors, this is a {found}", file=str(path)))
    return content


def _check_archive(path: Path) -> None:
    """Raise InputError if an archive of torch.save is damaged, or holds what torch.save does not write.

    torch does not verify the checksums that it writes. It stores tensors as they are: a compressed part could take any
    amount of memory.
    """
    if not zipfile.is_zipfile(path):
        return  # the format before torch 1.6, which has no checksums
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [part.filename for part in archive.infolist() if part.compress_type != zipfile.ZIP_STORED]
            damaged = None if packed else archive.testzip()
    except Exception as error:  # of damaged bytes, zipfile raises more than BadZipFile
        packed, damaged = [], str(error) or type(error).__name__
    if packed:
        raise InputError(Problem(f"{packed[0]} is compressed, which torch.save does not do", file=str(path)))
    if damaged:
        raise InputError(Problem(f"the checkpoint is damaged: {damaged}", file=str(path)))


def save_weights(network: nn.Module, path: Path, *, released_keys: bool = False) -> None:
    """Write the weights as safetensors or as torch.save does, by the file's ending.

    released_keys: under the released key names. Raises InputError for another ending, and for layers without such a
    name; nothing is written then.
    """
    check_savable(network, path, released_keys=released_keys)
    tensors = to_released(network) if released_keys else network.state_dict()
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    if path.suffix == SAFETENSORS:
        write_bytes(path, safetensors.torch.save(tensors, metadata={"format": "pt", DIGEST: _digest(tensors)}))
        return
    with replacing(path) as temporary:
        torch.save(tensors, temporary)


def check_savable(network: nn.Module, path: Path, *, released_keys: bool = False) -> None:
    """Raise InputError if `save_weights` would."""
    if path.suffix not in (SAFETENSORS, ".pt", ".pth"):
        raise InputError(Problem(f"a file of weights ends in {SAFETENSORS}, .pt or .pth", file=str(path)))
    if released_keys:
        to_released(network)


def _load_safetensors(path: Path) -> dict[str, Any]:
    """Return the tensors of a safetensors file; the format has no checksum, so only files of archlab are verified."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(Problem(f"not a safetensors file that can be read: {error}", file=str(path))) from error
    if metadata.get(DIGEST, "") not in ("", _digest(tensors)):
        raise InputError(Problem(f"the weights are damaged: their {DIGEST} is another", file=str(path)))
    return tensors


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Return a hash of names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def load_weights(network: nn.Module, path: Path) -> str:
    """Load our weights or a released checkpoint into `network`, in place; return the kind that it was."""
    kind, _ = _load(network, path)
    return kind


def load_for_finetuning(network: nn.Module, path: Path) -> str:
    """Load weights as `load_weights` does, except for a last layer that the file lacks or has in another size.

    That layer keeps its initial values, and so do all auxiliary outputs if the file lacks one of their layers. Return a
    sentence about what was loaded and what was re-initialised.
    Raises InputError if anything else does not fit; the network is then unchanged.
    """
    kind, had = _load(network, path, new_head=True)
    has = _outputs(network.state_dict())
    if had == has:
        return f"{kind} of {path.name}, all layers"
    missing = "is missing" if had is None else f"has {had} outputs"
    return f"{kind} of {path.name}, except the last layer: it {missing} in the file and is re-initialised with {has}"


def outputs_in(path: Path) -> int | None:
    """Return the number of outputs of the last layer in a file of weights, ours or released; None if it has none.

    Raises InputError if the file is not a checkpoint.
    """
    given = _unwrapped(load_file(path))
    released = {name.replace(RELEASED_HEAD, HEAD): value for name, value in given.items() if RELEASED_HEAD in name}
    return _outputs(given) or _outputs(released)


def weights_digest(path: Path) -> str:
    """Return a short hash of a file of weights, part of a run's fingerprint. Raises InputError if there is no file."""
    if not path.is_file():
        raise missing_file(path, "checkpoint")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _load(network: nn.Module, path: Path, *, new_head: bool = False) -> tuple[str, int | None]:
    """Load a file; return the kind of weights that it holds and the number of outputs of its last layer."""
    given = _unwrapped(load_file(path))
    ours = network.state_dict()
    aside = auxiliary_layers(network.graph) if isinstance(network, Network) else frozenset()
    given = {key: value for key, value in given.items() if key in ours or key.rpartition(".")[0] not in aside}
    own = any(key in ours for key in given)
    names = {key: key if own else released_name(key, ours) for key in ours}
    had = _outputs({key: given[name] for key, name in names.items() if name in given})
    head = {key: name for key, name in names.items() if key.startswith(HEAD)}
    left = head if new_head and had != _outputs(ours) else {}
    if new_head:
        left = left | _unfit(names, ours, given, aside)
    wanted = {key: name for key, name in names.items() if key not in left}
    taken = {name: value for name, value in given.items() if name not in left.values()}
    try:
        _check(wanted, ours, taken)
    except InputError as error:
        raise InputError(Problem(p.message, p.field, str(path)) for p in error.problems) from None
    loaded = {key: taken[name] for key, name in wanted.items()}
    network.load_state_dict(ours | loaded)
    note_nan(loaded, path)
    return "archlab weights" if own else "released checkpoint", had


def note_nan(weights: Mapping[str, Any], path: Path) -> None:
    """Print a note if weights of a file hold values that are not finite."""
    floats = {key: value for key, value in weights.items() if isinstance(value, Tensor) and value.is_floating_point()}
    if broken := [key for key, value in floats.items() if not value.isfinite().all()]:
        count = f"{len(broken)} of {len(weights)} tensors hold NaN or infinite values"
        notes.note(f"{path}: {count}, the first is {broken[0]}")


def _unfit(
    names: Mapping[str, str], ours: Mapping[str, Tensor], given: Mapping[str, Any], aside: frozenset[str]
) -> dict[str, str]:
    """Return the names of the layers of auxiliary outputs, unless a file has all of them in their sizes."""
    own = {key: name for key, name in names.items() if key.rpartition(".")[0] in aside}
    sizes = [getattr(given.get(name), "shape", None) for name in own.values()]
    return {} if sizes == [ours[key].shape for key in own] else own


def _outputs(weights: Mapping[str, Any]) -> int | None:
    """Return the number of maps or classes of the last layer, None if there is no such layer."""
    sizes = [
        len(value)
        for key, value in weights.items()
        if key.startswith(HEAD) and isinstance(value, Tensor) and value.ndim
    ]
    return sizes[0] if sizes else None


def released_name(key: str, keys: Iterable[str]) -> str:
    """Return the released name of one of our state-dict keys, `?` and the key if it has none.

    keys: all keys of the network; they show whether it is an HRNet and which layers a shuffle block has.
    """
    scope, _, parameter = key.rpartition(".")
    head, _, layer = scope.rpartition(".")
    own = layer in {"conv", "norm"}
    base = head if own else scope
    layer = layer if own else "conv"
    for pattern, template in HRNET if any(k.startswith("stem.0.") for k in keys) else LITE_HRNET:
        if found := re.fullmatch(pattern, base):
            return f"{_filled(template, found.groups(), layer, base, keys)}.{parameter}"
    return f"?{key}"


def _filled(template: str, groups: tuple[str, ...], layer: str, base: str, keys: Iterable[str]) -> str:
    norm = layer == "norm"
    words: dict[str, Callable[[], str]] = {
        "layer": lambda: "bn" if norm else "conv",
        "kind": lambda: "bn" if norm else "conv",
        "one": lambda: str(int(norm)),
        "s": lambda: str(int(groups[0]) - 2),
        "t": lambda: str(int(groups[0]) - 1),
        "place": lambda: str(_place(base, keys)),
    }

    def word(match: re.Match[str]) -> str:
        name, _, argument = match[1].partition(":")
        if name == "pair":
            return str(2 * (groups[int(argument)] == "pointwise") + norm)
        if name == "two":
            return "conv2" if groups[int(argument)] == "expand" else "conv1"
        return groups[int(name)] if name.isdigit() else words[name]()

    return re.sub(r"\{([^}]+)\}", word, template)


def _place(base: str, keys: Iterable[str]) -> int:
    """Return the position of a shuffle block's layer among those of expand, depthwise and project that it has."""
    block, name = base.rsplit(".", 1)
    remaining = [n for n in ("expand", "depthwise", "project") if any(k.startswith(f"{block}.{n}.") for k in keys)]
    return remaining.index(name)


def _unwrapped(content: Mapping[str, Any]) -> dict[str, Tensor]:
    inner = content.get("state_dict", content)
    inner = inner if isinstance(inner, Mapping) else content
    named = {}
    for key, value in inner.items():
        name = str(key).removeprefix("module.")
        named["keypoint_" + name if name.startswith("head.") and "final_layer" in name else name] = value
    return named


def _check(names: Mapping[str, str], ours: Mapping[str, Tensor], given: Mapping[str, Any]) -> None:
    """Raise InputError unless every name is given with the right shape and no other is given."""
    problems = []
    for key, name in names.items():
        if name not in given:
            problems.append(Problem(f"the checkpoint has no {name}", key))
        elif not isinstance(given[name], Tensor) or given[name].shape != ours[key].shape:
            found = tuple(given[name].shape) if isinstance(given[name], Tensor) else type(given[name]).__name__
            problems.append(Problem(f"{name} is {found}, the network needs {tuple(ours[key].shape)}", key))
    left_over = [name for name in given if name not in set(names.values())]
    problems += [Problem("in the checkpoint, not in the network", name) for name in left_over]
    if problems:
        many = len(problems) - 12
        more = [Problem(f"and {many} more")] if many > 0 else []
        raise InputError([Problem(_fit(names, given)), *problems[:12], *more])


def _fit(names: Mapping[str, str], given: Mapping[str, Any]) -> str:
    there = sum(name in given for name in names.values())
    return f"the checkpoint does not fit: it has {there} of the network's {len(names)} tensors, of {len(given)} given"
