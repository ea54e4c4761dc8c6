"""Pieces of hostile trials add up, are not run twice, and are run again if something was wrong."""

from __future__ import annotations

from pathlib import Path

from faults.pieces import Piece, Pieces, asked, total


def piece(command: str, seed: int, *, count: int = 10, wrong: tuple[str, ...] = (), **codes: int) -> Piece:
    ends = {code.removeprefix("code").replace("killed", "-9"): number for code, number in codes.items()}
    return Piece("kills", command, count, seed, "abc1234", "2026-01-02", ends, wrong)


def test_pieces_of_several_seeds_add_up_and_one_of_the_same_seed_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "pieces.json"
    for each in (
        piece("train", 2, killed=9, code0=4),
        piece("train", 3, killed=10, code0=2),
        piece("train", 2, killed=10, code0=5),
        piece("search", 2, killed=10, code0=1),
    ):
        Pieces(path).add(each)
    found = Pieces(path).of("kills")
    assert total(found) == {"-9": 30, "0": 8}
    assert asked([each for each in found if each.command == "train"]) == 20
    assert asked(found) == 10
    assert Pieces(path).of("yaml") == []


def test_a_piece_has_ended_if_as_many_trials_were_run_and_none_was_wrong(tmp_path: Path) -> None:
    path = tmp_path / "pieces.json"
    Pieces(path).add(piece("train", 2, killed=10))
    Pieces(path).add(piece("search", 2, wrong=("a traceback",), killed=10))
    pieces = Pieces(path)
    assert pieces.has("kills", "train", 10, 2)
    assert not pieces.has("kills", "train", 11, 2)
    assert not pieces.has("kills", "train", 10, 3)
    assert not pieces.has("kills", "search", 10, 2)
    assert not pieces.has("levels", "train", 10, 2)


def test_a_piece_may_be_of_several_commands(tmp_path: Path) -> None:
    pieces = Pieces(tmp_path / "pieces.json")
    pieces.add(piece("train, search", 2, killed=20))
    pieces.add(piece("train", 3, killed=10))
    assert pieces.has("kills", "search", 10, 2)
    assert not pieces.has("kills", "ablate", 10, 2)
    assert asked(pieces.of("kills")) == 10
