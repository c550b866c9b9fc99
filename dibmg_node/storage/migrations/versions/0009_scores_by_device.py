"""Scores by device, which drift is watched by: a row for each study whose newest revision was read."""

import json
from hashlib import sha256

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_AT_ONCE = 1000
"""Studies that are taken over in one step."""


def upgrade() -> None:
    op.create_table(
        "score_series",
        sa.Column("series", sa.String(length=16), nullable=False),
        sa.Column("weights_sha256", sa.String(length=64), nullable=False),
        sa.Column("manufacturer", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("software", sa.String(length=64), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("series"),
    )
    op.create_index("score_series_weights", "score_series", ["weights_sha256", "since"], unique=False)
    op.create_table(
        "exam_scores",
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("series", sa.String(length=16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("threshold", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["series"], ["score_series.series"]),
        sa.ForeignKeyConstraint(["study_uid"], ["studies.study_uid"]),
        sa.PrimaryKeyConstraint("study_uid"),
    )
    op.create_table(
        "drift_baselines",
        sa.Column("version", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("weights_sha256", sa.String(length=64), nullable=False),
        sa.Column("fixed_at", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("version"),
    )
    op.create_index("drift_baselines_weights", "drift_baselines", ["weights_sha256", "version"], unique=False)
    _take_over(op.get_bind())
    # with all that is asked of it: the window of a device is read from the index alone
    columns = ["series", "at", "score", "threshold"]
    op.create_index("exam_scores_series", "exam_scores", columns, unique=False)
    if op.get_bind().dialect.name == "postgresql":
        # without statistics it would read and sort a whole series instead of walking the index
        op.execute("ANALYZE exam_scores")


def downgrade() -> None:
    op.drop_index("exam_scores_series")
    op.drop_table("exam_scores")
    op.drop_index("drift_baselines_weights")
    op.drop_table("drift_baselines")
    op.drop_index("score_series_weights")
    op.drop_table("score_series")


def _take_over(connection: sa.Connection) -> None:
    """Enter the studies that have been read already; step by step, for a ledger may hold a million."""
    found = sa.text(
        "SELECT s.study_uid, s.score_exam, a.at, a.reading FROM studies s "
        "JOIN analyses a ON a.study_uid = s.study_uid AND a.revision = s.analyzed_revision "
        "WHERE s.study_uid > :behind AND s.score_exam IS NOT NULL AND a.outcome = 'analyzed' "
        "AND s.sender <> 'DIBMG-SELFTEST' "
        "ORDER BY s.study_uid LIMIT :most"
    )
    facts = sa.text(
        "SELECT i.facts FROM verdicts v JOIN instances i ON i.sop_uid = v.sop_uid "
        "WHERE v.study_uid = :study AND v.used = 1 ORDER BY i.sop_uid"
    )
    known: set[str] = set()
    behind = ""
    while True:
        rows = connection.execute(found, {"behind": behind, "most": _AT_ONCE}).all()
        if not rows:
            return
        behind = rows[-1].study_uid
        entries = []
        for row in rows:
            read = json.loads(row.reading)
            weights = (read.get("model") or {}).get("sha256")
            threshold = (read.get("operating_point") or {}).get("threshold")
            if weights is None or threshold is None:
                continue
            images = connection.execute(facts, {"study": row.study_uid}).scalars()
            device = _device([json.loads(one) for one in images])
            name = _series(weights, device)
            if name not in known:
                _enter_series(connection, name, weights, device, row.at)
                known.add(name)
            entries.append(
                {
                    "study": row.study_uid,
                    "series": name,
                    "at": row.at,
                    "score": row.score_exam,
                    "point": threshold,
                }
            )
        if entries:
            connection.execute(
                sa.text(
                    "INSERT INTO exam_scores (study_uid, series, at, score, threshold) "
                    "VALUES (:study, :series, :at, :score, :point)"
                ),
                entries,
            )


def _enter_series(
    connection: sa.Connection, name: str, weights: str, device: tuple[str, ...], at: int
) -> None:
    connection.execute(
        sa.text(
            "INSERT INTO score_series (series, weights_sha256, manufacturer, model, software, since) "
            "VALUES (:series, :weights, :manufacturer, :model, :software, :since)"
        ),
        {
            "series": name,
            "weights": weights,
            "manufacturer": device[0],
            "model": device[1],
            "software": device[2],
            "since": at,
        },
    )


def _device(images: list[dict[str, str]]) -> tuple[str, ...]:
    """What all images name: a model within its manufacturer, a version within its model."""
    keys = ("manufacturer", "manufacturer_model", "software_versions")
    named = [tuple(_plain(one.get(key) or "") for key in keys) for one in images]
    common = []
    for place in range(3):
        if not named or not named[0][place] or len({one[place].casefold() for one in named}) > 1:
            break
        common.append(named[0][place])
    return (*common, *[""] * (3 - len(common)))


def _plain(name: str) -> str:
    return "".join(letter for letter in name if letter.isprintable()).strip()[:64].strip()


def _series(weights: str, device: tuple[str, ...]) -> str:
    return sha256("\x1f".join((weights, *(name.casefold() for name in device))).encode()).hexdigest()[:16]
