"""Hours of every job as JSON, for ``twostage.estimate.limits``: {"config": ..., "plans": ...} comes in, as JSON too."""

import json
import sys

from twostage.config import load
from twostage.estimate import Costs
from twostage.estimate.limits import hours_of
from twostage.startup import quick_start

quick_start()
asked = json.load(sys.stdin)
json.dump(hours_of(Costs(load(asked["config"]), asked["plans"])), sys.stdout)
