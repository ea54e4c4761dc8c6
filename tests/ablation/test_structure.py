import re

from archlab.ablation.load import load_study
from archlab.ablation.report import study_tables
from archlab.ablation.structure import structure_tables
from archlab.ablation.study import Structure


def test_the_structure_is_computed_and_as_printed() -> None:
    document = study_tables(load_study("table1"), [])
    (table,) = document.tables
    assert not [cell.text for row in table.rows for cell in row if "(printed" in cell.text]
    total = next(row for row in table.rows if (row[0].text, row[1].text) == ("Total", "counted"))
    assert [cell.text for cell in total[-2:]] == ["273.43", "425.34"]  # printed 273.4 and 425.3
    flops = {"Lite-HRNet-18": 0, "Lite-HRNet-30": 0}
    for line in document.records:
        flops[line["network"]] += line["paper_flops"]
    assert flops == {"Lite-HRNet-18": 286_710_400, "Lite-HRNet-30": 446_005_976}  # known of the released code, 256x256


def test_a_structure_that_differs_from_print_shows_both() -> None:
    loaded = load_study("table1")
    assert isinstance(loaded, Structure)
    first = loaded.layers[2]
    wrong = type(first)(**{**vars(first), "modules": (5, 3), "channels": (40, 81)})
    changed = type(loaded)(**{**vars(loaded), "layers": (*loaded.layers[:2], wrong, *loaded.layers[3:])})
    (table,) = structure_tables(changed).tables
    texts = [cell.text for cell in table.rows[2]]
    assert "2 (printed 5)" in texts
    assert "40, 80 (printed 40, 81)" in texts
    assert re.findall(r"\d+", table.caption[0]) == ["2"]
