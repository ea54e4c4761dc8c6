"""Completion in the shell itself."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from archlab import list_networks
from archlab.cli.app import main

TRY = """
source {script}
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
COMPREPLY=()
_shtab_archlab
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    import contextlib
    import io

    path, text = tmp_path_factory.mktemp("completion") / "archlab.bash", io.StringIO()
    with contextlib.redirect_stdout(text):
        assert main(["completion", "bash"]) == 0
    path.write_text(text.getvalue())
    return path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("archlab bu", {"build"}),
        ("archlab build lite_hrnet_3", {"lite_hrnet_30", "lite_hrnet_30_seg"}),
        ("archlab build lite_hrnet_30 --ou", {"--outputs"}),
        ("archlab train lite_hrnet_30 --recipe quick", {"quick", "quick_search", "quick_streets"}),
        ("archlab sample hy", {"hybrid"}),
        ("archlab list sp", {"spaces"}),
        ("archlab data sy", {"synth"}),
        ("archlab eval x --boxes d", {"detector"}),
        ("archlab build mi", {"mine.yaml"}),
    ],
)
def test_bash_completes_commands_options_built_in_names_and_files(words, expected, script, tmp_path):
    (tmp_path / "mine.yaml").touch()
    made = subprocess.run(
        ["bash", "-c", TRY.format(script=script, words=words)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert set(made.stdout.split()) == expected


def test_zsh_gets_the_same_names(capsys, tmp_path):
    assert main(["completion", "zsh"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("#compdef archlab")
    names = re.search(r"_archlab_networks\(\) \{ _alternative 'names:networks:\(([^)]*)\)", text)
    assert names is not None
    assert names[1].split() == list_networks()
    assert "_archlab_recipes() { _alternative 'names:recipes:(camvid_192x256 " in text
    if shutil.which("zsh"):
        (tmp_path / "archlab.zsh").write_text(text)
        subprocess.run(["zsh", "-n", tmp_path / "archlab.zsh"], check=True)
