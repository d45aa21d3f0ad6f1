"""What the RO-Crate of a study says: JSON-LD that links run, workflow, settings, data and results.

Its form is that of RO-Crate 1.1, Workflow RO-Crate 1.0, Process Run Crate 0.5 and Workflow Run Crate 0.5. Every value
is read from the study or from a file of the project; what none of them says is left out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harc.audit.crate_citation import Citation, Entity
from harc.settings.loading import WorkflowSettings
from harc.settings.profile import Profile

README, WORKFLOW = Path("README.md"), Path("Snakefile")
WORKFLOW_RUN = "https://w3id.org/ro/terms/workflow-run"
CONTEXT = ["https://w3id.org/ro/crate/1.1/context", f"{WORKFLOW_RUN}/context"]
RO_CRATE = "https://w3id.org/ro/crate/1.1"
WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
CRATE_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    WORKFLOW_CRATE: "Workflow RO-Crate",
}
WORKFLOW_PROFILE, PARAMETER_PROFILE = (
    f"https://bioschemas.org/profiles/{kind}/1.0-RELEASE"
    for kind in ("ComputationalWorkflow", "FormalParameter")
)
SNAKEMAKE = {
    "@id": "https://w3id.org/workflowhub/workflow-ro-crate#snakemake",
    "@type": "ComputerLanguage",
    "identifier": {"@id": "https://doi.org/10.1093/bioinformatics/bts480"},
    "name": "Snakemake",
    "url": {"@id": "https://snakemake.readthedocs.io"},
}
COMPLETED = "http://schema.org/CompletedActionStatus"
RUN, ROOT_HASH, RESULTS = "#run", "#root-hash", "#results"


@dataclass(frozen=True)
class Crate:
    """What the metadata are made of.

    Attributes:
        pack: folder of the study, in the project as in the crate.
        form: of the committed study, such as "without weights".
        complete: whether every artifact that the study must hold was made.
        root_hash: of the results.
        profile: that the study was run with.
        records: the study's sidecars.
        files: by place in the crate the entity of each file.
        settings: places of the profile's files.
        known: places of the other files that the run read.
        unknown: SHA-256 by name of what the run read and the crate lacks.
        citation: authors, licence, title and version.
        snakemake: its version.
    """

    pack: Path
    form: str
    complete: bool
    root_hash: str
    profile: Profile
    records: Mapping[str, Mapping[str, Any]]
    files: Mapping[Path, Entity]
    settings: list[Path]
    known: list[Path]
    unknown: Mapping[str, str]
    citation: Citation
    snakemake: str | None

    @property
    def times(self) -> tuple[datetime, datetime]:
        """When the first step began and the last one ended."""
        spans = [(record["started"], record["wall_seconds"]) for record in self.records.values()]
        first, last = min(start for start, _ in spans), max(start + length for start, length in spans)
        return datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)

    @property
    def packed(self) -> list[str]:
        """Identifiers of the files of the pack."""
        return [one["@id"] for place, one in self.files.items() if place.is_relative_to(self.pack)]


def _refer(identifiers: Iterable[str]) -> list[Entity]:
    return [{"@id": identifier} for identifier in identifiers]


def _list_ids(entities: Iterable[Entity]) -> list[str]:
    return [one["@id"] for one in entities]


def _name_folder(path: Path) -> str:
    return f"{quote(path.as_posix())}/"


def describe_crate(crate: Crate) -> list[Entity]:
    """The graph: metadata file and root first, the others by identifier."""
    values, cited = _describe_values(crate), crate.citation
    parameters = _describe_parameters(crate, _list_ids(values))
    others = [*cited.authors, *cited.works, cited.licence, *values, *parameters, *_describe_results(crate)]
    others += [_describe_run(crate, parameters), SNAKEMAKE | {"version": crate.snakemake}]
    others += [
        {"@id": identifier, "@type": "CreativeWork", "name": name, "version": identifier.rpartition("/")[2]}
        for identifier, name in CRATE_PROFILES.items()
    ]
    entities = {one["@id"]: dict(one) for one in (*crate.files.values(), *others)}
    for parameter in parameters:
        for example in parameter["workExample"]:
            entities[example["@id"]]["exampleOfWork"] = {"@id": parameter["@id"]}
    for place, one in crate.files.items():
        if f"project://{place.as_posix()}" in crate.unknown:
            entities[one["@id"]]["description"] = "Of this version; the run read another, see its hash."
    entities[WORKFLOW.name] |= _describe_workflow(crate, parameters)
    entities[README.name]["about"] = {"@id": "./"}
    found = [*_describe_root(crate), *(entities[identifier] for identifier in sorted(entities))]
    return [_shorten(one) for one in found]


def _shorten(entity: Entity) -> Entity:
    """An entity without what is unknown, and without lists around one value."""
    single = {name: value[0] for name, value in entity.items() if isinstance(value, list) and len(value) == 1}
    return {name: value for name, value in (entity | single).items() if value not in (None, [])}


def _describe_root(crate: Crate) -> list[Entity]:
    """The metadata file, and the crate as a whole."""
    beside = [one["@id"] for place, one in crate.files.items() if not place.is_relative_to(crate.pack)]
    descriptor = {
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": _refer([RO_CRATE, WORKFLOW_CRATE]),
    }
    root = {
        "@id": "./",
        "@type": "Dataset",
        "author": _refer(_list_ids(crate.citation.authors)),
        "citation": _refer(_list_ids(crate.citation.works)),
        "conformsTo": _refer(CRATE_PROFILES),
        "datePublished": crate.times[1].date().isoformat(),
        "description": f"{crate.profile.description.strip()} The committed form of the study, {crate.form}.",
        "hasPart": _refer([_name_folder(crate.pack), *beside]),
        "keywords": crate.citation.keywords,
        "license": {"@id": crate.citation.licence["@id"]},
        "mainEntity": {"@id": WORKFLOW.name},
        "mentions": {"@id": RUN},
        "name": f"{crate.citation.title}: {crate.pack.name}",
    }
    return [descriptor, root]


def _describe_values(crate: Crate) -> list[Entity]:
    """What the run was given that is no file here: the profile's name, then hashes."""
    name = crate.profile.source
    profile = {"@id": f"#profile/{quote(name)}", "@type": "PropertyValue", "name": "profile", "value": name}
    hashes = [
        {
            "@id": f"#{quote(name.replace('://', '/'))}",
            "@type": "PropertyValue",
            "name": name,
            "propertyID": f"{WORKFLOW_RUN}#sha256",
            "value": sha,
        }
        for name, sha in crate.unknown.items()
    ]
    return [profile, *hashes]


def _describe_parameters(crate: Crate, values: list[str]) -> list[Entity]:
    """The workflow's inputs, and its output, with their values in this run.

    Args:
        crate: the crate.
        values: identifiers of those that are no files.
    """
    settings, known = (
        _list_ids(crate.files[place] for place in places) for places in (crate.settings, crate.known)
    )
    found = (
        ("profile", "Text", WorkflowSettings.model_fields["profile"].description, values[:1]),
        ("settings", "File", "The profile, and what it extends; a step's own are in its sidecar.", settings),
        ("files", "File", "Other files that the steps read.", known),
        ("hashes", "PropertyValue", "SHA-256 of what else they read, which is not here.", values[1:]),
        (RESULTS[1:], "Dataset", "What the run made, packed.", [_name_folder(crate.pack)]),
    )
    return [
        {
            "@id": f"#{name}",
            "@type": "FormalParameter",
            "additionalType": kind,
            "conformsTo": {"@id": PARAMETER_PROFILE},
            "description": text,
            "name": name,
            "workExample": _refer(examples),
        }
        for name, kind, text, examples in found
        if examples
    ]


def _describe_workflow(crate: Crate, parameters: list[Entity]) -> Entity:
    """What the main file of the workflow is, besides a file."""
    return {
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
        "conformsTo": {"@id": WORKFLOW_PROFILE},
        "creator": _refer(_list_ids(crate.citation.authors)),
        "input": _refer(one for one in _list_ids(parameters) if one != RESULTS),
        "license": {"@id": crate.citation.licence["@id"]},
        "name": crate.citation.title,
        "output": {"@id": RESULTS},
        "programmingLanguage": {"@id": SNAKEMAKE["@id"]},
        "version": crate.citation.version,
    }


def _describe_results(crate: Crate) -> list[Entity]:
    """The pack, and the hash that stands for all of it."""
    pack = {
        "@id": _name_folder(crate.pack),
        "@type": "Dataset",
        "description": f"The packed tree of the run, {crate.form}; sidecars.parquet has the record of every step.",
        "hasPart": _refer(crate.packed),
        "identifier": {"@id": ROOT_HASH},
        "name": crate.pack.name,
    }
    text = "SHA-256 over the digests of all artifacts, in root_hash.json; `harc audit` computes it again."
    value = {"@id": ROOT_HASH, "@type": "PropertyValue", "description": text, "name": "root hash"}
    return [pack, value | {"value": crate.root_hash}]


def _describe_run(crate: Crate, parameters: list[Entity]) -> Entity:
    """The run, as its sidecars have it."""
    begun, ended = (time.isoformat(timespec="milliseconds") for time in crate.times)
    records = sorted(crate.records.values(), key=lambda record: record["started"])
    commits = dict.fromkeys(record["git_commit"] for record in records if record["git_commit"])
    return {
        "@id": RUN,
        "@type": "CreateAction",
        "actionStatus": COMPLETED if crate.complete else None,
        "description": f"{len(records)} sidecars, of commits: {', '.join(commits) or 'none named'}. The workflow and "
        f"the settings beside them are of version {crate.citation.version}.",
        "endTime": ended,
        "instrument": {"@id": WORKFLOW.name},
        "name": f"{WORKFLOW} with profile {crate.profile.source}",
        "object": [example for one in parameters if one["@id"] != RESULTS for example in one["workExample"]],
        "result": _refer([_name_folder(crate.pack), *crate.packed]),
        "startTime": begun,
    }
