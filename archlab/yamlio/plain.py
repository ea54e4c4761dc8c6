"""Values as plain data for JSON, and as YAML that reads back equal."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import yaml

from archlab.yamlio.items import FLOAT, Item
from archlab.yamlio.typed import key_of


def to_plain(value: Any) -> Any:
    """Return plain data: dataclasses as mappings of their fields, tuples as lists, paths as text, Items as values."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Item():
            return value.plain()
        case Path():
            return str(value)
        case dict():
            assert all(isinstance(key, str) for key in value), f"keys are text: {list(value)}"
            return {key: to_plain(each) for key, each in value.items()}
        case list() | tuple():
            return [to_plain(each) for each in value]
    assert dataclasses.is_dataclass(value), f"no plain form of {value!r}"
    return {
        key_of(field.name): to_plain(getattr(value, field.name)) for field in dataclasses.fields(value) if field.init
    }


def dump(value: Any) -> str:
    """Return YAML text whose `read(...).plain()` equals `to_plain(value)`, except for NaN."""
    text: str = yaml.dump(
        to_plain(value), Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True
    )
    return text


class _Dumper(yaml.SafeDumper):
    """Quotes text that YAML 1.1 or the 1.2 core schema would read as another type; writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """Escape line ends and invisible characters, since PyYAML loses an unquoted U+0085."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _represent_text)
# Numbers in YAML 1.2 that PyYAML's 1.1 reads as text: `0o17`, `1e3`, `-.5`, `089`.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"(0o[0-7]+)\Z"), ["0"])
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(rf"({FLOAT.pattern})\Z"), list("-+.0123456789"))
