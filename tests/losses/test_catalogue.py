"""Every loss class of the reference system has a term here, or a stated replacement."""

import runpy

from tests.conftest import REPOSITORY
from tvae.domains import registry as domains
from tvae.losses import registry

# The catalogue of the reference system by family: losses, and what composes them.
CATALOGUE = {
    "composition": """
        LossResult LossComponent DualVAELossComponent LossRegistry LossGroup LossComponentRegistry
        HyperbolicLossFactory create_registry_from_config create_registry_from_training_config
        create_loss_function DualVAELoss CombinedGeodesicLoss CombinedLoss MultitaskLoss
    """,
    "autoencoder": """
        ReconstructionLoss ReconstructionLossComponent KLDivergenceLoss KLDivergenceLossComponent
        EntropyRegularization EntropyLossComponent RepulsionLoss RepulsionLossComponent
        EntropyAlignment EntropyAlignmentComponent
    """,
    "tree": """
        PAdicMetricLoss PAdicRankingLoss PAdicRankingLossV2 PAdicRankingLossHyperbolic
        PAdicRankingLossComponent PAdicHyperbolicLossComponent PAdicNormLoss TripletMiner
        SoftPadicRankingLoss RadialStratificationLoss RadialStratificationLossComponent
        RadialHierarchyLoss GlobalRankLoss MonotonicRadialLoss RichHierarchyLoss PAdicGeodesicLoss
        ZeroValuationLoss ZeroSparsityLoss CombinedZeroStructureLoss TropicalTreeLoss
    """,
    "hyperbolic": """
        HyperbolicPrior HomeostaticHyperbolicPrior HyperbolicReconLoss HomeostaticReconLoss
        HyperbolicCentroidLoss GeometricAlignmentLoss
    """,
    "information": "FisherRaoDistance FisherRaoLoss FisherRaoKL NaturalGradientRegularizer",
    "sets": """
        LatticeOrderingLoss HierarchicalResistanceLoss ConceptConsistencyLoss RoughBoundaryLoss
        CrossResistanceLoss SetTheoryAwareLoss LatticeContrastive ConceptAwareContrastive
    """,
    "coupling": """
        LearnedEpistasis DrugInteraction MarginRankingLoss EpistasisLoss DrugInteractionPenalty
    """,
    "codons": """
        BiosyntheticCoherence ErrorMinimization ResourceConservation PAdicStructure CoEvolution
        CodonUsage CodonOptimalityScore AutoimmuneCodonRegularizer CD4CD8Aware SentinelGlycan
        GlycanSequonDetector
    """,
    "peptides": "MICPrediction PropertyAlignment Cohesion Separation",
    "objectives": """
        Binding EpitopeBinding Manufacturability ProductionCost Solubility Stability
        ConsequencePredictor PurposefulRankingLoss
    """,
    "numbers and classes": """
        HeteroscedasticNLL EvidentialLoss EvidentialPredictor FocalLoss LabelSmoothing DirichletLoss
        CrossEntropyLoss MeanSquaredError BaseSupervisedLoss
    """,
    "contrastive": """
        BaseContrastiveLoss ContrastiveLoss CLIPLoss CLIPStyleLoss SimCLRLoss SimpleContrastiveLoss
        MixedMultimodalLoss MultiModalMixedContrastiveLoss nt_xent_loss NTXent
        supervised_contrastive_loss SupervisedContrastiveLoss SupCon MoCoLoss EMAMoCoLoss
        MemoryQueue HardNegativeLoss DynamicTemperatureLoss DecoupledLoss
        DecoupledContrastiveLoss BYOL
    """,
    "redundancy": """
        VICRegLoss BarlowTwinsLoss DecorrelationLoss FeatureConsistencyLoss HybridPretrainVICRegLoss
    """,
}


def test_every_class_of_the_catalogue_has_a_place():
    for name in domains.names():
        domains.get(name)  # registers its terms
    terms = [t for t in registry.all_terms().values() if t.function.__module__.startswith("tvae.")]
    covered = {name for term in terms for name in term.was}
    replaced = runpy.run_path(str(REPOSITORY / "docs" / "_generate" / "replaced.py"))["REPLACED"]
    names = " ".join(CATALOGUE.values()).split()
    assert len(names) == len(set(names)) >= 100
    assert sorted(set(names) - covered - replaced.keys()) == []
    assert {kind for term in terms for kind in term.was.values()} == set(registry.STATUSES)
