"""Reading a network's file: what it extends, what the caller overrides, and all its problems at once."""

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


def load(
    name_or_path: str | Path,
    *,
    input: Shape | None = None,
    outputs: int | None = None,
    plugin: Iterable[str] = (),
    **fields: Any,
) -> Spec:
    """Read a network's file, or a built-in one by name, with fields overridden.

    `input` is (C, H, W). A field is a dotted path (`**{"stages.modules": [3, 8, 3]}`) or the last part of one where
    that is not ambiguous (`spatial_ratio=4`). `plugin` names modules whose BLOCKS join the built-in ones. Raises
    InputError with every problem of the file.
    """
    path = find(name_or_path)
    document = read(path)
    return resolve(path.stem, document, _overrides(input, outputs, fields), registry.blocks(plugin))


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
    return resolve(name, document, _overrides(input, outputs, fields), registry.blocks(plugin))


def _overrides(input: Shape | None, outputs: int | None, fields: Mapping[str, Any]) -> dict[str, Item]:
    given = {**fields, "input": None if input is None else list(input), "outputs": outputs}
    return {
        name: yamlio.item_of(value, file="") for name, value in given.items() if name in fields or value is not None
    }


def find(name_or_path: str | Path) -> Path:
    return builtin.find(name_or_path, "search_spaces", "*/*.yaml", "network")


def read(path: Path, *, above: tuple[Path, ...] = ()) -> Item:
    """Read a file and lay it over the one that it extends: a variant over its base, a user's file over a variant."""
    return _extended(yamlio.read(path), path, path.parent, above)


def _extended(item: Item, path: Path, folder: Path | None, above: tuple[Path, ...] = ()) -> Item:
    """Lay an item over what it extends. `folder`: where a parent's file may lie; None: only built-in ones exist."""
    if not isinstance(item.value, dict):
        raise InputError(item.problem("a network's file is a mapping of fields to values"))
    parent = item.value.get("extends")
    if parent is None:
        return item
    if len(above) == 2:
        chain = " extends ".join(each.name for each in (*above, path))
        raise InputError(parent.problem(f"{chain}, which extends another: two levels are the most", "extends"))
    beside = folder / f"{parent.value}.yaml" if folder else None
    below = beside if beside and beside.is_file() and beside != path else _parent(parent)
    return yamlio.overlay(read(below, above=(*above, path)), item)


def _parent(parent: Item) -> Path:
    """The built-in network that `extends:` names."""
    try:
        return find(str(parent.value))
    except InputError as error:
        raise InputError(parent.problem(problem.message, "extends") for problem in error.problems) from None


def resolve(
    name: str, document: Item, overrides: Mapping[str, Item], blocks: registry.Table, uses: Uses | None = None
) -> Spec:
    """Check a document and turn either form into declared nodes; `uses` remembers what was checked before."""
    problems: list[Problem] = []
    for key, value in overrides.items():
        try:
            document = yamlio.set_path(document, full_path(document, key, blocks), value)
        except InputError as error:
            problems += error.problems
    form = yamlio.parse_partly(document, SpecForm)
    reader = BlockReader(blocks, document, [*problems, *form.problems], uses)
    nodes, _, input = declare(reader, form.sound)
    if form.value is None or reader.problems:
        wired = [] if input is None else misfits(nodes, input, form.sound.get("outputs"))
        raise InputError(in_order([*reader.problems, *wired]))
    return Spec(name, form.value.input, form.value.outputs, form.value.initialisation, tuple(nodes), LAST, document)


def at_input(spec: Spec, input: Shape) -> Spec:
    """The network for inputs of another (C, H, W); what it declares does not depend on that."""
    return replace(spec, input=input, document=yamlio.set_path(spec.document, "input", yamlio.item_of(list(input))))


def plain_fusion(spec: Spec) -> Spec:
    """The network with HRNet's sum, `sum: plain`, in each of its `fusion` blocks; one that has none stays as it is.

    Its document says so, in either form: `stages.fusion` may be a name, a mapping or a list with one entry a stage.
    Blocks called otherwise, also those of plug-ins, are left alone.
    """
    document = spec.document
    for path in _uses(document, "fusion"):
        document = yamlio.set_path(document, f"{path}.sum", yamlio.item_of("plain", file="fusion: plain"))
    own = {node.block: node.function for node in spec.nodes if node.function is not gather}
    return resolve(spec.name, document, {}, registry.blocks() | own)


def _uses(document: Item, block: str) -> Iterator[str]:
    """Dotted paths of the places where a document uses a block, by its name or in a mapping."""
    places = {name: document.entries.get(name) for name in ("stem", "head")}
    for form in ("stages", "nodes"):
        inside = document.entries[form].entries if form in document.entries else {}
        places |= {f"{form}.{name}": item for name, item in inside.items()}
    for path, item in places.items():
        yield from _named(item, path, block) if item else ()


def _named(item: Item, path: str, block: str) -> Iterator[str]:
    if isinstance(item.value, tuple):
        for position, each in enumerate(item.value):
            yield from _named(each, f"{path}.{position}", block)
    elif item.entries.get("block", item).value == block:
        yield path


def full_path(document: Item, name: str, blocks: registry.Table) -> str:
    """The dotted path that a field name stands for: itself, or the one path that ends in it."""
    if "." in name or name in SpecForm.__dataclass_fields__:
        return name
    found = [path for path in _paths(document, blocks) if path.rsplit(".", 1)[-1] == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"field {name!r} is ambiguous: {', '.join(found[:8])}")
    known = {path.rsplit(".", 1)[-1] for path in _paths(document, blocks)} | set(SpecForm.__dataclass_fields__)
    raise InputError(f"this network has no field {name!r}{nearest(name, sorted(known))}")


def _paths(item: Item, blocks: registry.Table, prefix: str = "") -> Iterator[str]:
    """Dotted paths of a document's fields and of the arguments of the blocks it uses."""
    written = item.value if isinstance(item.value, dict) else {}
    names = dict.fromkeys(written)
    used = written["block"].value if "block" in written else item.value
    if prefix and isinstance(used, str) and used in blocks:
        names |= dict.fromkeys(registry.keywords(blocks[used]))
    for name in names:
        yield prefix + name
        if name in written and name != "block":
            yield from _paths(written[name], blocks, f"{prefix}{name}.")
