"""The table of exercises in the teacher's guide is the list of exercises."""

import re
from itertools import pairwise
from pathlib import Path

from var_mini.checks.registry import exercises, number_of

GUIDE = Path(__file__).resolve().parents[2] / "notebooks" / "README.md"


def test_the_guide_lists_every_exercise_as_it_is():
    rows = re.findall(r"^\| (\d+\.\d) \| `(\w+)` \| (\d) \| (\d+) \|$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    wanted = [(number_of(e), e.name, str(e.difficulty), str(e.minutes)) for e in exercises().values()]
    assert rows == wanted and len(wanted) >= 25


def test_the_plans_fill_their_time():
    guide = GUIDE.read_text(encoding="utf-8")
    plans = re.findall(r"^### Two hours.*?\n(?=#)", guide, re.MULTILINE | re.DOTALL)
    assert len(plans) == 3
    for plan in plans:
        spans = [(int(a), int(b)) for a, b in re.findall(r"^\| (\d+)\W(\d+) \|", plan, re.MULTILINE)]
        assert spans[0][0] == 0 and spans[-1][1] == 120 and all(a[1] == b[0] for a, b in pairwise(spans))
    week = guide.split("### One week")[1].split("##")[0]
    days = re.split(r"^\| [A-Z]\w+day: ", week, flags=re.MULTILINE)[1:]
    assert [sum(map(int, re.findall(r"\| (\d+) \|", day))) for day in days] == [180] * 5


def test_the_guide_links_to_every_lesson():
    guide = GUIDE.read_text(encoding="utf-8")
    sources = sorted((GUIDE.parent / "sources").glob("*.py"))
    assert all(f"({source.stem}.ipynb)" in guide for source in sources)
