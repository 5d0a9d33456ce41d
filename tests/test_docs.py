"""The site builds without a warning, copies no figure by hand, and loads nothing from a server."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys
import tomllib

import jax
import jax.numpy as jnp
import pytest
from absl import flags
from sphinx.errors import SphinxError

from tests.conftest import REPOSITORY
from tvae import config as config_lib
from tvae.__main__ import COMMANDS
from tvae.domains.hyperbolic_vae.module import HyperbolicVAE
from tvae.domains.operations import bands, coverage
from tvae.domains.operations.tree import TREE
from tvae.geometry import numerics, poincare
from tvae.metrics import hierarchy, tree

DOCS = REPOSITORY / "docs"
GENERATED = ("configs", "checkpoints", "experiments", "notebooks", "reference")

# Not registry.names(): collecting the tests registers a toy domain.
LIBRARY = ("dual_vae", "hierarchy", "hierarchy_vae", "hyperbolic_vae", "projected_vae", "sequences")


@pytest.fixture
def generator(monkeypatch):
    """Import a module of ``docs/_generate``, as Sphinx does."""
    monkeypatch.syspath_prepend(DOCS / "_generate")
    return importlib.import_module


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    command = ["sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", str(folder / "doctrees")]
    # Measured, it would take half as long again, and covers nothing but imports.
    unmeasured = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_PROCESS")}
    done = subprocess.run(
        [sys.executable, "-m", *command, str(DOCS), str(folder / "html")],
        cwd=REPOSITORY,
        env=unmeasured,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site):
    """Path -> HTML of every page."""
    found = {str(path.relative_to(site)): path.read_text() for path in site.rglob("*.html")}
    assert len(found) > 50
    return found


def test_every_config_checkpoint_experiment_notebook_and_package_has_a_page(pages):
    folders = {
        "configs": REPOSITORY.glob("configs/*.py"),
        "checkpoints": (card.parent for card in REPOSITORY.glob("checkpoints/*/metadata.json")),
        "experiments": (script.parent for script in REPOSITORY.glob("experiments/*/run.py")),
        "notebooks": REPOSITORY.glob("experiments/notebooks/*.ipynb"),
    }
    expected = {f"{name}/{path.stem}.html" for name, paths in folders.items() for path in paths}
    expected |= {
        f"reference/{'.'.join(path.parent.relative_to(REPOSITORY).parts)}.html"
        for path in REPOSITORY.glob("tvae/**/__init__.py")
    }
    assert len(expected) > 25
    assert expected - pages.keys() == set()


def test_every_metric_field_and_flag_is_explained(pages, generator):
    keys = generator("content").KEYS
    assert [key for key in keys if f">{key}<" not in pages["metrics.html"]] == []
    for domain in ("engine", *LIBRARY):
        rows = [row.split(" | ") for row in generator("fields").table(domain).splitlines()[2:]]
        assert len(rows) > 10
        assert [row[0] for row in rows if len(row) != 5 or len(row[4]) < 8] == []
    for module, _ in COMMANDS.values():
        values = flags.FlagValues()
        importlib.import_module(module).define_flags(values)
        assert [name for name in values if f">--{name}<" not in pages["commands.html"]] == []


def test_no_markup_of_the_sources_reaches_a_page(pages):
    raw = re.compile(
        r"\{\{ |\{py:|:(?:func|class|meth|mod|data|math|obj):`|\.\. math::|\$\$|>[^<]*\]\(\w+\.md"
    )
    code = re.compile(r"<pre>.*?</pre>", re.DOTALL)
    texts = {name: code.sub("", html) for name, html in pages.items()}
    assert {name: raw.search(html) for name, html in texts.items() if raw.search(html)} == {}
    assert sum(html.count("<math") for html in pages.values()) > 200


def test_a_page_loads_nothing_from_another_server(site, pages):
    loads = re.compile(r'<(?:script|img|link|iframe|source)[^>]*(?:src|href)="(?:https?:)?//[^"]*"')
    assert {name: loads.search(html) for name, html in pages.items() if loads.search(html)} == {}
    imports = re.compile(r"(?:@import|url\()[^;)]*(?:https?:)?//")
    styles = list(site.rglob("*.css"))
    assert styles
    assert [path for path in styles if imports.search(path.read_text())] == []


@pytest.mark.parametrize(
    ("call", "named"),
    [
        ('figure("absent", "seeds", ".2f")', "absent/results.json"),
        ('figure("v6", "seeds.*.eval/no_such_metric", ".2f")', "no_such_metric"),
        ('value("tvae.metrics.hierarchy.no_such_function", ".2f")', "no_such_function"),
        ("unknown()", "unknown"),
    ],
)
def test_a_call_that_finds_nothing_stops_the_build(call, named, generator):
    with pytest.raises(SphinxError, match=f"some_page: .*{named}"):
        generator("content").expand(f"text {{{{ {call} }}}}", "some_page")


def test_a_figure_is_the_one_of_the_results(generator):
    seeds = json.loads((REPOSITORY / "experiments/v6/results.json").read_text())["seeds"]
    worst = min(seed["eval/richness"] for seed in seeds.values())
    call = '{{ figure("v6", "seeds.*.eval/richness", ".6f", "min") }}'
    assert generator("content").expand(call, "page") == f"{worst:.6f}"


def test_a_formula_with_an_unknown_command_stops_the_build(generator):
    mathml = generator("mathml")
    assert "<msup>" in mathml.to_mathml("x^2", display="inline")
    with pytest.raises(SphinxError, match="nosuchcommand"):
        mathml.to_mathml(r"\nosuchcommand x", display="inline")


PROSE = [
    path for path in sorted(DOCS.rglob("*.md")) if path.relative_to(DOCS).parts[0] not in GENERATED
]


def test_fields_extras_and_paths_that_the_prose_names_exist():
    text = "\n".join(path.read_text() for path in PROSE)
    text = re.sub(r"```python.*?```", "", text, flags=re.DOTALL)  # test_how_to runs these
    configs = [config_lib.default(task) for task in LIBRARY]
    fields = {path for config in configs for path, _ in config_lib.leaves(config)}
    named = set(re.findall(r"config\.(\w+\.\w+)\b", text)) - {"py"}
    assert len(named) > 4
    assert named - fields == set()
    notebooks = [path.read_text() for path in REPOSITORY.glob("experiments/notebooks/*.ipynb")]
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    groups = re.findall(r"\.\[([\w,]+)\]", "\n".join([text, *notebooks]))
    asked = {extra for group in groups for extra in group.split(",")}
    assert {"cuda", "tpu", "torch"} <= asked <= extras["optional-dependencies"].keys()
    paths = re.findall(r"`((?:configs|experiments|checkpoints|tvae)/[\w./-]+\w)`", text)
    assert paths
    assert [path for path in paths if not (REPOSITORY / path).exists()] == []


UNPICKLERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


def test_nothing_in_the_package_can_unpickle():
    """The threat model claims it; the readers' own tests watch what is run."""
    files = sorted(REPOSITORY.glob("tvae/**/*.py"))
    assert len(files) > 80
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in getattr(node, "names", []) if hasattr(alias, "name")]
            modules = [*names, getattr(node, "module", None) or ""]
            assert not {name.split(".")[0] for name in modules} & UNPICKLERS, path
            allowed = [
                key.value for key in getattr(node, "keywords", []) if key.arg == "allow_pickle"
            ]
            assert all(isinstance(v, ast.Constant) and v.value is False for v in allowed), path


def parameter_count(module):
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 9)), jnp.zeros((1, 16)))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def outermost_radius():
    norm = 1.0 - numerics.guards(jnp.float32).ball_margin
    return float(poincare.radius_of_norm(jnp.float32(norm), c=1.0))


# Numbers that the prose quotes, by page: what it writes, and what arithmetic says.
QUOTED = {
    "limits.md": {"radius of 6.2": outermost_radius},
    "faq.md": {"6.2 are pulled back": outermost_radius},
    "ideas/measures.md": {
        "99.995 %": lambda: 100 * coverage.uniform_baseline(195_000, n_operations=19_683),
        "92.12 %": lambda: 100 * coverage.uniform_baseline(50_000, n_operations=19_683),
        "-0.83205": lambda: hierarchy.hierarchy_ceiling(TREE),
        "ceiling: 0.832": lambda: tree.tree_fidelity_ceiling(TREE),
    },
    "ideas/v6.md": {
        "58,380 parameters": lambda: parameter_count(HyperbolicVAE()),
        "0.0212": lambda: bands.richness_floor(outer=3.56, inner=0.05, gap=0.7),
        "0.0433": lambda: bands.richness_floor(outer=3.56, inner=0.05, gap=1.0),
    },
}


@pytest.mark.parametrize("page", QUOTED)
def test_quoted_arithmetic(page):
    text = (DOCS / page).read_text()
    for quoted, value in QUOTED[page].items():
        number = re.search(r"-?[\d.,]+", quoted).group(0).replace(",", "")
        assert quoted in text
        assert float(number) == round(value(), len(number.partition(".")[2]))


@pytest.mark.parametrize("name", ["v6", "v5_12_4"])
def test_a_configs_figures_are_those_of_its_experiment(name):
    docstring = ast.get_docstring(ast.parse((REPOSITORY / f"configs/{name}.py").read_text()))
    results = json.loads((REPOSITORY / f"experiments/{name}/results.json").read_text())
    quoted = re.findall(r"^ +(eval/\w+) +(-?[\d.]+)(?: to (-?[\d.]+))?", docstring, re.MULTILINE)
    assert len(quoted) >= 6
    for key, first, second in quoted:
        measured = [seed[key] for seed in results["seeds"].values()]
        for text, value in ((first, min(measured, key=abs)), (second, max(measured, key=abs))):
            places = len(text.partition(".")[2])
            assert not text or abs(float(text) - value) <= 0.51 * 10**-places, (key, text, value)


def test_readmes_table_is_that_of_the_experiments():
    readme = (REPOSITORY / "README.md").read_text()
    worst = {
        "v6": {"hierarchy": ".5f", "richness": ".4f", "tree_fidelity": ".3f"},
        "v5_12_4": {"hierarchy_b": ".5f", "richness_b": ".4f", "tree_fidelity_b": ".3f"},
    }
    for name, figures in worst.items():
        row = re.search(rf"^\| `{name}` \|.*$", readme, re.MULTILINE).group(0)
        results = json.loads((REPOSITORY / f"experiments/{name}/results.json").read_text())
        for key, form in figures.items():
            value = min((seed[f"eval/{key}"] for seed in results["seeds"].values()), key=abs)
            assert f" {value:{form}}" in row
        assert f"| {max(seed['seconds'] for seed in results['seeds'].values()):.0f} |" in row
    measured = json.loads((REPOSITORY / "experiments/benchmark/results.json").read_text())
    for name in ("v5_5_epoch_s", "v5_12_epoch_s"):
        assert f" {measured[name]:.2f} s against" in readme
