"""Commands on networks: build one, list what there is, print a file format."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archlab.cli import options
from archlab.cli.output import print_json, print_table
from archlab.cli.parser import Command, Group, Parser, first_line
from archlab.core import notes

if TYPE_CHECKING:
    from archlab.cli.schemas import Kind
    from archlab.network.graph import Graph

KINDS = ("networks", "spaces", "studies", "searches", "recipes", "blocks", "datasets")
SCHEMAS: Mapping[str, Kind] = {
    "networks": "network",
    "spaces": "space",
    "recipes": "recipe",
    "studies": "study",
    "searches": "search",
}
"""Kinds of files, and the word for one file of that kind."""


def build(o: argparse.Namespace) -> None:
    """Assemble a network and print its cost by stage."""
    import archlab
    from archlab.counting import count, table

    graph = archlab.assemble(options.spec(o, input=o.input, outputs=o.outputs))
    cost = count.cost(graph)
    if o.weights:
        _check_weights(graph, o.weights)
    if o.draw:
        _draw(graph, o.draw)
    folded = _fold(graph, o.weights) if o.fold else None
    if o.json:
        print_json({**table.as_json(graph, cost), **({"folded": folded} if folded else {})})
    else:
        print_table(table.as_table(graph, cost), *table.remarks(graph, cost))
        if folded:
            print(_FOLDED.format(**folded))


_FOLDED = (
    "folded: {operators} operators a pass, {operators_before} before; differs by {difference:.0e} of the output's scale"
)


def _fold(graph: Graph, weights: Path | None) -> dict[str, float]:
    """Return what folding makes of a network, and how far the two differ on random images."""
    from archlab.deploy import folded, program
    from archlab.deploy.simplify import simplify
    from archlab.network import checkpoint, module

    network = module.build(graph).eval()
    if weights:
        checkpoint.load_weights(network, weights)
    before = program.lower(network)
    return {
        "operators": len(simplify(before).ops),
        "operators_before": len(before.ops),
        "difference": folded.check(network, folded.fold(network)),
    }


def _check_weights(graph: Graph, path: Path) -> None:
    from archlab.network import checkpoint, module

    kind = checkpoint.load_weights(module.build(graph), path)
    notes.note(f"{path}: {kind}, every tensor fits")


def _draw(graph: Graph, path: Path) -> None:
    from archlab.core.files import write_bytes
    from archlab.report.drawing import draw
    from archlab.report.drawing.png import as_png

    drawing = draw(graph)
    write_bytes(path, as_png(drawing) if path.suffix == ".png" else drawing.encode())
    notes.note(f"wrote {path}")


def build_arguments(p: Parser) -> None:
    options.network(p)
    p.add_argument("--input", type=options.size, metavar="HxW", help="input size (default: from the network)")
    p.add_argument("--outputs", type=options.whole, metavar="K", help="number of heat-maps (default: from the network)")
    p.add_argument("--weights", type=Path, metavar="FILE", help="check that a checkpoint (ours or released) fits")
    p.add_argument("--fold", action="store_true", help="fold it for inference and check that it computes the same")
    p.add_argument("--draw", type=options.picture, metavar="FILE", help="draw the block graph, as .svg or .png")
    options.plugin(p)
    options.json_output(p)


def show_list(o: argparse.Namespace) -> None:
    """List networks, spaces, studies, recipes, blocks, data sets."""
    known = _known(o.plugin)
    if o.json:
        print_json({kind: [*names] for kind, names in known.items()})
        return
    from rich.table import Table
    from rich.text import Text

    for kind, names in known.items():
        if names and o.kind in (kind, None) and (o.kind or kind != "searches"):
            table = Table(title=kind, title_style="bold", title_justify="left", show_header=False, box=None)
            table.add_column(no_wrap=True)
            table.add_column()
            for name, what in names.items():
                table.add_row(name, Text(_about(what) if isinstance(what, Path) else first_line(what)))
            print_table(table)


def _known(plugin: list[str]) -> dict[str, Mapping[str, Any]]:
    from archlab import tasks
    from archlab.blocks import registry
    from archlab.core import builtin
    from archlab.search.space import space

    networks = builtin.names("search_spaces", "*/*.yaml")
    studies = builtin.names("studies", "*.yaml")
    return {
        "networks": {name: path for name, path in networks.items() if name not in {"base", "space"}},
        "spaces": space.names(),
        "studies": studies,
        "searches": {name: path for name, path in studies.items() if _is_search(path)},
        "recipes": builtin.names("studies", "recipes/*.yaml"),
        "blocks": registry.blocks(plugin),
        "datasets": tasks.datasets(plugin),
    }


def _is_search(path: Path) -> bool:
    from archlab import yamlio

    entries = yamlio.read(path).entries
    return "kind" in entries and entries["kind"].value == "search"


def _about(path: Path) -> str:
    """Return a file's title, else its first comment; of a search, with that word before it."""
    from archlab import yamlio

    entries = yamlio.read(path).entries
    first = path.read_text(encoding="utf-8").split("\n", 1)[0]
    comment = first.removeprefix("#").strip() if first.startswith("#") else ""
    about = str(entries["title"].value) if "title" in entries else comment
    return f"search: {about}" if _is_search(path) else about


def list_arguments(p: Parser) -> None:
    options.kind(p, KINDS, old={}, help=f"one of {', '.join(KINDS)} (default: all)", nargs="?")
    options.plugin(p)
    options.json_output(p, "print one JSON object: names by kind")


def schema(o: argparse.Namespace) -> None:
    """Print the JSON Schema of a kind of file, for an editor."""
    from archlab.cli import schemas

    print(json.dumps(schemas.schema(SCHEMAS[o.kind], plugin=o.plugin), indent=2))


def schema_arguments(p: Parser) -> None:
    old: dict[str, str] = {one: kind for kind, one in SCHEMAS.items()}
    options.kind(p, tuple(SCHEMAS), old=old, help=f"one of {', '.join(SCHEMAS)}")
    options.plugin(p)


GROUP = Group(
    "write and count networks",
    (
        Command("build", build, build_arguments, "build lite_hrnet_18 --set stages.unit.ratio=4"),
        Command("list", show_list, list_arguments, "list networks"),
        Command("schema", schema, schema_arguments, "schema networks > network.schema.json"),
    ),
)
