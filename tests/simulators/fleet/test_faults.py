from random import Random

from simulators.fleet.faults import HARSH, KEPT_MAX, NONE, Faults, Radio, Say


def says(second: int) -> list[Say]:
    return [Say("fix", str(second).encode())]


def test_without_faults_everything_goes_out_at_once() -> None:
    radio = Radio(NONE, Random(1))
    assert [radio.pass_on(says(n), 1.0) for n in range(5)] == [says(n) for n in range(5)]


def test_what_was_said_offline_comes_as_one_burst_in_order() -> None:
    radio = Radio(NONE, Random(1))
    radio.lose(5.0)
    out = [radio.pass_on(says(n), 1.0) for n in range(7)]
    assert out[:4] == [[], [], [], []]
    assert [int(say.body) for say in out[4]] == [0, 1, 2, 3, 4]
    assert out[5] == says(5)


def test_what_is_kept_has_a_limit() -> None:
    radio = Radio(NONE, Random(1))
    radio.lose(1e9)
    for n in range(KEPT_MAX + 10):
        radio.pass_on(says(n), 1.0)
    assert len(radio.kept) == KEPT_MAX
    assert radio.kept[-1].body == str(KEPT_MAX + 9).encode()


def test_late_and_doubled_fixes_come_and_none_is_lost() -> None:
    radio = Radio(Faults(double_share=0.2, late_share=0.2), Random(2))
    out = [int(say.body) for n in range(500) for say in radio.pass_on(says(n), 1.0)]
    out += [int(say.body) for _ in range(20) for say in radio.pass_on([], 1.0)]
    assert set(out) == set(range(500))
    assert len(out) > 550
    assert out != sorted(out)


def test_the_same_seed_is_the_same_trouble() -> None:
    def story(seed: int) -> list[list[Say]]:
        radio = Radio(HARSH, Random(seed))
        return [radio.pass_on(says(n), 1.0) for n in range(2000)]

    assert story(7) == story(7)
    assert story(7) != story(8)
