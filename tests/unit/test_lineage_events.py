"""The names that OpenLineage's specification gives to files and lakes."""

import pytest

from processor.output.lineage_events import name_input


@pytest.mark.parametrize(
    ("lake_url", "key", "named"),
    [
        ("s3://bucket/lake/", "2019/a.tsv", ("s3://bucket", "lake/2019/a.tsv")),
        ("s3://bucket/lake/", "", ("s3://bucket", "lake")),
        ("s3://bucket/", "a.tsv", ("s3://bucket", "a.tsv")),
        ("s3://bucket/", "", ("s3://bucket", "/")),
        ("/data/lake", "2019/é.tsv", ("file", "/data/lake/2019/é.tsv")),
        ("/data/lake", "", ("file", "/data/lake")),
        ("/", "a.tsv", ("file", "/a.tsv")),
    ],
)
def test_files_have_the_names_that_other_programs_give_them(lake_url: str, key: str, named: tuple[str, str]) -> None:
    name = name_input(lake_url, key)
    assert (name.get_namespace(), name.get_name()) == named
