"""information.csv: what ``twostage.oracle.information`` finds, as rows of a table."""

import numpy as np
import pandas as pd

from twostage.oracle.information import ClassInformation, Information

COLUMNS = ("total", "by_gap", "by_gap_sem", "by_entropy", "by_entropy_sem", "by_weight", "by_weight_sem")


def information_table(conditioning: str, found: Information | ClassInformation, **columns: object) -> pd.DataFrame:
    """Rows of information.csv from an ``Information`` or ``ClassInformation``, one per time, ``columns`` among them."""
    own = {name: getattr(found, name, np.nan) for name in COLUMNS}
    if isinstance(found, ClassInformation):
        own |= {"by_gap": found.nats, "by_gap_sem": found.sem}
    left = found.total - found.by_entropy
    return pd.DataFrame({"conditioning": conditioning, "t": found.times, **columns, **own, "left": left})
