"""The contents of a report: a run, measured and compared with its targets, before it is drawn."""

import dataclasses
import pathlib

from ml_collections import ConfigDict

from tvae import config as config_lib
from tvae.domains import aspects, registry
from tvae.domains.aspects import Verdict
from tvae.domains.domain import Domain
from tvae.domains.exhibits import Exhibit
from tvae.loading import load_run
from tvae.metrics.definitions import Definition
from tvae.reporting import embedding, findings
from tvae.reporting.embedding import Embedding, Shown
from tvae.reporting.figures.disk import Disk
from tvae.reporting.findings import Finding
from tvae.runs import workdir
from tvae.runs.run import Run

_RECORDED = ("targets.", "data.found.")
"""Beginnings of fields that are not choices: what figures are held against, and what data hold."""


@dataclasses.dataclass(frozen=True)
class Contents:
    """A run with everything that its report shows.

    Attributes:
      run: working directory, opened.
      config: its complete configuration.
      shown: items whose embeddings are shown; None where the domain has no finite set of items.
      embeddings: of these items.
      findings: of the diagnostics.
      verdicts: its final metrics against the targets.
      ending: its length and why it ended.
      exhibits: sections of the domain's own, by their anchors.
      changes: ``(field, default, value)`` where it differs from the domain's defaults.
    """

    run: Run
    config: ConfigDict
    shown: Shown | None
    embeddings: list[Embedding]
    findings: list[Finding]
    verdicts: list[Verdict]
    ending: str
    changes: list[tuple[str, str, str]]
    exhibits: dict[str, Exhibit]

    @property
    def domain(self) -> Domain:
        """The domain of the run."""
        return registry.get(self.config.task)

    def define(self, key: str) -> Definition | None:
        """The definition of a metric, or None."""
        return self.domain.define(key, self.config)

    def ceiling(self, key: str) -> float | None:
        """The best value that a metric can reach, or None."""
        known = self.define(key)
        return None if known is None else known.ceiling

    @property
    def passed(self) -> bool:
        """Whether the run has targets and meets them all."""
        return bool(self.verdicts) and all(verdict.reached for verdict in self.verdicts)

    @property
    def published(self) -> str:
        """The model of which figures were published that this run has too; "" for none."""
        known = map(self.define, self.run.final)
        any_published = any(each is not None and each.published is not None for each in known)
        return self.domain.published_as if any_published else ""

    @property
    def disk(self) -> Disk | None:
        """The embeddings in the plane; None where there is no plane to draw."""
        return make_disk(self.shown, self.embeddings)

    @property
    def left_out(self) -> str:
        """One sentence on the sections that this domain does not have; "" if it has all."""
        if self.shown is None:
            return (
                f"Task {self.config.task} has no finite set of items: the page shows no embedding, "
                "no radii, no distances and no reconstruction."
            )
        if self.shown.items.tree is None:
            name = self.shown.items.name
            return f"The {name} have no tree: the page shows no radii and no distances by level."
        return ""

    def title(self, each: Embedding) -> str:
        """The heading of an embedding's figures."""
        return title(self.shown, self.embeddings, each)


def title(shown: Shown | None, embeddings: list[Embedding], each: Embedding) -> str:
    """The heading of one of some embeddings."""
    if len(embeddings) == 1 and shown is not None:
        return f"All {shown.items.name}"
    return f"{'Embedding' if each.in_ball else 'Latent means'} {each.name.upper()}"


def make_disk(shown: Shown | None, embeddings: list[Embedding]) -> Disk | None:
    """The embeddings that have a plane to draw; None without any."""
    drawn = [each for each in embeddings if each.pictures]
    if shown is None or not drawn:
        return None
    return Disk(shown, drawn, [title(shown, embeddings, each) for each in drawn])


def read_contents(folder: pathlib.Path) -> Contents:
    """Read a run, measure its embeddings and apply the diagnostics.

    Args:
      folder: working directory of a run with at least one checkpoint.

    Raises:
      UserError: if the folder does not hold a run, or the run does not have a checkpoint.
    """
    run = Run.open(folder)
    model = load_run(run)
    shown, embeddings = embedding.measure_all(model)
    diagnosed = findings.diagnose(run, model.config, registry.get(model.task).held_out)
    located = registry.locate_data(model.config, run.folder)
    own = registry.get(model.task).exhibits(located, model.params)
    changes = workdir.difference(config_lib.default(model.task), model.config)
    return Contents(
        run=run,
        config=model.config,
        shown=shown,
        embeddings=embeddings,
        findings=diagnosed,
        verdicts=aspects.judge(model.config, run.final),
        ending=findings.ending(run, model.config, diagnosed),
        exhibits={f"own-{k}": each for k, each in enumerate(own)},
        changes=[change for change in changes if not change[0].startswith(_RECORDED)],
    )
