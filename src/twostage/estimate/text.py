"""The estimate as text."""

from twostage.estimate.limits import LEAST, SPARE, attempts, minutes, resumes
from twostage.estimate.training import oracle_overhead

LOCAL = ("fetch_", "index", "split", "windows")  # rules that run where Snakemake does, and so ask for nothing


def report(costs, targets, on_demand):
    """The text of the estimate.

    targets: {name: paths below results/{run} that it is drawn from}, all of which a run makes; on_demand: the same of
    targets that are made when asked for by name. The target `replicates` is the ``claims`` of several runs.
    """
    everything = costs.of_target([path for paths in targets.values() for path in paths])
    lines = [*_head(costs), ""]
    lines.append(_line("rule", "of", "jobs", "samples", "TFLOP", "GPU-hours", "CPU-hours", "disk, GB"))
    lines += [_row(costs, row.rule, row.where, [row]) for row in everything]
    lines += [_row(costs, "everything", "", everything), ""]
    lines += ["What one target alone would cost, with all that it needs (drawing it, seconds, is left out):", ""]
    lines.append(_line("target", "", "jobs", "samples", "TFLOP", "GPU-hours", "CPU-hours", "disk, GB"))
    for target, paths in (targets | on_demand).items():
        where = "on demand, not part of everything" if target in on_demand else ""
        lines.append(_row(costs, target, where, costs.of_target(paths)))
    runs = costs.config.replicates
    lines.append(_row(costs, "replicates", f"{runs} runs, on demand", costs.of_runs(runs, targets.get("claims", []))))
    return "\n".join(lines)


def _supervision(costs):
    """What training each model on the oracle velocity costs, one line; nothing where no model is trained so."""
    config = costs.config
    if "oracle" not in {config.models[name].target or config.training.target for name in config.lightningdits}:
        return []
    told = []
    for space in config.spaces:
        trained = [model for model in config.models_of(space) if config.is_trained(model, space)]
        ratios = [f"{model} {oracle_overhead(costs.setting, space, model):.2f}" for model in trained]
        told.append(f"{space} {', '.join(ratios)}")
    return [
        f"Training on the oracle velocity, {config.estimate.oracle_skipped:.0%} of it skipped, costs, over training on "
        f"x_1 - x_0: {'; '.join(told)}."
    ]


def _head(costs):
    setting, hardware = costs.setting, costs.config.estimate
    classes = "no classes" if costs.config.data.unlabelled else f"{setting.classes:,} classes"
    lines = [
        f"What the run {costs.config.run} will cost: {setting.images['train']:,} training and "
        f"{setting.images['held_out']:,} held-out images, {classes}.",
        f"GPU: {hardware.gpu_bf16_tflops:g} TFLOP/s in bf16, {hardware.gpu_float32_tflops:g} in float32, of which "
        f"{hardware.gpu_utilisation:.0%} is reached. CPU: {hardware.cpu_gflops:g} GFLOP/s per core, of which "
        f"{hardware.cpu_utilisation:.0%} is reached; an image takes {1e3 * hardware.image_seconds:g} ms to decode.",
    ]
    splits = {space: setting.split(space) for space in costs.config.spaces}
    told = ", ".join(f"{space} {value:.3g} ({source})" for space, (value, source) in splits.items())
    lines += [f"Stage split: {told}.", *_supervision(costs)]
    if setting.classes_assumed:
        folder = costs.config.data.path
        reason = f"There is no folder {folder}" if folder else "Imported labels are not read"
        lines.append(f"{reason}: {setting.classes:,} classes are assumed; data.classes says how many there are.")
    return lines


def _row(costs, name, where, rows):
    gpu, cpu = (sum(hours) for hours in zip((0, 0), *(costs.hours(row) for row in rows)))
    jobs, samples, flops, disk = (
        sum(getattr(row, key) for row in rows) for key in ("jobs", "samples", "flops", "disk")
    )
    return _line(name, where, jobs, f"{samples:,}", *map(_short, (flops / 1e12, gpu, cpu, disk / 1e9)))


def jobs(costs, targets):
    """The text on what one job of each row takes and asks for, of what ``report`` counts; the table in Markdown."""
    from twostage.estimate.memory import peak

    longest = costs.config.jobs.longest
    cells = [("rule", "of", "jobs", "hours", "limit, min", "attempts", "GPU, GiB", "host, MB", "mem_mb")]
    for row in costs.of_target([path for paths in targets.values() for path in paths]):
        if row.rule.startswith(LOCAL):
            continue
        asked, hours = getattr(costs.config.jobs, row.stage), costs.hours_by_the_clock(row)
        limit = minutes(hours, longest) if asked.runtime == "auto" else asked.runtime
        tried = attempts(hours, limit) if resumes(row.rule) else 1
        gpu, host = peak(costs.config, row)
        memory = f"{gpu / 2**30:.1f}", f"{host / 1e6:,.0f}", f"{asked.mem_mb:,}"
        cells.append((row.rule, row.where, f"{row.jobs}", _short(hours), f"{limit:,}", f"{tried}", *memory))
    widths = [max(map(len, column)) for column in zip(*cells)]
    table = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in cells]
    table.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    said = (
        "What one job takes, at most, of each GPU and of its host, how long, and what it asks for. With "
        f"`runtime: auto` its time limit is {SPARE:g} times the hours, at least {LEAST} minutes, at most jobs.longest "
        f"({longest:,}). A training that takes longer goes on in its next attempt."
    )
    return "\n".join([said, "", *table])


def _line(rule, where, jobs, *numbers):
    return f"{rule:28} {where:36} {jobs:>6} " + " ".join(f"{number:>13}" for number in numbers)


def _short(number):
    return "0" if number == 0 else f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
