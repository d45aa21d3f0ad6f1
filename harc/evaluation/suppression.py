"""Asking a model while directions are taken out of its residual stream: how far its refusal falls.

Of an answer, what a judge said, its length and its hash are kept; texts stand in a file of their own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from harc.core.csv_files import read_csv_rows, write_csv
from harc.core.files import sha256_text, write_json, write_jsonl
from harc.core.finished import KeyedStore
from harc.core.terminal import track
from harc.evaluation.suppressed import (
    RATE_COLUMNS,
    Records,
    list_outcomes,
    list_texts,
    share_garbled,
    share_refused,
    tabulate_rates,
)
from harc.geometry.directions import Directions
from harc.geometry.removal import (
    Contrast,
    Sources,
    find_slot,
    permute_directions,
    plan_removal,
    project_everywhere,
    read_contrast,
)
from harc.geometry.stability import measure_stability
from harc.judges.registry import choose_judge
from harc.model.backbones import Backbone
from harc.model.intervention import Intervention, intervene, orthonormalize
from harc.model.likelihood import measure_likelihoods
from harc.settings.directions import DirectionSettings
from harc.settings.suppression import CONTROL, Condition, StabilityBars, SuppressionSettings
from harc.suites.registry import run_suite
from harc.suites.target import Target

ROUND = "round_"
PLAIN = "{prompt}"  # the frame that adds nothing


def choose_prompts(rows: Sequence[Mapping[str, Any]], count: int) -> list[dict[str, Any]]:
    """So many rows by a hash of their ids, in that order: the same for every model, fewer being part of more."""
    return [dict(row) for row in sorted(rows, key=lambda row: sha256_text(str(row["id"])))[:count]]


@dataclass
class Suppression:
    """One model under suppression.

    Attributes:
        target: the model, with the longest response of the suppression.
        examiner: who judges.
        rows: rows of every suite that is asked, as many as there are.
        search_rows: direct harmful development rows.
        prompts: extraction prompts, harmful and harmless.
        own, base: directions of the model itself and of the untreated backbone.
        settings: what is taken out, and of how much is asked.
        reading: how directions are read.
        store: keeps finished parts.
        seed: of the model's training; random directions and shuffled labels differ from seed to seed.
    """

    target: Target
    examiner: Any
    rows: Mapping[str, Sequence[dict[str, Any]]]
    search_rows: Sequence[dict[str, Any]]
    prompts: tuple[Sequence[str], Sequence[str]]
    own: Directions
    base: Directions
    settings: SuppressionSettings
    reading: DirectionSettings
    store: KeyedStore
    seed: int = 0

    @property
    def backbone(self) -> Backbone:
        """The model."""
        return self.target.backbone

    @property
    def draw(self) -> int:
        """Seed of random directions and of shuffled labels."""
        return self.settings.random_seed + self.seed

    @cached_property
    def judge(self) -> str:
        """The judge who decides what is a refusal."""
        return choose_judge([judge.name for judge in self.examiner.judges], "refused")

    def read_contrast(self, removed: Intervention, frame: str = PLAIN) -> Contrast:
        """Harmful against harmless extraction prompts in a frame, as the model reads them without what is removed."""
        count = self.settings.rounds.prompts
        harmful, harmless = ([frame.replace(PLAIN, text) for text in side[:count]] for side in self.prompts)
        with intervene(self.backbone, removed):
            return read_contrast(self.backbone, harmful, harmless, self.reading)

    @cached_property
    def plain(self) -> Contrast:
        """Harmful against harmless extraction prompts, as the model reads them."""
        return self.read_contrast(Intervention())

    def measure_stability(self) -> Records:
        """How far the model's own v_ref depends on which prompts it is read from, and in which frame."""
        framed = [self.read_contrast(Intervention(), frame) for frame in self.settings.frames]
        return measure_stability(self.plain, framed, self.draw)

    @cached_property
    def permuted(self) -> Directions:
        """The model's own difference of means under shuffled labels."""
        return permute_directions(self.plain, self.draw)

    def find_sources(self, slot: int, condition: Condition) -> Sources:
        """Whose directions there are."""
        found = {"own": self.own, "base": self.base}
        if condition.of == "permuted":
            found["permuted"] = self.permuted
        return Sources(found, slot, self.draw, self.plain.harmless.mean(0))

    def ask(self, suite: str, rows: Sequence[dict[str, Any]], name: str, removed: Intervention) -> Records:
        """What became of the answers to a suite, with their texts."""
        with intervene(self.backbone, removed):
            records = run_suite(suite, self.target, rows, self.examiner)
        return [
            {
                "condition": name,
                "suite": suite,
                "id": record["id"],
                "goal": record["goal"],
                "prompt_sha256": record["prompt_sha256"],
                "label": record["verdicts"][self.judge]["label"],
                "labels": {judge: verdict["label"] for judge, verdict in record["verdicts"].items()},
                "finish_reason": record["finish_reason"],
                "response_tokens": record["response_tokens"],
                "response_sha256": sha256_text(record["response"]),
                "response": record["response"],
            }
            for record in records
        ]

    def keep(self, name: str, make: Any) -> Any:
        """A part that was finished before, or that is made and kept now."""
        value = self.store.load(name)
        if value is None:
            value = make()
            self.store.save(name, value)
        return value


def search_depth(subject: Suppression) -> dict[str, Any]:
    """The depth that hurts most on development rows, and what every depth did there."""
    search = subject.settings.search
    rows = choose_prompts(subject.search_rows, search.prompts)
    n_slots = subject.own.n_slots
    tried = []
    for depth in search.depths:
        slot = find_slot(depth, n_slots - 1)
        condition = Condition(depth=depth, how=search.how)
        removed = plan_removal(condition, subject.find_sources(slot, condition))
        records = subject.keep(
            f"search {depth}", lambda removed=removed: subject.ask("direct", rows, "search", removed)
        )
        shares = {"refused": share_refused(records), "garbled": share_garbled(records)}
        tried.append({"depth": depth, "slot": slot, "n": len(records), **shares})
    best = min(tried, key=lambda row: (row["refused"], row["garbled"], row["slot"]))
    return {"slot": best["slot"], "depth": best["depth"], "tried": tried}


def ask_condition(subject: Suppression, name: str, condition: Condition, slot: int) -> Records:
    """Records of one condition: harmful suites, unless a direction is added, then the benign one."""
    settings = subject.settings
    removed = plan_removal(condition, subject.find_sources(slot, condition))
    records = []
    for suite in settings.suites if condition.how != "add" else ():
        rows = choose_prompts(subject.rows[suite], max(settings.prompts, condition.prompts or 0))
        records += subject.ask(suite, rows, name, removed)
    if benign := settings.count_benign(name):
        rows = choose_prompts(subject.rows[settings.benign_suite], benign)
        records += subject.ask(settings.benign_suite, rows, name, removed)
    return records


def add_likelihoods(subject: Suppression, plain: Records, records: Records, removed: Intervention) -> None:
    """Give every benign record the mean log-likelihood of the model's own plain answer under the removal."""
    settings, chat = subject.settings, subject.backbone.chat
    rows = {row["id"]: row["messages"] for row in subject.rows.get(settings.benign_suite, ())}
    answers = {
        record["id"]: chat.tokenize(record["response"])
        for record in plain
        if record["suite"] == settings.benign_suite and record["response"].strip()
    }
    if not answers:
        return
    prompts = chat.encode_prompts([rows[name] for name in answers])
    with intervene(subject.backbone, removed):
        found = measure_likelihoods(subject.backbone, prompts, list(answers.values()))
    given = dict(zip(answers, found, strict=True))
    for record in records:
        if record["suite"] == settings.benign_suite and record["id"] in given:
            record["likelihood"] = given[record["id"]]


def make_card(rows: Sequence[Mapping[str, Any]], slot: int, bars: StabilityBars) -> dict[str, Any]:
    """The stability card of v_ref at a slot: what was measured, what was asked for, and whether it holds."""
    own = rows[slot]
    asked = {
        "bootstrap_low": (own["bootstrap_low"], bars.least_bootstrap),
        "half_cosine": (own["half_cosine"], bars.least_half),
        "separation": (own["separation"], bars.least_separation),
        "over_null": (own["length"] / max(own["null_length"], 1e-12), bars.least_over_null),
    }
    if own["frame_cosine"] is not None:
        asked["frame_cosine"] = (own["frame_cosine"], bars.least_frame)
    named = {
        name: {"value": value, "least": least, "holds": value >= least}
        for name, (value, least) in asked.items()
    }
    return {"slot": slot, "bars": named, "stable": all(bar["holds"] for bar in named.values())}


def remove_in_rounds(
    subject: Suppression, slot: int, plain: Records
) -> Iterator[tuple[dict[str, Any], Records]]:
    """A line of rounds.csv and the records of every round: v_ref is found under the removals so far, and taken out.

    It ends when the model refuses seldom enough, when no direction is left that tells harmful from harmless prompts,
    or after the most rounds.
    """
    rules, settings = subject.settings.rounds, subject.settings
    n_slots = subject.own.n_slots
    span = torch.zeros(0, subject.backbone.hidden_size)
    # Of the control those prompts that the rounds are asked, which may be fewer.
    by_suite = ([record for record in plain if record["suite"] == suite] for suite in settings.suites)
    harmful = [record for own in by_suite for record in own[: settings.prompts]]
    refused = share_refused(harmful)
    yield {"round": 0, "removed": 0, "slot": slot, "refused": refused, "n": len(harmful)}, []
    for number in range(1, rules.most + 1):
        if refused <= rules.stop_refused:
            return

        def find(span=span) -> dict[str, Any]:
            contrast = subject.read_contrast(project_everywhere(span, n_slots))
            vector = contrast.subtract_means()[slot]
            return {
                "separation": contrast.measure_separation(slot),
                "length": float(vector.norm()),
                "vector": vector.tolist(),
            }

        found = subject.keep(f"{ROUND}{number} direction", find)
        line = {"round": number, "slot": slot, "separation": found["separation"], "length": found["length"]}
        wider = orthonormalize(torch.cat([span, torch.tensor(found["vector"])[None]]))
        if found["separation"] < rules.stop_separation or len(wider) == len(span):
            yield {**line, "removed": len(span), "ended": "nothing left"}, []
            return
        span = wider
        removed = project_everywhere(span, n_slots)

        def ask(removed=removed, number=number) -> Records:
            return [
                record
                for suite in settings.suites
                for record in subject.ask(
                    suite, choose_prompts(subject.rows[suite], settings.prompts), f"{ROUND}{number}", removed
                )
            ]

        records = subject.keep(f"{ROUND}{number} answers", ask)
        refused = share_refused(records)
        ended = (
            "refusal gone" if refused <= rules.stop_refused else "most rounds" if number == rules.most else ""
        )
        yield {**line, "removed": len(span), "refused": refused, "n": len(records), "ended": ended}, records


def run_suppression(subject: Suppression, label: str) -> tuple[Records, Records, dict[str, Any]]:
    """Ask under every condition and in rounds.

    Returns:
        Records of all conditions with their texts, rows of rounds.csv, and the choice of depth.
    """
    settings = subject.settings
    choice = search_depth(subject)
    slot = choice["slot"]
    plain: Records = []
    records: Records = []
    lines: Records = []
    named = {CONTROL: settings.conditions[CONTROL], **settings.conditions}
    with track(len(named) + settings.rounds.most, label) as bar:
        for name, condition in named.items():

            def make(name=name, condition=condition, plain=plain) -> Records:
                found = ask_condition(subject, name, condition, slot)
                removed = plan_removal(condition, subject.find_sources(slot, condition))
                add_likelihoods(subject, plain or found, found, removed)
                return found

            own = subject.keep(f"{name} {sha256_text(condition.model_dump_json())}", make)
            plain = plain or own
            records += own
            bar.advance(1, condition=name, refused=share_refused(_select_harmful(own, settings)))
        for line, own in remove_in_rounds(subject, slot, plain):
            lines.append(line)
            records += own
            bar.advance(1, condition=f"{ROUND}{line['round']}")
    return records, lines, choice


def _select_harmful(records: Records, settings: SuppressionSettings) -> Records:
    return [record for record in records if record["suite"] in settings.suites]


ROUND_COLUMNS = ("round", "removed", "slot", "separation", "length", "refused", "n", "ended")


def write_suppression(
    folder: Path,
    records: Records,
    lines: Records,
    choice: Mapping[str, Any],
    stability: Sequence[Mapping[str, Any]],
    card: Mapping[str, Any],
) -> None:
    """Write outcomes.csv, texts.jsonl, rates.csv, rounds.csv, choice.json, and what is known of v_ref itself."""
    write_csv(folder / "outcomes.csv", *list_outcomes(records))
    write_jsonl(folder / "texts.jsonl", list_texts(records))
    write_csv(folder / "rates.csv", RATE_COLUMNS, tabulate_rates(read_csv_rows(folder / "outcomes.csv")[1]))
    write_csv(folder / "rounds.csv", ROUND_COLUMNS, lines)
    write_json(folder / "choice.json", choice)
    write_csv(folder / "stability.csv", list(stability[0]), [dict(row) for row in stability])
    write_json(folder / "card.json", card)
