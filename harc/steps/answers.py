"""Step write_answers: training rows and extraction pairs with the answers of the backbone itself."""

from pathlib import Path

from harc.core.artifacts import ANSWER_COUNTS, ANSWER_FILES, BASE
from harc.settings.profile import Profile
from harc.steps.job import MODEL, Job, Step, run_on_model, within
from harc.steps.models import list_backbone_files

FIELDS = {"training.jsonl": ("category", "prompt"), "extraction_pairs.jsonl": ("kind", "prompt")}
"""Row files that are answered, and what is read of each: no answer that the rows came with."""


def list_answered(job: Job) -> list[Path]:
    """The rows whose prompts are asked."""
    return [job.profile.data_dir / name for name in FIELDS]


def select_answering(job: Job) -> dict:
    """How answers are asked for, and who judges them."""
    evaluation = job.profile.evaluation.model_dump(mode="json", include={"classifier", "judge_endpoint"})
    return {"own": job.profile.data.own.model_dump(mode="json"), "judge": evaluation}


def run_write_answers(job: Job) -> None:
    """Ask the backbone every prompt that is learnt from, and write the rows; a kill costs one batch at most.

    Raises:
        DataError: if the model gives no usable answer to a whole group of rows.
    """
    from harc.core.csv_files import write_csv
    from harc.core.files import atomic_directory, read_jsonl, write_jsonl
    from harc.core.finished import KEPT, KeyedStore, describe_work
    from harc.data.answers import COLUMNS, AnswerWriter, write_pairs, write_training_rows
    from harc.judges.registry import make_judges
    from harc.steps.models import find_model

    settings, model = job.profile.data.own, find_model(job)
    work = describe_work(
        ["harc.data.answers:AnswerWriter"],
        model=model.identify(),
        settings=settings.model_dump(mode="json", exclude={"judge", "batch_size"}),
    )
    store = KeyedStore(job.layout.checkpoint("answers", job.backbone, BASE, job.seed) / KEPT, work)
    (judge,) = make_judges([settings.judge], "", job.profile.evaluation)
    writer = AnswerWriter(model.open(), judge, settings, store)
    training, pairs = (
        read_jsonl(path, fields) for path, fields in zip(list_answered(job), FIELDS.values(), strict=True)
    )
    made = write_training_rows(writer, training), write_pairs(writer, pairs)
    with atomic_directory(job.layout.answers(job.backbone, job.seed)) as folder:
        for name, rows in zip(FIELDS, made, strict=True):
            write_jsonl(folder / name, rows)
        write_csv(folder / ANSWER_COUNTS, COLUMNS, list(writer.summarize()))
    store.remove()


WRITE_ANSWERS = Step(
    "write_answers",
    f"{__name__}:run_write_answers",
    list_outputs=lambda job: within(job.layout.answers(job.backbone, job.seed), ANSWER_FILES),
    unit=MODEL,
    list_units=lambda profile: Profile.list_models(profile) if profile.data.answers == "own" else [],
    list_inputs=lambda job: [*list_backbone_files(job), *list_answered(job)],
    select_settings=select_answering,
    resources=run_on_model(120),
    guarded=True,
    local=True,
)
