"""Reading a network's file: the files that it extends, overrides of the caller, and all problems at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from archlab import yamlio
from archlab.blocks import registry
from archlab.blocks.basic import gather
from archlab.blocks.wiring import Shape
from archlab.core import builtin
from archlab.core.errors import InputError, Problem, in_order, nearest
from archlab.network.declare import declare
from archlab.network.graph import misfits
from archlab.network.spec import LAST, Spec, SpecForm
from archlab.network.uses import BlockReader, Uses
from archlab.yamlio import Item

RGB = 3
"""The channels of the images that tasks read."""


def load(
    name_or_path: str | Path,
    *,
    input: Shape | None = None,
    outputs: int | None = None,
    plugin: Iterable[str] = (),
    **fields: Any,
) -> Spec:
    """Read a network's file, or a built-in network by name, with fields overridden.

    input: (C, H, W).
    plugin: modules or `.py` files whose BLOCKS the network may use.
    fields: values by dotted path (`**{"stages.modules": [3, 8, 3]}`), or by its last part if that is not ambiguous
      (`spatial_ratio=4`).
    Raises InputError with every problem of the file.
    """
    path = find(name_or_path)
    return resolve(path.stem, read(path), _overrides(_shape(input), outputs, fields), registry.blocks(plugin))


def load_at(
    name_or_path: str | Path,
    size: tuple[int, int] | None,
    /,
    *,
    outputs: int | None = None,
    plugin: Iterable[str] = (),
    **fields: Any,
) -> Spec:
    """Read a network as `load` does, for inputs of a size (H, W) with as many channels as the file states."""
    path = find(name_or_path)
    document = read(path)
    given = _overrides(input_fields(document, size), outputs, fields)
    return resolve(path.stem, document, given, registry.blocks(plugin))


def load_text(
    text: str,
    name: str,
    *,
    input: Shape | None = None,
    outputs: int | None = None,
    plugin: Iterable[str] = (),
    **fields: Any,
) -> Spec:
    """Read a network from YAML text, with fields overridden as in `load`.

    `name`: the network's; problems give it in place of a file. The text may extend a built-in network.
    Raises InputError with every problem of the text.
    """
    document = _extended(yamlio.read_text(text, name), Path(name), None)
    return resolve(name, document, _overrides(_shape(input), outputs, fields), registry.blocks(plugin))


def input_fields(document: Item, input: Shape | None) -> dict[str, int | list[int]]:
    """Return the values, by path, that give a document an input.

    (H, W) changes no number of channels that the document states; if it states none, there are 3.
    """
    if input is None:
        return {}
    stated = document.entries.get("input")
    if len(input) == 2 and stated and isinstance(stated.value, tuple) and len(stated.value) == 3:
        return {"input.1": input[0], "input.2": input[1]}
    return {"input": [*input] if len(input) == 3 else [RGB, *input]}


def check_channels(spec: Spec) -> None:
    """Raise InputError, with the place in the network's file, unless its input has the 3 channels of RGB images."""
    if problem := channel_problem(spec.document.entries.get("input")):
        raise InputError(problem)


def channel_problem(stated: Item | None) -> Problem | None:
    """Return what is wrong for RGB images with a stated input or its number of channels; None if none is stated."""
    if stated and isinstance(stated.value, tuple):
        stated = next(iter(stated.value), None)
    if stated is None or stated.value == RGB:
        return None
    rule = f"the data are RGB images, of {RGB} channels, but this input has {stated.shown()}"
    return stated.problem(rule, "input")


def _shape(input: Shape | None) -> dict[str, int | list[int]]:
    return {} if input is None else {"input": [*input]}


def _overrides(input: Mapping[str, int | list[int]], outputs: int | None, fields: Mapping[str, Any]) -> dict[str, Item]:
    """Return the overridden values as items, by path."""
    given = {**fields, **input, **({} if outputs is None else {"outputs": outputs})}
    return {name: yamlio.item_of(value, file="") for name, value in given.items()}


def find(name_or_path: str | Path) -> Path:
    return builtin.find(name_or_path, "search_spaces", "*/*.yaml", "network")


def read(path: Path, *, above: tuple[Path, ...] = ()) -> Item:
    """Read a file, overlaid on the file that it extends, which may extend a third one.

    Raises InputError for unreadable files, unknown parents and more than two levels.
    """
    return _extended(yamlio.read(path), path, path.parent, above)


def _extended(item: Item, path: Path, folder: Path | None, above: tuple[Path, ...] = ()) -> Item:
    """Overlay an item on what it extends. `folder`: where a parent's file may lie; None: the parent is built-in."""
    if not isinstance(item.value, dict):
        raise InputError(item.problem("a network's file is a mapping of fields to values"))
    parent = item.value.get("extends")
    if parent is None:
        return item
    if len(above) == 2:
        chain = " extends ".join(each.name for each in (*above, path))
        raise InputError(parent.problem(f"{chain}, which extends another: at most two levels are possible", "extends"))
    near = folder / f"{parent.value}.yaml" if folder else None
    below = near if near and near.is_file() and near != path else _parent(parent)
    return yamlio.overlay(read(below, above=(*above, path)), item)


def _parent(parent: Item) -> Path:
    """Return the file of the built-in network that `extends:` names."""
    try:
        return find(str(parent.value))
    except InputError as error:
        raise InputError(parent.problem(problem.message, "extends") for problem in error.problems) from None


def resolve(
    name: str, document: Item, overrides: Mapping[str, Item], blocks: registry.Table, uses: Uses | None = None
) -> Spec:
    """Return the spec of a document.

    overrides: values by field, as for `load`.
    uses: blocks that were checked before; new ones are added.
    Raises InputError with every problem: of the overrides, of types, of blocks, and of the shapes of sound nodes.
    """
    problems: list[Problem] = []
    for key, value in overrides.items():
        try:
            document = yamlio.set_path(document, full_path(document, key, blocks, value), value)
        except InputError as error:
            problems += error.problems
    form = yamlio.parse_partly(document, SpecForm)
    reader = BlockReader(blocks, document, [*problems, *form.problems], uses)
    nodes, _, input, auxiliary = declare(reader, form.sound)
    if form.value is None or reader.problems:
        ends = [LAST, *(each.node for each in auxiliary)]
        wired = [] if input is None else misfits(nodes, input, form.sound.get("outputs"), ends)
        raise InputError(in_order([*reader.problems, *wired]))
    stated = form.value
    return Spec(name, stated.input, stated.outputs, stated.initialisation, tuple(nodes), LAST, document, auxiliary)


def at_input(spec: Spec, input: Shape) -> Spec:
    """Return the network for inputs of another (C, H, W); its nodes do not depend on it."""
    return replace(spec, input=input, document=yamlio.set_path(spec.document, "input", yamlio.item_of(list(input))))


def plain_fusion(spec: Spec) -> Spec:
    """Return the network with HRNet's sum, `sum: plain`, in each of its `fusion` blocks.

    Its document changes likewise, in either form. Blocks of other names, also of plug-ins, do not change.
    """
    document = spec.document
    for path in _uses(document, "fusion"):
        document = yamlio.set_path(document, f"{path}.sum", yamlio.item_of("plain", file="fusion: plain"))
    own = {node.block: node.function for node in spec.nodes if node.function is not gather}
    return resolve(spec.name, document, {}, registry.blocks() | own)


def _uses(document: Item, block: str) -> Iterator[str]:
    """Yield the dotted paths at which a document uses a block, by its name or in a mapping."""
    places = {name: document.entries.get(name) for name in ("stem", "head")}
    for form in ("stages", "nodes"):
        inside = document.entries[form].entries if form in document.entries else {}
        places |= {f"{form}.{name}": item for name, item in inside.items()}
    for part, written in document.entries.get("parts", Item(None)).entries.items():
        places |= {f"parts.{part}.{name}": item for name, item in written.entries.items()}
    for path, item in places.items():
        yield from _named(item, path, block) if item else ()


def _named(item: Item, path: str, block: str) -> Iterator[str]:
    if isinstance(item.value, tuple):
        for position, each in enumerate(item.value):
            yield from _named(each, f"{path}.{position}", block)
    elif item.entries.get("block", item).value == block:
        yield path


def full_path(document: Item, name: str, blocks: registry.Table, value: Item) -> str:
    """Return the dotted path that a field name stands for: itself, or the only path that ends in it.

    Raises InputError, at the place of the field's `value`, if no path or several paths end in it.
    """
    if "." in name or name in SpecForm.__dataclass_fields__:
        return name
    found = [path for path in _paths(document, blocks) if path.rsplit(".", 1)[-1] == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(value.problem(f"field {name!r} is ambiguous: {', '.join(found[:8])}", name))
    known = {path.rsplit(".", 1)[-1] for path in _paths(document, blocks)} | set(SpecForm.__dataclass_fields__)
    raise InputError(value.problem(f"this network has no field {name!r}{nearest(name, sorted(known))}", name))


def _paths(item: Item, blocks: registry.Table, prefix: str = "") -> Iterator[str]:
    """Yield the dotted paths of a document's fields and of the arguments of its blocks."""
    written = item.value if isinstance(item.value, dict) else {}
    names = dict.fromkeys(written)
    used = written["block"].value if "block" in written else item.value
    if prefix and isinstance(used, str) and used in blocks:
        names |= dict.fromkeys(registry.keywords(blocks[used]))
    for name in names:
        yield prefix + name
        if name in written and name != "block":
            yield from _paths(written[name], blocks, f"{prefix}{name}.")
