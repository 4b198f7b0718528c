"""Plans: what is refused and how, how steps are shared, and the plans of each experiment."""

import re
import subprocess
import sys

import pytest

from twostage.sampling.experiments import EXPERIMENTS, plans_for
from twostage.sampling.plan import Plan, prefixes, share_before, step_starts

SETTINGS = {
    "tab1": {"models": ["XL", "B"], "splits": ["measured", 0.1, 0.2]},
    "tab2": {"model": "B"},
    "tab3": {"model": "B", "guidance": 1.5},
    "tab_capacity": {"large": "XL", "small": "B", "late": 0.98},
    "tab_halves": {"models": ["B", "XL"], "snapshot": 100},
    "fig8": {"models": ["B"]},
    "fig5": {"model": "XL"},
    "fig6": {"model": "XL"},
    "tab_gain": {"model": "B"},
    "tab_plans": {"plans": {"late": {"parts": [{"field": "XL", "guidance": 2.0, "interval": ["split", 1.0]}]}}},
    "fig_samples": {"models": ["XL"]},
    "fig_jump": {"model": "XL"},
    "fig_oracle_supervised": {"models": ["B"], "snapshots": [100, 200]},
}


def plan(parts, **rest):
    return Plan.from_dict("p", {"parts": parts, **rest})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"parts": [{"field": "B", "stop": 0.5}, {"field": "B", "start": 0.4}]}, ["part 2", "0.4", "0.5", "overlap"]),
        ({"parts": [{"field": "B", "stop": 0.5}, {"field": "B", "stop": 0.3}]}, ["part 2", "0.3", "0.5", "overlap"]),
        ({"parts": [{"field": "B", "stop": 0.5}, {"field": "B", "start": 0.6}]}, ["part 2", "0.6", "0.5", "gap"]),
        ({"parts": [{"field": "B", "start": 0.1}]}, ["part 1", "0.1", "gap"]),
        ({"parts": [{"field": "B", "stop": 0.9}]}, ["0.9", "expected 1", "gap"]),
        ({"parts": [{"field": "Bee"}]}, ["part 1", "'Bee'", "XL, B, oracle, gaussian"]),
        ({"parts": [{"field": "orakle"}]}, ["did you mean 'oracle'"]),
        ({"parts": [{"field": "gausian"}]}, ["did you mean 'gaussian'"]),
        ({"parts": [{"field": "gaussian", "guidance": 2}]}, ["guidance", "gaussian takes no guidance"]),
        ({"parts": [{"field": "B", "interval": [0.2, 1.1]}]}, ["part 1", "1.1", "[0, 1]"]),
        ({"parts": [{"field": "B", "interval": [-0.1, 0.5]}]}, ["part 1", "-0.1", "[0, 1]"]),
        ({"parts": [{"field": "B", "interval": [0.5, 0.2]}]}, ["[0.5, 0.2]", "lo < hi"]),
        ({"parts": [{"field": "B", "stop": "middle"}]}, ["'middle'", "'split'"]),
        ({"parts": [{"field": "B", "steps": 0}]}, ["steps", "0", "at least 1"]),
        ({"parts": [{"field": "B", "shift": 0}]}, ["shift", "above 0"]),
        ({"parts": [{"field": "B", "channels": "some"}]}, ["channels", "'some'"]),
        ({"parts": [{"field": "oracle", "guidance": 2}]}, ["guidance", "oracle"]),
        ({"parts": [{"field": "B"}], "solver": "eulr"}, ["'eulr'", "did you mean 'euler'"]),
        ({"parts": [{"field": "B"}], "start": {"resume": 0.2}}, ["start", "held_out"]),
        ({"parts": [{"field": "B"}], "start": {"resume": 0.2, "split": "test"}}, ["'test'", "held_out"]),
        ({"parts": [{"field": "B"}], "start": {"resume": 1, "split": "train"}}, ["below 1"]),
        ({"parts": [{"field": "B"}], "start": {"gaussian": 1}}, ["start's gaussian is 1", "below 1"]),
        ({"parts": [{"field": "B"}], "start": {"gaussian": "middle"}}, ["start's gaussian is 'middle'", "'split'"]),
        ({"parts": [{"field": "B"}], "start": {"gausian": 0.2}}, ["'gausian'", "did you mean 'gaussian'"]),
        ({"parts": [{"field": "B"}], "start": {"gaussian": 0.2, "split": "train"}}, ["start is", '{"gaussian": t}']),
        ({"parts": [{"field": "B"}], "start": "gaussian"}, ["start is 'gaussian'", '{"gaussian": t}']),
        ({"parts": [{"field": "B", "start": 0.0}], "start": {"gaussian": 0.2}}, ["part 1", "0.2", "overlap"]),
        ({"parts": [{"field": "B", "stop": 0.2}], "start": {"resume": 0.4, "split": "train"}}, ["0.2", "0.4"]),
        ({"parts": [{"field": "B", "stpo": 1}]}, ["part 1", "'stpo'", "did you mean 'stop'"]),
        ({"parts": [{"field": "B"}], "solvr": "euler"}, ["'solvr'", "did you mean 'solver'"]),
        ({"parts": []}, ["no parts"]),
        ({"parts": [{"stop": 1.0}]}, ["part 1", "field is missing"]),
        ({"parts": {"field": "B"}}, ["parts is {'field': 'B'}", "expected a list"]),
        ({"parts": ["B"]}, ["part 1", "it is 'B'"]),
        ({"parts": [{"field": "B", "guidance": "2"}]}, ["part 1", "guidance is '2'", "a number"]),
        ({"parts": [{"field": "B", "guidance": float("inf")}]}, ["part 1", "guidance is inf", "a number"]),
        ({"parts": [{"field": "B", "shift": "0.5"}]}, ["part 1", "shift is '0.5'", "above 0"]),
        ({"parts": [{"field": "B", "interval": 0.5}]}, ["part 1", "interval is 0.5", "[lo, hi]"]),
        ({"parts": [{"field": "B", "stop": 0.5}, {"field": "B"}], "steps": 1}, ["steps is 1 for 2 parts"]),
        ({"parts": [{"field": "B", "gain": 0.1}]}, ["part 1", "gain is 0.1", "{alpha: ..., beta: ...}"]),
        ({"parts": [{"field": "B", "gain": {"alpha": 0.1}}]}, ["part 1", "{'alpha': 0.1}", "both"]),
        ({"parts": [{"field": "B", "gain": {"alpha": -1, "beta": 1}}]}, ["alpha is -1", "above -1"]),
        ({"parts": [{"field": "B", "gain": {"alpha": 0.1, "beta": "1"}}]}, ["beta is '1'", "at least 0"]),
    ],
)
def test_bad_plans_are_refused_with_name_value_and_expectation(content, words):
    with pytest.raises(ValueError, match="plan p") as caught:
        Plan.from_dict("p", content).validate(["XL", "B"])
    for word in words:
        assert word in str(caught.value)


def test_a_split_that_is_missing_or_out_of_range_is_refused():
    symbolic = plan([{"field": "B", "stop": "split"}, {"field": "B"}])
    for split in (None, 0, 1, -0.2, 1.5):
        with pytest.raises(ValueError, match="the split is"):
            symbolic.resolve(split)
    with pytest.raises(ValueError, match="overlap"):
        plan([{"field": "B", "stop": 0.5}, {"field": "B", "stop": "split"}, {"field": "B"}]).resolve(0.3)


def test_resolve_replaces_every_split_and_shares_steps_as_the_uniform_grid_does():
    parts = [{"field": "B", "stop": "split"}, {"field": "XL", "interval": ["split", 1.0], "guidance": 2.0}]
    resolved = plan(parts, steps=50).resolve(0.3)
    assert [(part.start, part.stop, part.steps) for part in resolved.parts] == [(0.0, 0.3, 15), (0.3, 1.0, 35)]
    assert resolved.parts[1].interval == (0.3, 1.0)
    assert resolved.nfe == 50
    assert step_starts(resolved) == pytest.approx([k / 50 for k in range(50)])


@pytest.mark.parametrize("split", [1e-4, 0.005, 0.093, 0.5, 0.9999])
def test_each_stage_gets_at_least_one_step_and_the_total_is_fixed(split):
    resolved = plan([{"field": "B", "stop": "split"}, {"field": "XL"}], steps=50).resolve(split)
    assert min(part.steps for part in resolved.parts) >= 1
    assert sum(part.steps for part in resolved.parts) == 50


def test_steps_of_a_part_take_precedence_and_too_few_are_refused():
    resolved = plan([{"field": "B", "stop": 0.1, "steps": 25}, {"field": "XL", "steps": 25}]).resolve()
    assert [part.steps for part in resolved.parts] == [25, 25]
    with pytest.raises(ValueError, match="steps is 1 for 2 parts"):
        plan([{"field": "B", "stop": 0.1}, {"field": "XL"}], steps=1).resolve()


def test_heun_costs_two_evaluations_a_step_but_the_last():
    assert plan([{"field": "B"}], steps=10, solver="heun").resolve().nfe == 19


def test_dict_form_returns_the_same_plan():
    content = {
        "start": {"resume": "split", "split": "held_out"},
        "solver": "heun",
        "steps": 20,
        "follow": True,
        "parts": [{"field": "B", "stop": 0.8, "guidance": 2.0, "interval": [0.2, 0.6], "channels": 3}, {"field": "XL"}],
    }
    made = Plan.from_dict("p", content)
    assert Plan.from_dict("p", made.to_dict()) == made


def test_shifts_give_the_shares_of_table_2():
    shares = {"4": 0.06, "2": 0.12, "1": 0.22, "0.7": 0.28, "0.5": 0.34, "0.3": 0.46, "0.1": 0.72}
    plans = plans_for("tab2", SETTINGS["tab2"])
    assert len(plans) == 7
    for shift, share in shares.items():
        name = f"tab2-shift_{shift}"
        assert share_before(step_starts(Plan.from_dict(name, plans[name]).resolve()), 0.2) == pytest.approx(share)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiments_plans_can_be_resolved_at_any_split(experiment):
    plans = plans_for(experiment, SETTINGS[experiment], steps=20, solver="heun")
    assert plans
    for name, content in plans.items():
        assert re.fullmatch(r"[A-Za-z0-9_.-]+", name)
        assert name.startswith(experiment)
        for split in (0.01, 0.5, 0.97):
            resolved = Plan.from_dict(name, content).validate(["B", "XL", "B@100", "B@200"]).resolve(split)
            assert resolved.solver == "heun"
            assert resolved.parts[-1].stop == 1


def test_the_experiments_are_the_papers():
    tab1 = plans_for("tab1", SETTINGS["tab1"])
    assert list(tab1)[:4] == ["tab1-measured-XL-XL", "tab1-measured-B-XL", "tab1-measured-XL-B", "tab1-measured-B-B"]
    assert len(tab1) == 12
    equal = plans_for("tab1", {**SETTINGS["tab1"], "stage_steps": "equal"})
    assert [part["steps"] for part in equal["tab1-0.1-B-XL"]["parts"]] == [25, 25]
    given = plans_for("tab1", {**SETTINGS["tab1"], "stage_steps": (10, 40)})
    assert [part["steps"] for part in given["tab1-0.2-B-XL"]["parts"]] == [10, 40]
    with pytest.raises(ValueError, match=r"stage_steps are \[10, 30\]; expected two numbers that add up to 50"):
        plans_for("tab1", {**SETTINGS["tab1"], "stage_steps": (10, 30)})
    tab3 = plans_for("tab3", SETTINGS["tab3"])
    assert len(tab3) == 1 + 10 + 12
    wide = [
        tuple(part["interval"])
        for content in list(tab3.values())[11:]
        for part in content["parts"]
        if "interval" in part
    ]
    assert {"tab3-0-1", "tab3-0.1-0.4", "tab3-0.2-1"} <= set(tab3)
    assert sorted(wide) == sorted((a, b) for a in (0, 0.1, 0.2) for b in (0.4, 0.6, 0.8, 1) if (a, b) != (0, 1))
    more = {"from_data": ["class"], "beside": [{"guidance": 3.0}, {"model": "XL"}]}
    named = plans_for("tab3", SETTINGS["tab3"] | more)
    assert dict(list(named.items())[:23]) == tab3
    assert list(named)[23:] == [
        "tab3-class", "tab3-B-3-0-1", "tab3-B-3-class", "tab3-XL-none", "tab3-XL-1.5-0-1", "tab3-XL-1.5-class",
    ]  # fmt: skip
    assert [content["kind"] for content in list(named.values())[23:]] == ["data", *["beside"] * 5]
    with pytest.raises(ValueError, match=r"tab3: model B with scale 1\.5 stands twice"):
        plans_for("tab3", SETTINGS["tab3"] | {"beside": [{"model": "B"}]})
    fig5 = plans_for("fig5", SETTINGS["fig5"])
    assert [part["field"] for part in fig5["fig5-0"]["parts"]] == ["XL"]
    assert [part["field"] for part in fig5["fig5-1"]["parts"]] == ["oracle"]
    assert [part["field"] for part in fig5["fig5-0.15"]["parts"]] == ["oracle", "XL"]
    jump = plans_for("fig_jump", {"model": "XL", "times": [0, 0.25, "split", 0.8]}, guidance={"guidance": 1.5})
    assert list(jump) == [f"fig_jump-{word}" for word in ("0", "0.25", "split", "0.8", "steps_37", "steps_10")]
    made = {name: Plan.from_dict(name, content).resolve(0.4) for name, content in jump.items()}
    assert [plan.nfe for plan in made.values()] == [50, 37, 30, 10, 37, 10]
    assert [plan.begins for plan in made.values()] == [0, 0.25, 0.4, 0.8, 0, 0]
    assert [plan.kind for plan in made.values()] == ["model", *["jump"] * 3, *["uniform"] * 2]
    assert {plan.parts[0].guidance for plan in made.values()} == {1.5}
    many = plans_for("fig5", {**SETTINGS["fig5"], "oracle_samples": 400})
    assert {name for name, content in many.items() if content.get("samples") == 400} == {"fig5-1"}
    fig6 = plans_for("fig6", SETTINGS["fig6"])
    assert [content["start"]["resume"] for content in fig6.values()] == [0.1, 0.2, 0.4, 0.8]


def test_two_models_take_three_parts_in_eight_ways_and_share_what_they_can():
    plans = plans_for("tab_capacity", {"large": "XL", "small": "B"})
    fields = {content["kind"]: [part["field"] for part in content["parts"]] for content in plans.values()}
    assert len(fields) == len(plans) == 8
    assert fields["large-small-large"] == ["XL", "B", "XL"]
    assert next(iter(fields)) == "large-large-large"
    resolved = [Plan.from_dict(name, content).resolve(0.48) for name, content in plans.items()]
    assert {plan.nfe for plan in resolved} == {50}
    assert [part.steps for part in resolved[0].parts] == [24, 14, 12]
    assert len({prefix for plan in resolved for prefix in prefixes(plan)}) == 2 + 4 + 8
    with pytest.raises(ValueError, match=r"part 2 \(XL\): stops at 0.75 but starts at 0.8; expected a later stop"):
        Plan.from_dict("p", plans["tab_capacity-XL-XL-XL"]).resolve(0.8)


def test_every_navigator_meets_every_refiner_and_the_gaussian_costs_nothing():
    guidance = {"guidance": 2.0}
    plans = plans_for("tab_halves", {"models": ["XL", "B"], "snapshot": 100}, guidance=guidance)
    navigators, refiners = ["gaussian", "XL", "B", "XL@100", "oracle"], ["XL", "B", "oracle"]
    kinds = [content["kind"] for content in plans.values()]
    assert kinds == [f"{before} > {after}" for after in refiners for before in navigators]
    resolved = {plans[name]["kind"]: Plan.from_dict(name, plans[name]).resolve(0.48) for name in plans}
    jump = resolved["gaussian > B"]
    assert (jump.start, jump.nfe, [part.field for part in jump.parts]) == ({"gaussian": 0.48}, 26, ["B"])
    for kind, plan in resolved.items():
        before, after = kind.split(" > ")
        assert plan.nfe == (26 if before == "gaussian" else 50)
        assert (plan.parts[-1].field, plan.parts[-1].start) == (after, 0.48)
        assert {part.guidance for part in plan.parts if part.field == "oracle"} <= {1.0}
        assert {part.guidance for part in plan.parts if part.field != "oracle"} <= {2.0}
    firsts = {prefixes(plan)[0] for plan in resolved.values() if plan.start == "prior"}
    assert len(firsts) == 4  # each navigator's first half once
    without = plans_for("tab_halves", {"models": ["XL"]})
    assert len(without) == 3 * 2


def test_own_plans_take_what_they_leave_out_from_the_run_and_are_refused_by_name():
    own = plans_for("tab_plans", {"plans": {"a": {"steps": 7, "parts": [{"field": "B"}]}}}, steps=20, solver="heun")
    assert own == {"tab_plans-a": {"solver": "heun", "steps": 7, "parts": [{"field": "B", "stop": 1.0}]}}
    for parts, message in (
        (
            [{"field": "Bee"}],
            "plan tab_plans-a, part 1 .* field is 'Bee'; expected one of B, oracle, gaussian; did you mean 'B'",
        ),
        ([{"field": "B", "stop": 0.4}, {"field": "B", "start": 0.5}], "plan tab_plans-a, part 2 .* leave a gap"),
        ([{"field": "B", "stop": 0.4}, {"field": "B", "start": 0.3}], "plan tab_plans-a, part 2 .* overlap"),
        (
            [{"field": "B", "guidance": 2, "interval": [0.5, 1.5]}],
            "plan tab_plans-a, part 1 .* 1.5; expected a time in",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            plans_for("tab_plans", {"plans": {"a": {"parts": parts}}}, models=["B"])


def test_every_switch_time_of_figure_5_lies_on_one_grid():
    grids = [
        step_starts(Plan.from_dict(name, content).resolve())
        for name, content in plans_for("fig5", {**SETTINGS["fig5"], "steps": 50}).items()
    ]
    assert {len(grid) for grid in grids} == {60}
    for grid in grids:
        assert grid == pytest.approx([k / 60 for k in range(60)])
    kept = plans_for("fig5", {"model": "XL", "times": [0, 0.1234567, 1], "steps": 50})
    assert {content.get("steps", 50) for content in kept.values()} == {50}


def test_unknown_experiments_and_settings_are_refused():
    with pytest.raises(ValueError, match="no experiment 'tab9'"):
        plans_for("tab9", {})
    with pytest.raises(ValueError, match="unknown setting 'shift'; expected one of model, shifts"):
        plans_for("tab2", {"model": "B", "shift": [1]})
    with pytest.raises(ValueError, match="setting 'models' is missing"):
        plans_for("tab1", {})


def test_plans_are_read_without_torch():
    code = "import sys, twostage.sampling.experiments; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
