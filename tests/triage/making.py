"""A small protocol set as text, and strategies over the bundled one."""

from hypothesis import strategies as st

from dispatch.contracts.ids import ComplaintId, QuestionId
from dispatch.contracts.words import Answer
from triage.load import load_bundled

BUNDLED = load_bundled()

GATES = """\
kind: gates
reviewed_by: none
sources: [a guideline of 2020]
questions:
  - {id: awake, zh: 醒吗, en: "Awake?", danger: no}
  - {id: breathing, zh: 呼吸吗, en: "Breathing?", danger: no}
rules:
  - id: gates.arrest
    why: {zh: 骤停, en: Arrest}
    when: {all: [{certain: awake}, breathing]}
    then: {priority: red, skills: [als], say: [push]}
    exclusive: yes
    asks_no_more: yes
  - id: gates.asleep
    why: {zh: 不醒, en: Asleep}
    when: awake
    then: {priority: red}
default: {priority: orange, skills: [bls], capabilities: [ed]}
presumed: {priority: orange}
instructions:
  - {id: push, zh: 按压, en: Push}
"""

PAIN = """\
kind: complaint
id: pain
key: "1"
name: {zh: 痛, en: Pain}
reviewed_by: none
sources: [a guideline of 2021]
questions:
  - {id: pain.bad, zh: 很痛吗, en: "Bad?", danger: yes}
  - {id: pain.old, zh: 老人吗, en: "Old?", danger: yes, always: yes}
rules:
  - id: pain.worst
    why: {zh: 剧痛, en: Worst}
    when: {all: [pain.bad, pain.old]}
    then: {priority: red, skills: [als]}
  - id: pain.some
    why: {zh: 痛, en: Some}
    when: {any: [pain.bad, pain.old]}
    then: {priority: orange, say: [rest]}
default: {priority: yellow, skills: [bls], capabilities: [ed]}
presumed: {priority: orange, skills: [trauma]}
instructions:
  - {id: rest, zh: 休息, en: Rest}
"""

SMALL = {"gates.yaml": GATES, "pain.yaml": PAIN}

COMPLAINTS = st.sampled_from([None, *(one.complaint_id for one in BUNDLED.complaints)])


@st.composite
def cases(draw: st.DrawFn) -> tuple[ComplaintId | None, dict[QuestionId, Answer]]:
    """A complaint or none, and answers: mostly to its own questions, some to others'."""
    complaint = draw(COMPLAINTS)
    own = list(BUNDLED.gates.questions)
    if complaint is not None:
        own += BUNDLED.complaint(complaint).questions
    answers = {
        question: answer
        for question in own
        if (answer := draw(st.sampled_from([None, *Answer]))) is not None
    }
    strange = draw(st.lists(st.sampled_from(sorted(BUNDLED.questions)), max_size=2))
    for question in strange:
        answers.setdefault(question, draw(st.sampled_from(Answer)))
    return complaint, answers


def gravity(priority: object) -> int:
    """Greater is graver; nothing known is least."""
    order = [None, "green", "yellow", "orange", "red"]
    return order.index(None if priority is None else str(priority))
