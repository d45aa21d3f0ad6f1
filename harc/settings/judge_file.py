"""Settings of the judges that are models, outside the workflow: one YAML file for `harc evaluate --judge-config`."""

from pydantic import Field

from harc.settings.base import Settings
from harc.settings.endpoints import EndpointSettings
from harc.settings.judges import ClassifierSettings
from harc.settings.sandbox import SandboxSettings


class JudgeFile(Settings):
    """The content of the file given to `harc evaluate --judge-config`."""

    endpoint: EndpointSettings | None = Field(
        None, description="Chat model behind the judges that are chat models, and behind suite mt_bench."
    )
    sandbox: SandboxSettings = Field(SandboxSettings(), description="Limits on suite humaneval's programs.")
    classifier: ClassifierSettings | None = Field(
        None, description="Model behind judge harmbench_classifier; none: HarmBench's own."
    )
