"""Everything that a report says, before any of it is drawn."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence

from ml_collections import ConfigDict

from tvae import config as config_lib
from tvae.domains import aspects, registry
from tvae.domains.aspects import Verdict
from tvae.loading import load_run
from tvae.metrics.definitions import Definition
from tvae.reporting import comparison, embedding, findings
from tvae.reporting.embedding import Embedding
from tvae.reporting.findings import Finding
from tvae.runs import workdir
from tvae.runs.run import Run


@dataclasses.dataclass(frozen=True)
class Contents:
    """A run, measured and judged.

    Attributes:
      run: its record.
      config: its complete configuration.
      embeddings: what its model makes of all operations.
      findings: of the diagnostics.
      verdicts: on its targets.
      ending: why it ended.
      changes: of its configuration against the task's default.
      compared: this and other runs by label; empty for a report on one.
    """

    run: Run
    config: ConfigDict
    embeddings: list[Embedding]
    findings: list[Finding]
    verdicts: list[Verdict]
    ending: str
    changes: list[str]
    compared: Mapping[str, Run]

    @property
    def titled(self) -> list[tuple[Embedding, str]]:
        """Each embedding with its title."""
        if len(self.embeddings) == 1:
            return [(self.embeddings[0], "All operations")]
        kind = {True: "Embedding", False: "Latent means"}
        return [(each, f"{kind[each.in_ball]} {each.name.upper()}") for each in self.embeddings]

    def about(self, key: str) -> Definition | None:
        """The definition of a metric, or None where the domain has none."""
        return registry.get(self.config.task).define(key, self.config)

    def ceiling(self, key: str) -> float | None:
        """The best value that a metric can reach, or None."""
        about = self.about(key)
        return None if about is None else about.ceiling


def read(folder: pathlib.Path, others: Sequence[pathlib.Path] = ()) -> Contents:
    """Read, measure and judge a run.

    Args:
      folder: working directory of a run with at least one checkpoint.
      others: working directories of runs to compare it with.

    Raises:
      UserError: if a folder holds no run, or the run no checkpoint.
    """
    run = Run.open(folder)
    compared = comparison.label([run, *map(Run.open, others)]) if others else {}
    model = load_run(run)
    diagnosed = findings.diagnose(run, model.config)
    return Contents(
        run=run,
        config=model.config,
        embeddings=[embedding.measure(model, which) for which in embedding.names(model)],
        findings=diagnosed,
        verdicts=aspects.judge(model.config, run.final),
        ending=findings.ending(run, model.config, diagnosed),
        changes=_changes(model.config),
        compared=compared,
    )


def _changes(config: ConfigDict) -> list[str]:
    """Fields that differ from the task's default; targets are no part of a recipe."""
    default = config_lib.default(config.task)
    # A stored configuration has lists where tuples were.
    plain = [ConfigDict(json.loads(each.to_json())) for each in (default, config)]
    return [line for line in workdir.difference(*plain) if not line.startswith("targets.")]
