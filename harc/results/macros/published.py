"""Macros of published against reproduced: how many cells there are, were compared, and lie in our intervals."""

from harc.results.macros.rows import Rows
from harc.results.tables.published import COMPARED


def list_published(rows: Rows) -> dict[str, str]:
    """`\\PublishedCells`, `\\PublishedCompared`, `\\PublishedInside`, and a sentence on the comparison."""
    cells = {(row["model_id"], row["method"], row["metric"]) for row in rows}
    compared = [row for row in rows if row["status"] == COMPARED]
    inside = sum(row["inside"] == "True" for row in compared)
    remark = (
        f"Our interval holds the published value in {inside} of the {len(compared)} comparisons that this run makes."
        if compared
        else "This run has none of the published models, so it makes no such comparison: every row says so."
    )
    return {
        "PublishedCells": str(len(cells)),
        "PublishedCompared": str(len(compared)),
        "PublishedInside": str(inside),
        "PublishedRemark": remark,
    }
