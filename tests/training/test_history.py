"""The files that show a running training."""

import json
from pathlib import Path

from strokewise.training import history

ROWS = [[1.0, 0.7, 0.5, 0.71, 0.48, 0.001], [2.0, 1 / 3, 0.9, 0.4, 0.8, 1e-7]]


def test_appended_epochs_equal_the_final_history(tmp_path: Path) -> None:
    history.start_history(tmp_path, {"network": {"depth": 3}}, ROWS[:1])
    history.append_epochs(tmp_path, ROWS[1:])
    assert (tmp_path / "history.csv").read_text() == history.history_csv(ROWS)
    assert history.history_csv(ROWS).splitlines()[-1] == "2,0.333333,0.900000,0.400000,0.800000,0.000000"
    assert json.loads((tmp_path / "training.json").read_text()) == {"network": {"depth": 3}}


def test_history_that_cannot_be_written_raises_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    history.start_history(tmp_path / "file", {}, ROWS)
    history.append_epochs(tmp_path / "file", ROWS)
    assert (tmp_path / "file").read_text() == ""
