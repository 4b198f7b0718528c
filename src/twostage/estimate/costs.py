"""Every row of a configuration, what a target needs of them, and the hours that they take."""

from twostage.estimate import data, evaluation, oracle, references, sampling, settling, training
from twostage.estimate.setting import Setting

STAGES = (data, oracle, settling, training, sampling, references, evaluation)


class Costs:
    """Every ``Row`` that a configuration's rules can start.

    config: a ``twostage.config.Config``; plans: {experiment: {plan name: plan dict}}.
    setting: the ``Setting``; rows: a list, those made once first, then latent space by latent space.
    """

    def __init__(self, config, plans):
        self.config, self.setting = config, Setting(config, plans)
        self.rows = [row for stage in STAGES if hasattr(stage, "rows") for row in stage.rows(self.setting)]
        for space in config.spaces:
            self.rows += [row for stage in STAGES for row in stage.rows_of_space(self.setting, space)]

    def hours(self, row):
        """(GPU-hours, CPU-hours) of a row. CPU-hours of a job on a GPU are those of the cores that wait for it."""
        jobs, hardware = getattr(self.config.jobs, row.stage), self.config.estimate
        cpu = row.cpu_seconds / 3600
        if not jobs.gpu:
            return 0.0, cpu + row.flops / (1e9 * hardware.cpu_gflops * hardware.cpu_utilisation) / 3600
        seconds = row.bf16_flops / hardware.gpu_bf16_tflops
        seconds += (row.flops - row.bf16_flops) / hardware.gpu_float32_tflops
        waited = row.waited_seconds / jobs.threads * jobs.gpu
        gpu = (seconds / (1e12 * hardware.gpu_utilisation) + waited + row.gpu_seconds) / 3600
        return max(gpu, cpu / jobs.threads * jobs.gpu), max(gpu / jobs.gpu * jobs.threads, cpu)

    def hours_by_the_clock(self, row):
        """Hours that one of a row's jobs takes."""
        jobs, (gpu, cpu) = getattr(self.config.jobs, row.stage), self.hours(row)
        return (gpu / jobs.gpu if jobs.gpu else cpu / jobs.threads) / row.jobs

    def of_target(self, paths):
        """The rows that a target needs: those that make ``paths`` (below results/{run}), and all before them."""
        pending, found = list(paths), set()
        while pending:
            path = pending.pop()
            makers = [row for row in self.rows if row not in found and path.startswith(row.makes)]
            found.update(makers)
            pending += [need for row in makers for need in row.needs]
        return [row for row in self.rows if row in found]

    def of_runs(self, number, paths):
        """The rows that a target needs in ``number`` runs that differ in their seeds alone: what is fetched, once."""
        once = self.of_target(paths)
        return once + (number - 1) * [row for row in once if not row.rule.startswith("fetch_")]
