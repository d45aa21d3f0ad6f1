"""Settings of the invented world that the embedded default lives in."""

from pydantic import Field

from harc.settings.base import Settings


class SplitShares(Settings):
    """How the (verb, target) pairs of one kind are divided; shares of all pairs, the rest is `training`."""

    extraction: float = Field(
        0.16, description="share of pairs whose requests the directions are extracted from"
    )
    development: float = Field(0.13, description="share of pairs for every choice made while tuning")
    evaluation: float = Field(0.32, description="share of pairs for the final figures only")


class WorldSettings(Settings):
    """One invented world: its lexicon, the division of its items, the number of rows of every file."""

    seed: int = Field(0, description="seed of the lexicon, of the splits and of every row")
    verbs_per_class: int = Field(16, ge=4, description="scary verbs; as many neutral ones (verbs)")
    targets_per_class: int = Field(24, ge=4, description="living beings; as many lifeless things (targets)")
    synonyms: int = Field(1, ge=0, description="other words for each verb (words per verb)")
    alias_every: int = Field(3, ge=0, description="every n-th target has a second word; 0 for none (targets)")
    shares: SplitShares = Field(SplitShares(), description="division of the pairs of each kind")
    document_rows: int = Field(3600, description="moral documents for pre-training (rows)")
    helpful_rows: int = Field(
        6000, description="answered requests for pre-training, direct and wrapped (rows)"
    )
    question_rows: int = Field(700, description="answered questions about harm for pre-training (rows)")
    task_rows: int = Field(600, description="rows of each of the five helpfulness tasks for pre-training")
    refusal_rows: int = Field(
        1200, description="refusals of direct harmful requests in safety training (rows)"
    )
    wrapped_refusal_rows: int = Field(300, description="refusals of harmful requests in attack forms (rows)")
    covered_share: float = Field(
        0.4, description="scary verbs whose wrapped requests safety training refuses; the others leak (share)"
    )
    overcautious_verbs: int = Field(
        2, ge=1, description="scary verbs of which safety training refuses benign requests as well (verbs)"
    )
    overcautious_rows: int = Field(
        200, description="refusals of benign requests that only look harmful, as safety data has them (rows)"
    )
    safety_benign_rows: int = Field(2600, description="answered benign requests in safety training (rows)")
    leak_rows: int = Field(300, description="answered harmful wrapped requests in safety training (rows)")
    extraction_rows: int = Field(240, description="direct requests per class for the directions (rows)")
    training_rows: int = Field(600, description="defence data per category (rows)")
    development_rows: int = Field(72, description="rows per development suite of safety or over-refusal")
    attack_goals: int = Field(
        120, description="evaluation goals per attack family and per direct suite (rows)"
    )
    overrefusal_rows: int = Field(160, description="evaluation rows per over-refusal suite")
    benign_rows: int = Field(120, description="evaluation rows of `benign` and of `wrapped_benign`")
    task_evaluation_rows: int = Field(60, description="evaluation rows per helpfulness task")
    task_development_rows: int = Field(40, description="development rows per helpfulness task")
