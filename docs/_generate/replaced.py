"""Classes of the reference system's losses that are no loss terms, and what has their place."""

REPLACED: dict[str, str] = {
    "LossResult": "a term returns an array; values and weights are logged by name",
    "LossComponent": "a pure function with `@tvae.term`",
    "DualVAELossComponent": 'two rows, `on` the sides "a" and "b"',
    "LossRegistry": "`config.objective`",
    "LossGroup": "rows of `config.objective`",
    "LossComponentRegistry": "{py:mod}`tvae.losses.registry`, without plug-in folders",
    "HyperbolicLossFactory": "rows of `config.objective`",
    "create_registry_from_config": "`config.objective`",
    "create_registry_from_training_config": "`config.objective`",
    "create_loss_function": "`config.objective`; an unknown name is an error",
    "DualVAELoss": "the default rows of `dual_vae`, and its task's weights",
    "CombinedGeodesicLoss": "rows `radial_hierarchy` and `tree_geodesic`, weights 1 - tau and tau",
    "SetTheoryAwareLoss": "rows `binary_nll`, `lattice_order`, `concepts`, `rough_boundary` and "
    "`cross_resistance`, weights 1, 0.1, 0.1, 0.1 and 0.05",
    "EpistasisLoss": "rows `squared_error` and `epistasis_sparsity`, those of `CoEvolution`, "
    "`drug_classes` and `margin_ranking`, weights 0.3, 0.3, 0.2 and 0.2",
    "CoEvolution": "rows `class_contrast`, `mutation_cost`, `biosynthetic_cost` and "
    "`tree_alignment`, weights 0.3, 0.3, 0.2 and 0.2",
    "Manager (peptides)": "rows of `config.objective` whose weights are schedules",
    "Objective": "a term per row",
    "ObjectiveRegistry": "`config.objective`; its score matrix is the values of the rows",
    "CombinedLoss": "rows with weights 1, 0.5 and 0.3",
    "MixedMultimodalLoss": '`MIXTURES["mixed"]` of {py:mod}`tvae.losses.mixtures`',
    "SimpleContrastiveLoss": '`MIXTURES["simple"]` of {py:mod}`tvae.losses.mixtures`',
    "MultiModalMixedContrastiveLoss": "rows `clip`, `categorical_nll` of classes and `binary_nll` "
    "of matches, weights 1, 0 and 0",
    "HybridPretrainVICRegLoss": '`MIXTURES["hybrid"]` of {py:mod}`tvae.losses.mixtures`, or '
    "{py:class}`tvae.losses.memory.Handover`",
    "MultitaskLoss": "weights of rows; `config.balancing`",
}
