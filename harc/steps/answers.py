"""Step write_answers: training rows and extraction pairs with the answers of the backbone itself."""

from pathlib import Path
from typing import TYPE_CHECKING

from harc.core.artifacts import ANSWER_COUNTS, ANSWER_FILES, ANSWER_HASHES, BASE
from harc.model.handle import ModelHandle
from harc.steps.job import MODEL, Job, Step, run_on_model, within
from harc.steps.judging import find_parameters, list_parameters
from harc.steps.models import list_backbone_files

if TYPE_CHECKING:
    from harc.data.answers import AnswerWriter

FIELDS = {"training.jsonl": ("category", "prompt"), "extraction_pairs.jsonl": ("kind", "prompt")}
"""Row files that are answered, and what is read of each: no answer that the rows came with."""


def list_answered(job: Job) -> list[Path]:
    """The rows whose prompts are asked."""
    return [job.profile.data_dir / name for name in FIELDS]


def select_answering(job: Job) -> dict:
    """How answers are asked for, and who judges them."""
    evaluation = job.profile.evaluation.model_dump(mode="json", include={"classifier", "judge_endpoint"})
    return {"own": job.profile.data.own.model_dump(mode="json"), "judge": evaluation}


def open_writer(job: Job, model: ModelHandle, kept: Path) -> "AnswerWriter":
    """What asks a model for its own answers, as the profile says.

    Args:
        job: of the profile.
        model: which is asked.
        kept: file of finished answers.
    """
    from harc.core.finished import KeyedStore, describe_work
    from harc.data.answers import AnswerWriter
    from harc.judges.registry import make_judges

    settings = job.profile.data.own
    work = describe_work(
        ["harc.data.answers:AnswerWriter"],
        model=model.identify(),
        settings=settings.model_dump(mode="json", exclude={"judge", "batch_size"}),
    )
    parameters = find_parameters(job, settings.judge)
    (judge,) = make_judges([settings.judge], "", job.profile.evaluation, parameters)
    return AnswerWriter(model.open(), judge, settings, KeyedStore(kept, work))


def run_write_answers(job: Job) -> None:
    """Ask the backbone every prompt that is learnt from, and write the rows; a kill costs one batch at most.

    Raises:
        DataError: if the model gives no usable answer to a whole group of rows.
    """
    from harc.core.csv_files import write_csv
    from harc.core.files import atomic_directory, read_jsonl, write_jsonl
    from harc.core.finished import KEPT
    from harc.data.answers import COLUMNS, HASH_COLUMNS, hash_rows, write_pairs, write_training_rows
    from harc.steps.models import find_model

    kept = job.layout.checkpoint("answers", job.backbone, BASE, job.seed) / KEPT
    writer = open_writer(job, find_model(job), kept)
    training, pairs = (
        read_jsonl(path, fields) for path, fields in zip(list_answered(job), FIELDS.values(), strict=True)
    )
    made = write_training_rows(writer, training), write_pairs(writer, pairs)
    with atomic_directory(job.layout.answers(job.backbone, job.seed)) as folder:
        for name, rows in zip(FIELDS, made, strict=True):
            write_jsonl(folder / name, rows)
        write_csv(folder / ANSWER_COUNTS, COLUMNS, list(writer.summarize()))
        hashes = [line for name, rows in zip(FIELDS, made, strict=True) for line in hash_rows(name, rows)]
        write_csv(folder / ANSWER_HASHES, HASH_COLUMNS, hashes)
    writer.store.remove()


WRITE_ANSWERS = Step(
    "write_answers",
    f"{__name__}:run_write_answers",
    list_outputs=lambda job: within(job.layout.answers(job.backbone, job.seed), ANSWER_FILES),
    unit=MODEL,
    list_units=lambda profile: [] if profile.data.answers == "given" else profile.list_models(),
    list_inputs=lambda job: [
        *list_backbone_files(job),
        *list_answered(job),
        *list_parameters(job, job.profile.data.own.judge),
    ],
    select_settings=select_answering,
    resources=run_on_model(120),
    guarded=True,
    local=True,
)
