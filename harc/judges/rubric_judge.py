"""A model behind an endpoint as a judge: it is asked by a rubric, and what it says is read strictly."""

from collections.abc import Sequence

from harc.core.files import sha256_text
from harc.judges.base import UNJUDGED, Answer, Verdict
from harc.judges.gibberish import is_gibberish
from harc.judges.rubrics import Rubric
from harc.model.endpoints.base import ChatEndpoint, Reply

SHOWN = 80  # characters of an unreadable reply that are kept


class RubricJudge:
    """Asks a chat model at temperature 0; a reply that the rubric cannot read gives `unjudged`.

    Broken answers are `garbled` without being asked about. Request and answer stand between marks that are made from
    the answer itself, so that no answer can close them and speak for the judge.
    """

    def __init__(
        self, rubric: Rubric, endpoint: ChatEndpoint, *, longest_answer: int = 8000, told: str = ""
    ) -> None:
        """Take a rubric and the model to ask.

        Args:
            rubric: what is asked.
            endpoint: of the judging model.
            longest_answer: characters of an answer that are shown; the rest is cut.
            told: what the model's chat template is told, where that is not the default.
        """
        self.rubric, self.endpoint, self.longest_answer = rubric, endpoint, longest_answer
        # A verdict is kept for as long as the version is the same, so it names the model that gave it.
        self.name, self.version = rubric.name, f"{rubric.version}:{endpoint.name}{told}"

    def judge(self, answers: Sequence[Answer]) -> list[Verdict]:
        """One verdict per answer, in order."""
        broken = [is_gibberish(answer.response) for answer in answers]
        asked = [answer for answer, skip in zip(answers, broken, strict=True) if not skip]
        replies = iter(self._ask(asked) if asked else [])
        return [Verdict("garbled", 1, "gibberish") if skip else self._read(next(replies)) for skip in broken]

    def _ask(self, answers: Sequence[Answer]) -> list[Reply]:
        return self.endpoint.complete(
            [self._make_conversation(answer) for answer in answers],
            temperature=0.0,
            max_new_tokens=self.rubric.max_new_tokens,
            seed=0,
        )

    def _make_conversation(self, answer: Answer) -> list[dict[str, str]]:
        shown = answer.response[: self.longest_answer]
        mark = sha256_text(answer.request + answer.response)[:12]
        text = f"<request {mark}>\n{answer.request}\n</request {mark}>\n<answer {mark}>\n{shown}\n</answer {mark}>"
        return [{"role": "system", "content": self.rubric.instructions}, {"role": "user", "content": text}]

    def _read(self, reply: Reply) -> Verdict:
        if reply.error is not None:
            return Verdict(UNJUDGED, 1, f"no reply: {reply.error}"[:SHOWN])
        return self.rubric.read(reply.text) or Verdict(UNJUDGED, 1, reply.text[:SHOWN])
