"""Peak memory of one job of each row: on its GPU, and of its host."""

from twostage.estimate.gpu_memory import GpuMemory
from twostage.estimate.host_memory import HostMemory


def peak(setting, row):
    """(bytes on each GPU, bytes of the host) of one of a row's jobs at its worst, at the configuration's true shapes.

    setting: ``twostage.estimate.setting.Setting``. A job without a GPU has all of it on the host.
    """
    gpu, host = GpuMemory(setting).bytes(row), HostMemory(setting).bytes(row)
    return (gpu, host) if getattr(setting.config.jobs, row.stage).gpu else (0, host + gpu)
