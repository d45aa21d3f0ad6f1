"""The text that stands for a harmful answer where rows hold none, and the guard that nothing learns from it."""

from collections.abc import Iterable

from harc.core.errors import DataError

PLACEHOLDER = "[placeholder: harmful content omitted]"


def refuse_placeholders(where: str, texts: Iterable[str | None]) -> None:
    """Refuse texts that training or a direction is to be made from, if one of them stands for an answer.

    Raises:
        DataError: saying how many.
    """
    if count := sum(text is not None and PLACEHOLDER in text for text in texts):
        raise DataError(
            where,
            expected="answers",
            found=f"{count} placeholders for answers that the rows do not hold",
            fix="set data.answers: own, so that the model writes them, or name a dataset of pairs in "
            "data.rows.preference_dataset",
        )
