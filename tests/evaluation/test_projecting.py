"""Which answers are projected: the same prompts for every method, in their order."""

from harc.evaluation.projecting import choose_projected


def make_records(answer: str) -> list[dict]:
    return [
        {"id": f"row-{number}", "suite": "direct", "response": f"{answer} {number}"} for number in range(50)
    ]


def test_a_limit_takes_the_same_prompts_of_every_model_in_their_order():
    first, second = (choose_projected(make_records(answer), 12) for answer in ("yes", "no"))
    names = [record["id"] for record in first]
    assert names == [record["id"] for record in second]
    assert len(names) == 12 and names == sorted(names, key=lambda name: int(name.split("-")[1]))
    assert names != [f"row-{number}" for number in range(12)]


def test_fewer_are_part_of_more_and_no_limit_takes_all():
    records = make_records("yes")
    few, more = (choose_projected(records, count) for count in (5, 20))
    assert [record for record in more if record in few] == few
    assert choose_projected(records, None) == records == choose_projected(records, 500)
