"""Tables of cases of a rule, tried in one Spark job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lake.transforms.records.outcome import FLAGS, Rule
from tests.transforms.frames import each

# What a text becomes: a value and a flag.
Wanted = tuple[Any, str | None]
NOTHING: Wanted = (None, None)

BLANK = (" ", "\t", "\u00a0", "\u3000", "\u2028", "\ufeff", "\u200b", "\n", "\x00")


def check(spark: SparkSession, *tables: tuple[Rule, Mapping[Any, Wanted]]) -> None:
    """Every text of each table gives what stands beside it, and null gives nothing."""
    cases: list[tuple[int, Any, Wanted]] = []
    for number, (_, table) in enumerate(tables):
        cases += [(number, text, wanted) for text, wanted in {**table, None: NOTHING}.items()]
    judged = F.struct(
        *(
            F.when(F.col("rule") == number, rule(F.col("text"))).alias(f"r{number}")
            for number, (rule, _) in enumerate(tables)
        )
    )
    inputs = [(number, text) for number, text, _ in cases]
    outcomes = each(spark, "rule int, text string", inputs, judged)
    found = [
        (number, text, tuple(row[f"r{number}"]))
        for row, (number, text) in zip(outcomes, inputs, strict=True)
    ]
    # By their texts, so that 1, 1.0 and True, 0.0 and -0.0 differ.
    pairs = zip(found, cases, strict=True)
    wrong = [pair for pair in pairs if repr(pair[0]) != repr(pair[1])]
    assert not wrong
    assert {flag for *_, (_, flag) in found if flag} <= set(FLAGS)


def twice(spark: SparkSession, rule: Rule, texts: Sequence[str]) -> list[tuple[Any, Any]]:
    """For each text the rule's value, and its value of that value."""
    frame = spark.createDataFrame(list(enumerate(texts)), "number int, text string")
    once = frame.select("number", rule(F.col("text"))["value"].alias("once"))
    both = once.select("number", "once", rule(F.col("once"))["value"].alias("twice"))
    return [(row.once, row.twice) for row in both.orderBy("number").collect()]


def messy_texts(*words: str) -> st.SearchStrategy[list[str]]:
    """Texts of the words given, letters of many scripts and blanks of many kinds."""
    letters = st.text(st.characters(codec="utf-8"), max_size=4)
    pieces = st.one_of(st.sampled_from((*words, *BLANK, "-", "_", ".", ",", "'")), letters)
    texts = st.lists(pieces, max_size=6).map("".join)
    return st.lists(texts, min_size=100, max_size=200)
