"""Losses of sequences and assays against strings, loops, SciPy, published figures and goldens."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import spatial, stats

from tests.support.production_cases import referenced
from tvae.geometry import poincare
from tvae.geometry.padic import PadicTree
from tvae.losses import alignment, codons, coupling, glycans, groups, immunity, latent_objectives
from tvae.losses import genetic_code as code

CERTAIN = 100.0
"""Logit of a class that is certain in float32."""


def logits_of(strings, alphabet):
    """Logits of certain letters, and which positions hold one: shorter strings are padded."""
    longest = max(map(len, strings))
    index = np.array([[alphabet.index(x) for x in s] + [0] * (longest - len(s)) for s in strings])
    where = np.arange(longest)[None] < np.array([len(s) for s in strings])[:, None]
    return CERTAIN * jax.nn.one_hot(index, len(alphabet)), jnp.asarray(where)


@pytest.fixture(scope="module")
def genes():
    """Three random genes of different length, as lists of codons."""
    rng = np.random.default_rng(0)
    return [[code.CODONS[i] for i in rng.integers(0, 64, n)] for n in (40, 25, 33)]


@pytest.fixture(scope="module")
def measured(genes):
    """Each index of the genes."""
    return jax.jit(
        lambda logits, where: {
            "cai": codons.codon_adaptation(logits, where),
            "tai": codons.trna_adaptation(logits, where),
            "gc": codons.gc_content(logits, where, target=0.0),
            "cpg": codons.cpg_content(logits, where, allowed=0.0),
            "rare": codons.rare_codons(logits, where),
        }
    )(*logits_of(genes, code.CODONS))


def by_gene(measure, genes):
    return np.array([measure(gene) for gene in genes])


USAGE = dict(zip(code.CODONS, code.HUMAN_USAGE, strict=True))
AMINO = dict(zip(code.CODONS, code.TRANSLATION, strict=True))
BEST = {x: max(USAGE[c] for c in USAGE if AMINO[c] == x) for x in code.TRANSLATION}


def test_codon_adaptation_is_sharps_and_lis_index(genes, measured):
    def one_minus_cai(gene):
        return 1 - stats.gmean([USAGE[c] / BEST[AMINO[c]] for c in gene if AMINO[c] not in "MW*"])

    np.testing.assert_allclose(measured["cai"], by_gene(one_minus_cai, genes), rtol=1e-4)


def test_trna_adaptation_is_the_index_of_dos_reis(genes, measured):
    # Anticodon of each tRNA, 5' to 3': its first base pairs with the third of the codon.
    pairs = {"A": {"T": 1, "C": 1 - 0.28, "A": 1 - 0.9999}, "G": {"C": 1, "T": 1 - 0.41}}
    pairs |= {"T": {"A": 1, "G": 1 - 0.68}, "C": {"G": 1}}
    complement = dict(zip("ACGT", "TGCA", strict=True))
    weight = dict.fromkeys(code.CODONS, 0.0)
    for codon, number in zip(code.CODONS, code.E_COLI_TRNA, strict=True):
        for third, strength in pairs[complement[codon[2]]].items():
            weight[codon[:2] + third] += strength * number
    weight["ATA"] = 1 - 0.89
    counted = [c for c in code.CODONS if AMINO[c] != "*" and c != "ATG"]
    largest = max(weight[c] for c in counted)
    mean = stats.gmean([weight[c] / largest for c in counted if weight[c] > 0])
    table = {c: weight[c] / largest if weight[c] > 0 else mean for c in counted}

    def one_minus_tai(gene):
        return 1 - stats.gmean([table[c] for c in gene if c in table])

    np.testing.assert_allclose(measured["tai"], by_gene(one_minus_tai, genes), rtol=1e-4)
    assert table["AAA"] == 1.0


def test_shares_of_bases_and_of_rare_codons_are_counts(genes, measured):
    def share(gene, letters):
        return sum(x in letters for x in "".join(gene)) / (3 * len(gene))

    def cpg(gene):
        return len(re.findall("CG", "".join(gene))) / (3 * len(gene) - 1)

    def rare(gene):
        few = [c for c in gene if AMINO[c] != "*" and USAGE[c] / BEST[AMINO[c]] < 0.3]
        return len(few) / len(gene)

    np.testing.assert_allclose(measured["gc"], by_gene(lambda g: share(g, "GC"), genes), rtol=1e-5)
    np.testing.assert_allclose(measured["cpg"], by_gene(cpg, genes), rtol=1e-5)
    np.testing.assert_allclose(measured["rare"], by_gene(rare, genes), rtol=1e-5)


def test_uncertain_codons_count_with_their_probability():
    # Half AAC, half AAG, then certainly GAA: a CpG across the junction in half of the cases.
    logits, _ = logits_of([["AAC", "GAA"]], code.CODONS)
    logits = logits.at[0, 0, code.CODONS.index("AAG")].set(CERTAIN)

    @jax.jit
    def run(x):
        cpg, gradient = jax.value_and_grad(lambda x: codons.cpg_content(x, allowed=0.0).sum())(x)
        return cpg, gradient, codons.gc_content(x, target=0.0)

    cpg, gradient, gc = run(logits)
    np.testing.assert_allclose(cpg, 0.5 / 5, rtol=1e-6)
    np.testing.assert_allclose(gc, 2 / 6, rtol=1e-6)
    assert gradient[0, 0, code.CODONS.index("AAC")] > 0 > gradient[0, 0, code.CODONS.index("AAG")]


def test_costs_of_codons_are_the_published_ones():
    assert abs(sum(code.HUMAN_USAGE) - 1000) < 0.5
    assert sum(code.E_COLI_TRNA) == 87
    polar = code.by_codon(code.POLAR_REQUIREMENT)
    sense = ~code.IS_STOP
    pairs = code.NEIGHBOURS & sense[:, None] & sense[None, :]
    # Haig & Hurst 1991: 5.19 over all mutations between sense codons.
    mean = np.average(codons.point_mutation_costs()[sense], weights=pairs.sum(1)[sense])
    assert round(float(mean), 2) == 5.19
    phenylalanine = polar[code.CODONS.index("TTT")]
    by_hand = [polar[code.CODONS.index(c)] for c in ("TTC", "TTA", "TTG", "TCT", "TAT", "TGT")]
    by_hand += [polar[code.CODONS.index(c)] for c in ("CTT", "ATT", "GTT")]
    expected = np.mean((np.array(by_hand) - phenylalanine) ** 2)
    logits, _ = logits_of([["TTT", "TGG"]], code.CODONS)
    found = codons.mutation_cost(logits, jnp.asarray([[True, False]]))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(codons.biosynthetic_cost(logits), (52 + 74.3) / 2 / 74.3, rtol=1e-5)


PROTEINS = ["NGTNPSNNSTNAS", "MKNQSWWWWWWWWWNAT", "NPTNGA"]


def test_sequons_and_their_shield_are_those_of_a_regular_expression():
    logits, where = logits_of(PROTEINS, code.RESIDUES)

    @jax.jit
    def run(logits, where):
        sequon = glycans.sequon_probability(logits, where)
        return sequon, glycans.shield(sequon, reach=3)

    found, shield = jax.device_get(run(logits, where))
    for row, protein in enumerate(PROTEINS):
        starts = [m.start() for m in re.finditer("(?=N[^P][ST])", protein)]
        assert np.flatnonzero(found[row] > 0.5).tolist() == starts
        covered = [min((abs(i - s) for s in starts), default=99) <= 3 for i in range(len(protein))]
        np.testing.assert_allclose(shield[row, : len(protein)], covered, atol=1e-6)


def test_parts_of_the_glycan_shield_by_hand():
    logits, where = logits_of(["NGTNPSNNSTNAS"], code.RESIDUES)  # sequons at 0, 6, 7 and 10
    off = {"coverage_weight": 0.0, "visible_weight": 0.0, "crowding_weight": 0.0, "reach": 1}
    sites = jnp.asarray([[i in (1, 2) for i in range(13)]])

    @jax.jit
    def run(logits, where):
        changes = (
            {"coverage_weight": 1.0, "coverage": 0.5},
            {"crowding_weight": 1.0, "spacing": 4},
            {"visible_weight": 1.0},
        )
        return [glycans.glycan_shield(logits, where, sites, **off | x)[0] for x in changes]

    size, crowd, visible = run(logits, where)
    np.testing.assert_allclose(size, (9 / 13 - 0.5) ** 2, rtol=1e-4)  # 0, 1, 5 to 8, 9 to 11
    np.testing.assert_allclose(crowd, 2 / 4, rtol=1e-5)  # 6 with 7, 7 with 10
    np.testing.assert_allclose(visible, 0.5, rtol=1e-5)


def test_parts_of_the_autoimmunity_toy_by_hand():
    logits, _ = logits_of([["CTG", "CTG", "TCG", "ATG"]], code.CODONS)
    ratio = jnp.asarray([0.4, 0.5, 1.2, 1.5])
    weights = {"usage_weight": jnp.asarray([1.0, 0.0]), "diversity_weight": jnp.asarray([0.0, 1.0])}
    run = jax.jit(
        jax.vmap(lambda w: immunity.autoimmunity(jnp.repeat(logits, 4, 0), cd4_cd8=ratio, **w))
    )
    used, diverse = run(weights)
    factor = np.array([4, 3, 2, 1])
    np.testing.assert_allclose(used, factor * (1 - (1 + 1 + 4.4 / 19.5 + 1) / 4), rtol=1e-4)
    np.testing.assert_allclose(diverse, factor * (3 / 4 - 0.5), rtol=1e-4)


POINT = np.random.default_rng(1).uniform(-0.5, 0.5, (7, 2)).astype(np.float32)
FEATURE = np.random.default_rng(2).normal(size=(7, 3)).astype(np.float32)
LABEL, ITEM = np.array([0, 1, 2, 0, 1, 0, 0]), np.array([5, 14, 0, 3, 14, 26, 8])
RELATED = np.array([1.0, 0.0, 1.0, 0.0, 1.0, 0.0], np.float32)
TREE = PadicTree(3, 3)
C = 2.0


@pytest.fixture(scope="module")
def embedded():
    """Each loss of the points above."""

    @jax.jit
    def run(point, feature, label, item):
        return {
            "cohesion": groups.cohesion(point, label, C),
            "contrast": groups.class_contrast(point, label, C, margin=2.0, other_weight=0.25),
            "separation": groups.separation(point, label, C, margin=1.0),
            "property": alignment.property_alignment(point, feature),
            "tree": alignment.tree_alignment(point, item, TREE, C),
            "related": coupling.pair_contrast(point[:-1], point[1:], RELATED, C, margin=1.2),
        }

    return run(POINT, FEATURE, LABEL, ITEM)


def distance(x, y):
    """Hyperbolic distance by the textbook formula, in float64."""
    x, y = x.astype(float), y.astype(float)
    gaps = (1 - C * x @ x) * (1 - C * y @ y)
    return np.arccosh(1 + 2 * C * ((x - y) @ (x - y)) / gaps) / np.sqrt(C)


def distances(point):
    pairs = list(itertools.combinations(range(len(point)), 2))
    return pairs, np.array([distance(point[i], point[j]) for i, j in pairs])


def test_classes_are_compared_as_in_loops(embedded):
    pairs, length = distances(POINT)
    same = np.array([LABEL[i] == LABEL[j] for i, j in pairs])
    np.testing.assert_allclose(embedded["cohesion"], length[same].mean(), rtol=1e-4)
    contrast = length[same].mean() - 0.25 * length[~same].mean() + 2.0
    np.testing.assert_allclose(embedded["contrast"], contrast, rtol=1e-4)
    centroids = np.array([POINT[k == LABEL].mean(0) for k in range(3)])
    separation = np.maximum(1.0 - distances(centroids)[1], 0.0).mean()
    assert separation > 0
    np.testing.assert_allclose(embedded["separation"], separation, rtol=1e-4)


def test_alignments_are_correlations_of_distances(embedded):
    euclidean = [spatial.distance.pdist(x) for x in (POINT, FEATURE)]
    gap = 1 - stats.pearsonr(*euclidean).statistic
    np.testing.assert_allclose(embedded["property"], gap, rtol=1e-4)
    pairs, length = distances(POINT)
    levels = [np.gcd(abs(int(ITEM[i] - ITEM[j])), 27) for i, j in pairs]  # 3 to the level
    wanted = [0.0 if ITEM[i] == ITEM[j] else 1.0 / level
              for (i, j), level in zip(pairs, levels, strict=True)]  # fmt: skip
    gap = 1 - stats.pearsonr(length, wanted).statistic
    np.testing.assert_allclose(embedded["tree"], gap, rtol=1e-4)


def test_related_pairs_are_pulled_and_others_pushed_to_the_margin(embedded):
    length = np.array([distance(x, y) for x, y in itertools.pairwise(POINT)])
    pulled, pushed = length**2, np.maximum(1.2 - length, 0) ** 2
    assert (pushed[1::2] > 0).any()
    expected = np.where(RELATED > 0, pulled, pushed)
    np.testing.assert_allclose(embedded["related"], expected, rtol=1e-4, atol=1e-6)


def test_couplings_equal_numpy():
    rng = np.random.default_rng(3)
    prediction, drug_class = rng.normal(size=(9, 4)).astype(np.float32), np.array([0, 0, 1, 1])
    known = np.full((4, 4), 0.3, np.float32)
    p, y, a = (x.astype(np.float32) for x in rng.normal(size=(3, 5)))
    classes, correlation, sparsity = jax.jit(
        lambda: (
            coupling.drug_classes(jnp.asarray(prediction), jnp.asarray(drug_class)),
            coupling.task_correlation_match(jnp.asarray(prediction), jnp.asarray(known)),
            coupling.epistasis_sparsity(*map(jnp.asarray, (p, y, a))),
        )
    )()
    cosine = 1 - spatial.distance.squareform(spatial.distance.pdist(prediction.T, "cosine"))
    upper = np.triu_indices(4, 1)
    same = (drug_class[:, None] == drug_class)[upper]
    expected = (1 - cosine[upper][same]).mean() + np.maximum(cosine[upper][~same], 0).mean()
    np.testing.assert_allclose(classes, expected, rtol=1e-4)
    expected = np.mean((np.corrcoef(prediction.T)[upper] - 0.3) ** 2)
    np.testing.assert_allclose(correlation, expected, rtol=1e-4)
    expected = (p - a) ** 2 * (1 - np.minimum(np.abs(y - a), 1))
    np.testing.assert_allclose(sparsity, expected, rtol=1e-4)


def objectives(case):
    """The recorded objectives as functions of the latent, by name of the record."""
    p, profile = case.params, jnp.asarray(case["in.target_profile"])
    step = {"threshold": p["epitope_threshold"], "softness": 1e-6}
    ball = jnp.asarray(case["in.latent_ball"])
    radius = poincare.hyperbolic_radius(ball, c=1.0)
    return {
        "binding": lambda z: latent_objectives.binding(
            z, profile, temperature=p["binding_temperature"]
        ),
        "binding_no_target": latent_objectives.binding,
        "epitope": lambda z: latent_objectives.epitope_binding(
            z, jnp.asarray(case["in.epitopes"]), **step
        ),
        "solubility": lambda z: latent_objectives.solubility(z, target=p["target_hydrophobicity"]),
        "stability_euclidean": latent_objectives.stability,
        "stability_hyperbolic": lambda z: latent_objectives.stability(ball, radius),
        "manufacturability": lambda z: latent_objectives.manufacturability(
            z, complexity=p["complexity_penalty"]
        ),
        "production_cost": latent_objectives.production_cost,
    }


@pytest.mark.parametrize("case", referenced("loss_objectives"), ids=lambda case: case.name)
def test_objectives_equal_the_reference_system(case):
    z, functions = jnp.asarray(case["in.latent"]), objectives(case)
    cotangents = {
        name: case[f"in.cotangent.{name}"]
        for name in functions
        if case.has(f"f32.grad.{name}.latent")
    }

    @jax.jit
    def run(z):
        values = {name: function(z) for name, function in functions.items()}
        gradients = {
            name: jax.vjp(functions[name], z)[1](jnp.asarray(cotangent))[0]
            for name, cotangent in cotangents.items()
        }
        return values, gradients

    values, gradients = run(z)
    for name, value in values.items():
        case.assert_close(value, f"f32.{name}")
    assert len(gradients) == 5
    for name, gradient in gradients.items():
        key = f"f32.grad.{name}.latent"
        # The first row is 0: the reference system's norm has a gradient of 1e8 there, ours none.
        rows = slice(1, None) if name == "binding" else slice(None)
        expected = case[key][rows]
        atol = 1e-5 if name == "binding" else case.tolerance[key]
        np.testing.assert_allclose(gradient[rows], expected, rtol=1e-5, atol=atol, err_msg=name)
