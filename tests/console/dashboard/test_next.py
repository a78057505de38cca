"""The next fraction: a projection with its ±, of the latest result only, and words where there is no number."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import treatments

from console.dashboard.screen.model import Tone
from console.dashboard.screen.next import build_next
from quantify.findings import FractionStatus, VolumeStatus
from quantify.model import Role
from quantify.projection import ActivityLeft, Projection


@pytest.fixture
def after(words):
    """The treatment after so many fractions, the next not given yet; changes are of its last result."""

    def made(number, *, given=None, **changes):
        last = replace(words.results[number - 1], **changes)
        results = (*words.results[: number - 1], last)
        return replace(words, results=results, injections=treatments.injections(given or number))

    return made


def shown_next(snapshot):
    return build_next(snapshot, snapshot.results[-1])


def projected(dose, half):
    return Projection(dose_gy=dose, low_95_gy=dose - half, high_95_gy=dose + half, method="line")


def test_the_next_fraction_tells_share_activity_doses_limit_and_activity_left(after):
    following = shown_next(after(2))
    assert following.title == "NEXT RHA F3 · 30 % · 390 MBq planned"
    assert [cell.text for cell in following.numbers] == [
        "Tumour 1 88 ± 9 Gy",
        "Tumour 2 75 ± 8 Gy",
        "Healthy liver 22 ± 4 Gy (limit 55)",
        "870 MBq until the upper 95 % bound of Healthy liver reaches 55 Gy",
    ]
    for part in ("k = 1", "95 % interval", "proportional", "physics.md"):
        assert part in following.tooltip


def test_no_projected_dose_stands_without_its_uncertainty(after):
    for number in (1, 2, 3):
        doses = [
            cell.text for cell in shown_next(after(number)).numbers if re.match(r"(▲ )?(Tumour|Healthy)", cell.text)
        ]
        assert doses
        assert all(re.search(r"\d ± \d", text) for text in doses)


def test_an_upper_bound_over_the_limit_is_first_with_sign_words_and_tone(after):
    snapshot = after(2, projection=treatments.projection(1) | {"Healthy liver": projected(48.0, 14.0)})
    first = shown_next(snapshot).numbers[0]
    assert first.text == "▲ Healthy liver 48 ± 7 Gy, upper bound over limit 55 Gy"
    assert first.tone is Tone.ALERT


def test_a_limit_that_has_been_reached_is_said_without_an_activity(after):
    left = ActivityLeft(mbq=0.0, method="line", message="the upper 95 % bound, 56.0 Gy, has reached the limit of 55 Gy")
    first = shown_next(after(2, activity_left={"Healthy liver": left})).numbers[0]
    assert first.text == "▲ upper 95 % bound of Healthy liver has reached 55 Gy"
    assert first.tone is Tone.ALERT


def test_no_activity_is_left_where_the_bound_is_marked_as_over(after):
    over = treatments.statistics("Healthy liver", Role.HEALTHY_LIVER, 53.0, 2.4, 1480.0)
    first = shown_next(after(2, volumes={"Healthy liver": over})).numbers[0]
    assert first.text == "▲ upper 95 % bound of Healthy liver has reached 55 Gy"


def test_an_earlier_fraction_has_no_projection(words):
    following = build_next(words, words.results[0])
    assert following.numbers == ()
    assert "RHA F4" in following.title


def test_a_fraction_already_given_is_projected_and_not_next(after):
    following = shown_next(after(2, given=3))
    assert following.title == "GIVEN RHA F3 · 387 MBq · projected for 390 MBq planned"
    assert following.numbers[-1].text.endswith("counted before RHA F3")
    assert "projected for the 390 MBq planned" in following.tooltip


def test_the_first_fraction_of_another_position_has_words_and_no_number(words):
    following = shown_next(words)
    assert following.title == "NEXT LHA F1 · 25 % · 93 MBq planned"
    assert following.numbers[0].text == "no number: no fraction of LHA has been measured yet"
    assert following.numbers[1].text.startswith("810 MBq at RHA until")


def test_where_the_line_is_not_known_the_message_stands_in_its_place(after):
    message = "the dose before this injection position was not measured"
    none = Projection(dose_gy=None, low_95_gy=None, high_95_gy=None, method="none", message=message)
    following = shown_next(after(2, projection={"Tumour 1": none}, activity_left={}))
    assert [cell.text for cell in following.numbers] == [f"no number: {message}"]


def test_a_failed_fraction_projects_nothing(after):
    changes = {"status": FractionStatus.FAILED, "error": "edges 6 mm apart", "projection": {}, "activity_left": {}}
    assert [c.text for c in shown_next(after(2, **changes)).numbers] == ["no number: edges 6 mm apart"]


def test_a_share_is_only_told_where_every_fraction_of_the_position_is_planned(after):
    snapshot = after(2)
    open_end = [replace(i, planned_mbq=None) if i.key == ("RHA", 4) else i for i in snapshot.injections]
    assert shown_next(replace(snapshot, injections=tuple(open_end))).title == "NEXT RHA F3 · 390 MBq planned"


def test_after_the_last_planned_fraction_nothing_is_next(words):
    assert shown_next(replace(words, injections=words.injections[:4])) is None
    assert build_next(words, None) is None


def test_many_tumours_are_counted(after):
    names = [f"Tumour {k}" for k in range(1, 6)]
    snapshot = after(2, projection={name: projected(60.0, 12.0) for name in names})
    volumes = {name: treatments.statistics(name, Role.TUMOUR, 50.0, 5.0, 10.0) for name in names}
    snapshot = replace(snapshot, results=(replace(snapshot.results[-1], volumes=volumes),))
    counted = shown_next(snapshot).numbers[3]
    assert counted.text == "+ 2 tumours"
    assert "Tumour 5" in counted.tooltip


def test_it_never_says_what_to_do(after):
    for number in (1, 2, 3, 4):
        following = shown_next(after(number))
        told = " ".join([following.title, following.tooltip, *(cell.text for cell in following.numbers)]).lower()
        assert not re.search(r"\b(inject|stop|give|should|recommend|safe)\b", told)


def test_a_projection_is_never_shown_under_another_injection(after):
    """It is made for what directly follows at the position: not for what comes after an aborted one, or two."""
    snapshot = after(2, given=3)
    aborted = [replace(i, aborted=True, activity_mbq=40.0) if i.key == ("RHA", 3) else i for i in snapshot.injections]
    following = shown_next(replace(snapshot, injections=tuple(aborted)))
    assert following.title.startswith("NEXT RHA F4")
    assert following.numbers[0].text == "no number: RHA F3 aborted since RHA F2"
    assert "Tumour 1" not in following.tooltip
    two = shown_next(after(2, given=4))
    assert two.numbers[0].text == "no number: RHA F3, RHA F4 given since RHA F2"


def test_from_a_lower_bound_a_projection_is_one_too_and_no_activity_is_left(after, words):
    volumes = words.results[1].volumes
    changed = volumes | {n: replace(volumes[n], status=VolumeStatus.LOWER_BOUND) for n in ("Tumour 1", "Healthy liver")}
    snapshot = after(2, volumes=changed)
    texts = [cell.text for cell in shown_next(snapshot).numbers]
    assert texts == ["Tumour 1 ≥ 88 Gy", "Tumour 2 75 ± 8 Gy", "Healthy liver ≥ 21 Gy (limit 55)"]
    # A line through an earlier lower bound may be too steep: nothing is known then.
    first = replace(words.results[0], volumes=changed)
    later = replace(snapshot, results=(first, replace(words.results[1])))
    texts = [cell.text for cell in shown_next(later).numbers]
    assert texts == ["Tumour 2 75 ± 8 Gy"]


def test_nothing_is_next_in_a_closed_treatment(after):
    closed = replace(after(2), closed=("J. Jansen", treatments.START))
    assert shown_next(closed) is None
