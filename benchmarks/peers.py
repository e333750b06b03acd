"""What an expert would write instead: one query over the whole lake makes the same tables, and COPY loads them.

    DATABASE_URL=... python -m benchmarks.peers duckdb|polars|pandas LAKE

Every run computes everything again, without state, rejected lines or late corrections. The tables go to schema peer.
"""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg2

COUNTED = ("article_viewed", "top_news_card_viewed", "my_news_card_viewed")
TABLES = """
drop schema if exists peer cascade;
create schema peer;
create table peer.article_performance (
    article_id text, date date, title text, category text, displays bigint, clicks bigint, cumulative_clicks bigint,
    click_through_rate double precision generated always as (clicks::double precision / nullif(displays, 0)) stored,
    primary key (article_id, date)
);
create table peer.user_performance (
    user_id text, date date, sessions bigint, session_microseconds bigint, displays bigint, clicks bigint,
    average_session_seconds double precision
    generated always as (session_microseconds * 0.000001 / nullif(sessions, 0)) stored,
    click_through_rate double precision generated always as (clicks::double precision / nullif(displays, 0)) stored,
    primary key (user_id, date)
)
"""
COPIES = (
    (
        "copy peer.article_performance (article_id, date, title, category, displays, clicks, cumulative_clicks) "
        "from stdin csv"
    ),
    "copy peer.user_performance (user_id, date, sessions, session_microseconds, displays, clicks) from stdin csv",
)


def with_duckdb(lake: Path) -> tuple[bytes, bytes]:
    """Return both tables as CSV, computed by DuckDB."""
    import duckdb

    db = duckdb.connect()
    db.execute(
        """
create temp table e as
select "TIMESTAMP"[:23] ts, "MD5(SESSION_ID)" s, EVENT_NAME n, "MD5(USER_ID)" u,
    case when EVENT_NAME in ('article_viewed', 'top_news_card_viewed', 'my_news_card_viewed')
        then json_extract_string(ATTRIBUTES, ['$.id', '$.title', '$.category']) end j
from read_csv($files, delim = '\t', header = true, quote = '', escape = '', all_varchar = true,
    nullstr = ['', '\\N'])
""",
        {"files": f"{lake}/*.tsv"},
    )
    articles = """
with c as (select j[1] id, ts[:10]::date d, n, j[2] t, j[3] c, ts from e where j[1] <> ''),
t as (select id, arg_max(t, ts) t, arg_max(c, ts) c from c group by id),
g as (
    select id, d, count(*) filter (n <> 'article_viewed') shows, count(*) filter (n = 'article_viewed') clicks
    from c group by 1, 2
)
select g.id, d, t, c, shows, clicks, sum(clicks) over (partition by g.id order by d)::bigint from g join t using (id)
"""
    users = """
with s as (
    select u, min(ts)[:10]::date d, max(ts)::timestamp - min(ts)::timestamp l
    from e where u <> '' and s <> '' group by u, s
),
ss as (select u, d, count(*) n, sum(epoch_us(l))::bigint us from s group by 1, 2),
c as (
    select u, ts[:10]::date d, count(*) filter (n <> 'article_viewed') shows,
        count(*) filter (n = 'article_viewed') clicks
    from e where n in ('article_viewed', 'top_news_card_viewed', 'my_news_card_viewed') and u <> '' group by 1, 2
)
select coalesce(c.u, ss.u), coalesce(c.d, ss.d), coalesce(n, 0), coalesce(us, 0), coalesce(shows, 0),
    coalesce(clicks, 0)
from c full join ss on c.u = ss.u and c.d = ss.d
"""
    found = []
    for query in (articles, users):
        path = lake.parent / f"duckdb_{os.getpid()}.csv"
        db.sql(query).write_csv(str(path), header=False)
        found.append(path.read_bytes())
        path.unlink()
    return found[0], found[1]


def with_polars(lake: Path) -> tuple[bytes, bytes]:
    """Return both tables as CSV, computed by polars."""
    import polars as pl

    raw = pl.scan_csv(f"{lake}/*.tsv", separator="\t", quote_char=None, infer_schema=False, null_values=["", "\\N"])
    name, attributes = pl.col("EVENT_NAME"), pl.col("ATTRIBUTES")
    counted = name.is_in(list(COUNTED))
    field = {
        key: pl.when(counted).then(attributes.str.json_path_match(f"$.{key}")) for key in ("id", "title", "category")
    }
    events = raw.select(
        at=pl.col("TIMESTAMP").str.head(23).str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us"),
        session=pl.col("MD5(SESSION_ID)"), user=pl.col("MD5(USER_ID)"), name=name, **field,
    ).with_columns(date=pl.col("at").dt.date())  # fmt: skip
    table = events.collect()
    click = pl.col("name") == COUNTED[0]
    counts = {"displays": (~click).sum(), "clicks": click.sum()}
    seen = table.filter(pl.col("id").is_not_null() & (pl.col("id") != ""))
    latest = {key: pl.col(key).sort_by("at").drop_nulls().last() for key in ("title", "category")}
    articles = (
        seen.group_by("id", "date")
        .agg(**counts)
        .sort("id", "date")
        .with_columns(cumulative=pl.col("clicks").cum_sum().over("id"))
        .join(seen.group_by("id").agg(**latest), on="id")
        .select("id", "date", "title", "category", "displays", "clicks", "cumulative")
    )
    spans = (
        table.filter(pl.col("user").is_not_null() & pl.col("session").is_not_null())
        .group_by("user", "session")
        .agg(first=pl.col("at").min(), last=pl.col("at").max())
    )
    began = spans.group_by("user", date=pl.col("first").dt.date()).agg(
        sessions=pl.len(), length=(pl.col("last") - pl.col("first")).dt.total_microseconds().sum()
    )
    known = table.filter(pl.col("name").is_in(list(COUNTED)) & pl.col("user").is_not_null())
    users = (
        known.group_by("user", "date")
        .agg(**counts)
        .join(began, on=["user", "date"], how="full", coalesce=True)
        .select("user", "date", *(pl.col(key).fill_null(0) for key in ("sessions", "length", "displays", "clicks")))
    )
    return articles.write_csv(include_header=False).encode(), users.write_csv(include_header=False).encode()


def with_pandas(lake: Path) -> tuple[bytes, bytes]:
    """Return both tables as CSV, computed by pandas."""
    import orjson
    import pandas as pd

    columns = {"TIMESTAMP": "at", "MD5(SESSION_ID)": "session", "EVENT_NAME": "name", "MD5(USER_ID)": "user"}
    files = [
        pd.read_csv(path, sep="\t", quoting=3, dtype=str, na_values=["", "\\N"], keep_default_na=False)
        for path in sorted(lake.glob("*.tsv"))
    ]
    table = pd.concat(files, ignore_index=True).rename(columns=columns)
    table["at"] = (
        pd.to_datetime(table["at"], format="%Y-%m-%d %H:%M:%S.%f %z").dt.tz_localize(None).astype("datetime64[us]")
    )
    table["date"] = table["at"].dt.date
    counted = table[table["name"].isin(COUNTED)].copy()
    parsed = [orjson.loads(text) for text in counted["ATTRIBUTES"]]
    for key in ("id", "title", "category"):
        counted[key] = [attributes.get(key) for attributes in parsed]
    counted["clicks"] = (counted["name"] == COUNTED[0]).astype(int)
    counted["displays"] = 1 - counted["clicks"]
    seen = counted[counted["id"].notna()]
    articles = seen.groupby(["id", "date"])[["displays", "clicks"]].sum().sort_index()
    articles["cumulative"] = articles.groupby(level="id")["clicks"].cumsum()
    texts = seen.sort_values("at").groupby("id")[["title", "category"]].last()
    articles = articles.join(texts, on="id").reset_index()
    spans = (
        table[table["user"].notna() & table["session"].notna()].groupby(["user", "session"])["at"].agg(["min", "max"])
    )
    spans["length"] = (spans["max"] - spans["min"]) // pd.Timedelta(microseconds=1)
    spans["date"] = spans["min"].dt.date
    began = spans.reset_index().groupby(["user", "date"])["length"].agg(["size", "sum"])
    clicks = counted[counted["user"].notna()].groupby(["user", "date"])[["displays", "clicks"]].sum()
    users = began.join(clicks, how="outer").fillna(0).astype(int).reset_index()
    first = articles[["id", "date", "title", "category", "displays", "clicks", "cumulative"]]
    return (
        first.to_csv(index=False, header=False).encode(),
        users[["user", "date", "size", "sum", "displays", "clicks"]].to_csv(index=False, header=False).encode(),
    )


PEERS: dict[str, Callable[[Path], tuple[bytes, bytes]]] = {
    "duckdb": with_duckdb,
    "polars": with_polars,
    "pandas": with_pandas,
}


def main(peer: str, lake: Path) -> None:
    """Compute both tables and load them."""
    tables = PEERS[peer](lake)
    with psycopg2.connect(os.environ["DATABASE_URL"]) as connection, connection.cursor() as cur:
        cur.execute(TABLES)
        for copy, rows in zip(COPIES, tables, strict=True):
            cur.copy_expert(copy, io.BytesIO(rows))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
