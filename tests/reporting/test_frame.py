"""The table of results: what is in it and what comes back from the file."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from tiny import ROOT

from stages.common import artifacts
from stages.reporting import frame


@pytest.mark.parametrize(
    ("stage", "imported"), [("validate", False), ("pack", False), ("train", False), ("report", True)]
)
def test_stages_without_tables_do_not_wait_for_pandas(stage: str, imported: bool):
    code = f"import sys, stages.{stage}; print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(imported)


def metric(value: float, seeds: int = 3) -> dict:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "per_seed": [value] * seeds}


@pytest.fixture
def measured() -> pd.DataFrame:
    protocols = {
        "lfw": {"domain": "wild", "pairs": 600, "accuracy": metric(0.75), "auc": None},
        "syn-lfw": {"domain": "studio", "pairs": 600, "accuracy": metric(0.875), "auc": metric(0.5)},
    }
    home = {"home": {"accuracy": metric(0.625, seeds=1)}}
    return frame.of({"base": frame.with_mean(protocols, {"accuracy": metric(0.75)}), **frame.baselines({"base": home})})


def test_there_is_a_row_for_all_that_was_measured_and_none_for_what_was_not(measured: pd.DataFrame):
    rows = measured.reset_index()[[*frame.KEYS, "value", "seeds", "domain"]]
    assert list(rows.itertuples(index=False, name=None)) == [
        ("base", "lfw", "accuracy", 0.75, 3, "wild"),
        ("base", "syn-lfw", "accuracy", 0.875, 3, "studio"),
        ("base", "syn-lfw", "auc", 0.5, 3, "studio"),
        ("base", "wild", "accuracy", 0.75, 3, "wild"),
        ("baselines/base", "home", "accuracy", 0.625, 1, "external"),
    ]


def test_what_was_not_measured_is_none_alone_and_nan_in_a_column(measured: pd.DataFrame):
    assert frame.entry(measured, "base", "lfw", "auc") is None
    assert frame.entry(measured, "base", "lfw") == {
        "value": 0.75,
        "low": 0.65,
        "high": 0.85,
        "seeds": 3,
        "domain": "wild",
    }
    column = frame.column(measured, ["none", "base"], "lfw")
    assert list(column.index) == ["none", "base"] and column["high"].isna().tolist() == [True, False]


def test_the_mean_is_no_protocol_of_its_domain(measured: pd.DataFrame):
    assert {domain: frame.names(measured, domain) for domain in ("wild", "studio", "external")} == {
        "wild": ["lfw"], "studio": ["syn-lfw"], "external": ["home"],
    }  # fmt: skip
    assert frame.level(measured, "protocol") == ["lfw", "syn-lfw", "wild", "home"]


def test_six_digits_are_written_and_come_back_as_json_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"^reports/results.csv: no such file; `dvc repro` makes it"):
        frame.read()
    artifacts.write_json("x.json", {"lfw": {"domain": "wild", "accuracy": metric(0.65 / 3), "d_prime": metric(1e-7)}})
    measured = frame.of({"base": artifacts.read_json("x.json")})
    frame.write(measured)
    text = frame.FILE.read_text()
    assert text.splitlines()[:2] == [
        "variant,protocol,metric,value,low,high,seeds,domain",
        "base,lfw,accuracy,0.216667,0.116667,0.316667,3,wild",
    ]
    assert frame.read().equals(measured) and "1e-07" in text
