"""The inside of a block as a few operations: a convolution with its norm and activation is one, a weighting is one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from archlab.blocks.wiring import Leaf, Shape, Wired
from archlab.report.drawing.flow import depends

ACTIVATIONS = {
    "relu": "ReLU", "relu6": "ReLU6", "leaky_relu": "leaky ReLU", "prelu": "PReLU", "hswish": "h-swish",
    "hswish_relu6": "h-swish", "hsigmoid": "h-sigmoid", "hsigmoid_half": "h-sigmoid", "sigmoid": "sigmoid",
    "silu": "SiLU",
}  # fmt: skip
WEIGHTINGS = {"cross_resolution": "H: cross-resolution weighting", "spatial": "F: spatial weighting"}
BARS = {"split", "concat"}


@dataclass(frozen=True)
class Operation:
    """One box of a block's inside.

    kind: selects the fill. scales: the factor of each input in a sum. others: it also reads and feeds other branches.
    """

    kind: str
    label: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    leaves: tuple[Leaf, ...]
    scales: tuple[int, ...]
    others: bool = False


@dataclass(frozen=True)
class Inside:
    """A block's operations in order, its input and output values, and the shape of every value."""

    operations: tuple[Operation, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    shapes: Mapping[int, Shape]

    @property
    def form(self) -> tuple[tuple[str, bool], ...]:
        """Equal for insides that look the same."""
        return tuple((operation.label, operation.others) for operation in self.operations)


def inside_of(wired: Wired, leaves: Sequence[Leaf], outputs: Iterable[int]) -> Inside:
    """Return the inside of a block. leaves: those needed. outputs: the positions of the outputs that are read."""
    ends = tuple(dict.fromkeys(wired.outputs[k] for k in outputs))
    shapes = dict(enumerate(wired.in_shapes)) | _shapes(leaves)
    if _apart(leaves, len(wired.in_shapes), ends):
        ends = ends[:1]
        leaves = _unprefixed(_needed(leaves, ends[0]))
    operations = _merged(_weighted([_single(leaf) for leaf in leaves]), ends)
    inputs = tuple(k for k in range(len(wired.in_shapes)) if any(k in o.inputs for o in operations) or k in ends)
    return _one_branch(Inside(tuple(operations), inputs, ends, shapes))


def _apart(leaves: Sequence[Leaf], inputs: int, ends: Sequence[int]) -> bool:
    """Return whether every output depends on one input that no other output uses."""
    on = depends(tuple(leaves), inputs)
    sources = [on[end] for end in ends]
    return len(ends) > 1 and len(set(sources)) == len(ends) and all(len(source) == 1 for source in sources)


def _needed(leaves: Sequence[Leaf], end: int) -> list[Leaf]:
    """Return the leaves that one value needs."""
    needed, kept = {end}, []
    for leaf in reversed(leaves):
        if needed & set(leaf.outputs):
            kept.append(leaf)
            needed.update(leaf.inputs)
    return kept[::-1]


def _unprefixed(leaves: Sequence[Leaf]) -> list[Leaf]:
    """Remove the `branch0.` from scopes, which a block for a single map has where it is applied to several."""
    if not all(re.match(r"branch\d+\.", leaf.scope) for leaf in leaves if leaf.scope):
        return list(leaves)
    return [replace(leaf, scope=leaf.scope.partition(".")[2]) for leaf in leaves]


def inside_of_weighting(operation: Operation) -> Inside:
    """Return the inside of a weighting."""
    made = {value for leaf in operation.leaves for value in leaf.outputs}
    inputs = tuple(dict.fromkeys(v for leaf in operation.leaves for v in leaf.inputs if v not in made))
    read = {value for leaf in operation.leaves for value in leaf.inputs}
    ends = tuple(
        leaf.outputs[0] for leaf in operation.leaves if leaf.kind == "multiply" and leaf.outputs[0] not in read
    )
    single = [_single(leaf) for leaf in operation.leaves]
    shapes = {v: s for leaf in operation.leaves for v, s in zip(leaf.inputs, leaf.in_shapes, strict=True)}
    return Inside(tuple(_merged(single, ends)), inputs, ends, shapes | _shapes(operation.leaves))


def _single(leaf: Leaf) -> Operation:
    scales = leaf["scales"] if leaf.kind == "add" else (1,) * len(leaf.inputs)
    return Operation(leaf.kind, "", leaf.inputs, leaf.outputs, (leaf,), scales)


def _shapes(leaves: Iterable[Leaf]) -> dict[int, Shape]:
    return {value: shape for leaf in leaves for value, shape in zip(leaf.outputs, leaf.out_shapes, strict=True)}


def _merged(operations: Sequence[Operation], ends: Sequence[int]) -> list[Operation]:
    """Merge each convolution with its norm and activation, where nothing else reads it."""
    readers: dict[int, int] = {}
    for value in [*ends, *(value for operation in operations for value in operation.inputs)]:
        readers[value] = readers.get(value, 0) + 1
    made: list[Operation] = []
    for operation in operations:
        before = next((m for m in made if m.outputs == operation.inputs), None)
        if before and readers[operation.inputs[0]] == 1 and _follows(before, operation):
            joint = replace(before, outputs=operation.outputs, leaves=before.leaves + operation.leaves)
            made[made.index(before)] = joint
        else:
            made.append(operation)
    return [replace(o, kind=_kind(o), label=o.label or ", ".join(map(leaf_text, o.leaves))) for o in _ordered(made)]


def _follows(before: Operation, operation: Operation) -> bool:
    """Whether an operation is drawn in the box of the one before it."""
    last = before.leaves[-1].kind
    convolutions = {"conv", "deconv", "dynamic_conv"}
    layers = convolutions | {"norm", "layer_norm", "module"}
    return (operation.kind == "norm" and last in convolutions) or (
        operation.kind in ACTIVATIONS and last in layers | {"add"} and not before.label
    )


def _ordered(operations: Sequence[Operation]) -> list[Operation]:
    """Each behind what it reads."""
    return sorted(operations, key=lambda operation: min(operation.outputs))


def _kind(operation: Operation) -> str:
    if operation.kind == "conv":
        return "depthwise" if _is_depthwise(operation.leaves[0]) else "conv"
    return operation.kind


def _is_depthwise(leaf: Leaf) -> bool:
    return bool(1 < leaf["groups"] == leaf.in_shapes[0][0] == leaf.out_shapes[0][0])


def leaf_text(leaf: Leaf) -> str:
    """Return the text of an operator."""
    if leaf.kind in ACTIVATIONS:
        return ACTIVATIONS[leaf.kind]
    return _TEXTS[leaf.kind](leaf) if leaf.kind in _TEXTS else leaf.kind.replace("_", " ")


def _conv_text(leaf: Leaf) -> str:
    kernel, stride, groups = leaf["kernel"], leaf["stride"], leaf["groups"]
    depthwise = _is_depthwise(leaf)
    parts = [f"{kernel}x{kernel} {'DWConv' if depthwise else 'Conv'}"]
    parts += [f"stride {stride}"] if stride > 1 else []
    parts += [f"{groups} groups"] if groups > 1 and not depthwise else []
    parts += [f"dilation {leaf['dilation']}"] if leaf["dilation"] > 1 else []
    return ", ".join([*parts, *(["bias"] if leaf["bias"] else [])])


def _size_text(leaf: Leaf) -> str:
    return _sides_text(leaf["size"])


def _sides_text(sides: Sequence[int]) -> str:
    return "x".join(map(str, sides))


_TEXTS: dict[str, Callable[[Leaf], str]] = {
    "conv": _conv_text,
    "deconv": lambda leaf: f"{leaf['kernel']}x{leaf['kernel']} Deconv, stride {leaf['stride']}",
    "norm": lambda leaf: "BN",
    "pool": lambda leaf: "global average pool" if leaf["size"] == (1, 1) else f"average pool to {_size_text(leaf)}",
    "max_pool": lambda leaf: f"{leaf['kernel']}x{leaf['kernel']} max pool, stride {leaf['stride']}",
    "avg_pool": lambda leaf: f"{_sides_text(leaf['kernel'])} average pool, stride {_sides_text(leaf['stride'])}",
    "grid_pool": lambda leaf: f"average pool to {_sides_text(leaf['grid'])}",
    "dynamic_conv": lambda leaf: f"{leaf['kernel']}x{leaf['kernel']} dynamic Conv, {leaf['kernels']} kernels",
    "learned_scale": lambda leaf: f"learned weights over {leaf['axis']}",
    "weighted_runs": lambda leaf: f"weighted sums to {_size_text(leaf)}",
    "mean": lambda leaf: f"mean over {leaf['axis']}",
    "softmax": lambda leaf: f"softmax over {leaf['axis']}",
    "weighted_sum": lambda leaf: f"weighted sum over {leaf['axis']}",
    "upsample": lambda leaf: f"{leaf.get('mode', 'nearest')} upsample x{leaf['factor']}",
    "resize": lambda leaf: f"{leaf['mode']} resize to {_size_text(leaf)}",
    "split": lambda leaf: "channel split",
    "shuffle": lambda leaf: "channel shuffle",
    "module": lambda leaf: str(leaf["factory"].__name__),
}


def _weighted(operations: Sequence[Operation]) -> list[Operation]:
    """Merge every weighting, x times a function of x within one scope, into one operation."""
    made = list(operations)
    for scope in _scopes(operations):
        group = _closure(operations, scope)
        kinds = {operation.kind for operation in group}
        if {"multiply", "pool"} <= kinds and len(group) < len(operations) and not any(o.label for o in group):
            made = [operation for operation in made if operation not in group]
            made.append(_weighting(group, operations, scope))
    return _ordered(made)


def _scopes(operations: Sequence[Operation]) -> list[str]:
    """Return the outermost scopes; for a scope with one scope per branch, those inner scopes."""
    found: dict[str, None] = {}
    for scope in (operation.leaves[0].scope for operation in operations):
        parts = scope.split(".")
        if len(parts) > 1:
            found[".".join(parts[: 2 if re.fullmatch(r"branch\d+", parts[1]) else 1])] = None
    return list(found)


def _closure(operations: Sequence[Operation], scope: str) -> list[Operation]:
    """Return the operations of a scope, those between them, and those that combine its results with its inputs."""
    named = [operation for operation in operations if operation.leaves[0].scope.startswith(scope + ".")]
    above, below = _ancestors(operations, named), _descendants(operations, named)
    group = [o for o in operations if o in named or (o in above and o in below)]
    known = {value for operation in group for value in (*operation.inputs, *operation.outputs)}
    made = {value for operation in group for value in operation.outputs}
    for operation in operations:
        bare = not operation.leaves[0].scope
        if bare and operation not in group and made & set(operation.inputs) and known >= set(operation.inputs):
            group.append(operation)
            known.update(operation.outputs)
            made.update(operation.outputs)
    return _ordered(group)


def _ancestors(operations: Sequence[Operation], group: Sequence[Operation]) -> list[Operation]:
    needed = {value for operation in group for value in operation.inputs}
    found = []
    for operation in reversed(operations):
        if needed & set(operation.outputs):
            found.append(operation)
            needed.update(operation.inputs)
    return found


def _descendants(operations: Sequence[Operation], group: Sequence[Operation]) -> list[Operation]:
    reached = {value for operation in group for value in operation.outputs}
    found = []
    for operation in operations:
        if reached & set(operation.inputs):
            found.append(operation)
            reached.update(operation.outputs)
    return found


def _weighting(group: Sequence[Operation], operations: Sequence[Operation], scope: str) -> Operation:
    made = [value for operation in group for value in operation.outputs]
    inputs = dict.fromkeys(value for operation in group for value in operation.inputs if value not in made)
    outer = {value for operation in operations if operation not in group for value in operation.inputs}
    read = {value for operation in group for value in operation.inputs}
    outputs = tuple(value for value in made if value in outer or value not in read)
    base = re.sub(r"_\d+$", "", scope.split(".")[0])
    label = WEIGHTINGS.get(base, base.replace("_", " "))
    leaves = tuple(leaf for operation in group for leaf in operation.leaves)
    return Operation("weighting", label, _paired(tuple(inputs), outputs, leaves), outputs, leaves, (1,) * len(inputs))


def _paired(inputs: tuple[int, ...], outputs: tuple[int, ...], leaves: Sequence[Leaf]) -> tuple[int, ...]:
    """Return the inputs in the order of the outputs that they are multiplied into."""
    factor = {leaf.outputs[0]: leaf.inputs[0] for leaf in leaves if leaf.kind == "multiply"}
    ordered = [factor[value] for value in outputs if factor.get(value) in inputs]
    return tuple(dict.fromkeys([*ordered, *inputs]))


def _one_branch(whole: Inside) -> Inside:
    """Return the finest branch alone if a block treats all branches alike, apart from weightings across branches.

    A weighting with n inputs and n outputs is treated as n parallel ones. The result is used only if it needs one
    input.
    """
    if len(whole.outputs) < 2:
        return whole
    needed, kept = {whole.outputs[0]}, []
    for operation in reversed(whole.operations):
        wanted = [k for k, value in enumerate(operation.outputs) if value in needed]
        if wanted and operation.kind == "weighting" and len(operation.inputs) == len(operation.outputs) > 1:
            pairs = tuple(operation.inputs[k] for k in wanted), tuple(operation.outputs[k] for k in wanted)
            kept.append(replace(operation, inputs=pairs[0], outputs=pairs[1], scales=(1,) * len(wanted), others=True))
            needed.update(pairs[0])
        elif wanted:
            kept.append(operation)
            needed.update(operation.inputs)
    inputs = tuple(value for value in whole.inputs if value in needed)
    alone = replace(whole, operations=tuple(reversed(kept)), inputs=inputs, outputs=whole.outputs[:1])
    return alone if len(inputs) == 1 and len(whole.inputs) == len(whole.outputs) else whole
