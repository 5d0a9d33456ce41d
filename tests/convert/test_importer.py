"""From the original's checkpoints to parameters: recognition, placement, state, parity."""

import dataclasses
import json
import time
from typing import Any

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from tests.support.torch_checkpoints import (
    GOLDEN,
    GOLDEN_FILE,
    PUBLISHED,
    SMALL_FILE,
    module_of,
    weights,
)
from tests.support.torch_files import same
from tvae.convert import names
from tvae.convert.exporter import export_checkpoint
from tvae.convert.importer import Imported, import_checkpoint, model_slots
from tvae.convert.recognition import canonical_name
from tvae.convert.torch_file import read_torch_file
from tvae.errors import UserError
from tvae.geometry import padic


def imported(payload: dict[str, Any], **options: Any) -> Imported:
    return import_checkpoint(payload, **options)


def test_v5_5_is_placed_with_kernels_transposed() -> None:
    found = import_checkpoint(read_torch_file(GOLDEN_FILE))
    model = GOLDEN["model"]
    params = found.params
    for path, name in {
        ("encoder_a", "hidden_0"): "encoder_A.encoder.0",
        ("encoder_b", "hidden_2"): "encoder_B.encoder.4",
        ("encoder_a", "logvar"): "encoder_A.fc_logvar",
        ("decoder_a", "logits"): "decoder_A.decoder.4",
        ("decoder_b", "block_1", "output"): "decoder_B.residual2.block.2",
        ("decoder_b", "input"): "decoder_B.fc_in",
        ("state_net", "decoder_hidden"): "state_net.decoder.0",
    }.items():
        leaf = params
        for part in path:
            leaf = leaf[part]
        np.testing.assert_array_equal(leaf["kernel"], model[f"{name}.weight"].T)
        np.testing.assert_array_equal(leaf["bias"], model[f"{name}.bias"])
    np.testing.assert_array_equal(
        params["state_net"]["encoder_norm"]["scale"], model["state_net.encoder.1.weight"]
    )
    assert found.metadata["kind"] == "v5_5"
    assert found.metadata["buffers"] == {
        name: model[name].item() for name in ("grad_norm_A_ema", "grad_norm_B_ema")
    }
    assert found.moments is None


def test_state_outside_the_weights_is_kept_as_json() -> None:
    state = import_checkpoint(GOLDEN).metadata["state"]
    expected = {k: v for k, v in GOLDEN.items() if k not in ("model", "optimizer")}
    assert json.loads(json.dumps(state)) == expected
    tensors = {"small": np.arange(3), "large": np.zeros(5000), "raw": {"deep": b"x"}}
    metadata = import_checkpoint(GOLDEN | tensors).metadata
    assert metadata["state"]["small"] == [0, 1, 2]
    assert metadata["state"]["large"] is None
    assert metadata["source"]["left_out"] == ["large", "raw.deep"]


VARIANTS = {
    "v5.5": ("model", names.dual_vae(16, state_net_inputs=9), "v5_5"),
    "later StateNet": ("model", names.dual_vae(16, state_net_inputs=12), "v5_5"),
    "no StateNet": ("model", names.dual_vae(16, state_net_inputs=0), "v5_5"),
    "v5.11 single": (
        "model_state",
        names.projected_vae(
            16, **PUBLISHED | {"dual_projection": False, "n_layers": 1, "dropout": False}
        ),
        "v5_11",
    ),
    "v5.11 dual": (
        "model_state",
        names.projected_vae(16, **PUBLISHED | {"n_layers": 1, "dropout": False}),
        "v5_11",
    ),
    "no controller": (
        "model_state_dict",
        names.projected_vae(16, **PUBLISHED | {"use_controller": False}),
        "v5_12",
    ),
    "published": ("model_state_dict", names.projected_vae(16, **PUBLISHED), "v5_12"),
    "improved": (
        "model_state_dict",
        names.projected_vae(16, **PUBLISHED | {"improved_encoder": True, "improved_decoder": True}),
        "v5_12",
    ),
    "improved decoder": (
        "model_state_dict",
        names.projected_vae(16, **PUBLISHED | {"improved_decoder": True}),
        "v5_12",
    ),
    "small": (
        "model_state_dict",
        names.projected_vae(8, **PUBLISHED | {"width": 32, "dropout": False}),
        "v5_12",
    ),
    "bare": ("", names.dual_vae(16, state_net_inputs=9), "v5_5"),
}


@pytest.mark.parametrize("case", VARIANTS)
def test_recognises_each_kind_and_fits_its_module(case: str) -> None:
    key, slots, kind = VARIANTS[case]
    tensors = weights(slots)
    payload = {key: tensors, "epoch": 1} if key else tensors
    found = import_checkpoint(payload)
    assert found.metadata["kind"] == kind
    assert model_slots(found.metadata) == slots
    module = module_of(found)
    example = jnp.zeros((2, 9))
    if found.metadata["model"].get("state_net_inputs", 9) == 9:
        shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), example, method="touch"))
        expected = dict(shapes["params"])
        if case == "no StateNet":
            del expected["state_net"]
        assert jax.tree.map(jnp.shape, found.params) == jax.tree.map(jnp.shape, expected)
    back = export_checkpoint(found.params, found.metadata, None)
    assert same(dict(back[key] if key else back), tensors)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod."])
def test_wrappers_are_taken_off(prefix: str) -> None:
    wrapped = {prefix + name: tensor for name, tensor in GOLDEN["model"].items()}
    assert same(import_checkpoint({"model": wrapped}).params, import_checkpoint(GOLDEN).params)


def test_gradient_checkpointing_lists_tensors_twice() -> None:
    model = GOLDEN["model"]
    copies = {
        name.replace("encoder_A.encoder.", "encoder_A.sequential_part."): tensor
        for name, tensor in model.items()
        if name.startswith("encoder_A.encoder.")
    }
    expected = import_checkpoint(GOLDEN).params
    assert same(import_checkpoint({"model": model | copies}).params, expected)
    only = {n: t for n, t in model.items() if not n.startswith("encoder_A.encoder.")} | copies
    assert same(import_checkpoint({"model": only}).params, expected)
    copies["encoder_A.sequential_part.0.bias"] = np.zeros(256, np.float32)
    with pytest.raises(UserError, match=r"two different tensors for 'encoder_A\.encoder\.0\.bias'"):
        import_checkpoint({"model": model | copies})


def test_names_without_wrappers_stay() -> None:
    for slot in names.dual_vae(16, state_net_inputs=9) + names.projected_vae(16, **PUBLISHED):
        assert canonical_name(slot.name) == slot.name


def test_all_faults_are_reported_together() -> None:
    model = dict(GOLDEN["model"])
    del model["encoder_A.fc_mu.bias"], model["decoder_B.fc_in.weight"]
    model["decoder_A.decoder.0.weight"] = np.zeros((32, 15), np.float32)
    model["encoder_B.fc_mu.weight"] = np.full((16, 64), np.nan, np.float32)
    model["encoder_B.fc_mu.bias"] = np.zeros(16, np.int64)
    model["surplus\nname"] = np.zeros(1, np.float32)
    with pytest.raises(UserError) as caught:
        import_checkpoint({"model": model})
    assert str(caught.value) == (
        "does not fit; missing: encoder_A.fc_mu.bias, decoder_B.fc_in.weight; "
        r"unexpected: surplus\nname; "
        "wrong shape: decoder_A.decoder.0.weight (32, 15) instead of (32, 16); "
        "no floating-point numbers: encoder_B.fc_mu.bias (int64); "
        "not finite: encoder_B.fc_mu.weight"
    )


@pytest.mark.parametrize("name", sorted(GOLDEN["model"]))
def test_any_missing_tensor_is_named(name: str) -> None:
    model = {key: tensor for key, tensor in GOLDEN["model"].items() if key != name}
    with pytest.raises(UserError, match=f"^does not fit; missing: {name}$"):
        import_checkpoint({"model": model})


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ([1], "holds a list instead of a dictionary"),
        ({"epoch": 3}, "holds no state dict"),
        ({"model": {}}, "holds no state dict"),
        ({"model": {"a": np.zeros(1)}, "model_state": {"a": np.zeros(1)}}, "more than one"),
        (
            {"model": {"conv.weight": np.zeros(1, np.float32)}},
            "none of the reference",
        ),
        ({"model": GOLDEN["model"] | {"extra": 1}}, "'extra' in its state dict is not a tensor"),
        ({"model": GOLDEN["model"] | {"grad_norm_A_ema": np.float32(np.inf)[None]}}, "wrong shape"),
    ],
)
def test_refuses_other_payloads(payload: Any, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        import_checkpoint(payload)


def test_the_wanted_kind_must_be_the_kind() -> None:
    with pytest.raises(UserError, match="looks like v5_5, not v5_12"):
        import_checkpoint(GOLDEN, kind="v5_12")
    production = {"model_state_dict": weights(names.projected_vae(16, **PUBLISHED))}
    with pytest.raises(UserError, match="looks like v5_12, not v5_5"):
        import_checkpoint(production, kind="v5_5")
    assert import_checkpoint(production, kind="v5_11").metadata["kind"] == "v5_11"


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16])
def test_other_float_types_become_float32(dtype: Any) -> None:
    name = "encoder_A.fc_mu.bias"
    model = GOLDEN["model"] | {name: np.arange(16).astype(dtype)}
    found = import_checkpoint({"model": model})
    assert same(found.params["encoder_a"]["mu"]["bias"], np.arange(16, dtype=np.float32))
    assert found.metadata["source"]["dtypes"] == {name: np.dtype(dtype).name}
    model[name] = np.full(16, 1e300)
    with pytest.raises(UserError, match="not finite"):
        import_checkpoint({"model": model})


def test_moments_follow_their_parameters() -> None:
    found = import_checkpoint(GOLDEN, include_optimizer=True)
    assert found.moments is not None
    kernel = GOLDEN["model"]["decoder_B.fc_out.weight"].T
    np.testing.assert_array_equal(
        found.moments["exp_avg"]["decoder_b"]["logits"]["kernel"], kernel + 1
    )
    assert not found.moments["exp_avg_sq"]["state_net"]["encoder_norm"]["scale"].any()
    settings = found.metadata["optimizer"]
    assert settings["steps"]["decoder_B.fc_out.weight"] == 7
    assert "state_net.encoder.0.weight" not in settings["steps"]
    assert settings["param_groups"][0]["params"][0] == "encoder_A.encoder.0.weight"
    back = export_checkpoint(found.params, found.metadata, found.moments)
    assert same(back["optimizer"]["param_groups"], GOLDEN["optimizer"]["param_groups"])
    for index, entry in GOLDEN["optimizer"]["state"].items():
        assert all(
            np.array_equal(back["optimizer"]["state"][index][key], entry[key]) for key in entry
        )


def broken_optimizers() -> dict[str, tuple[Any, str]]:
    good = GOLDEN["optimizer"]
    group = good["param_groups"][0]
    first = good["state"][0]
    return {
        "none": (None, "no optimizer"),
        "text": ("adam", "not the state of an Adam"),
        "empty": ({}, "not the state of an Adam"),
        "few": (good | {"param_groups": [group | {"params": [0, 1]}]}, "group of 2 tensors"),
        "no moment": (good | {"state": {0: {"step": 1}}}, "not the state of an Adam"),
        "foreign number": (good | {"state": {99: first}}, "not the state of an Adam"),
        "vector step": (good | {"state": {0: first | {"step": np.zeros(2)}}}, "not the state"),
        "shape": (good | {"state": {0: first | {"exp_avg": np.zeros(3)}}}, "has shape"),
        "nan": (
            good | {"state": {0: first | {"exp_avg_sq": np.full((256, 9), np.nan)}}},
            "encoder_A.encoder.0.weight is not finite",
        ),
    }


@pytest.mark.parametrize("case", broken_optimizers())
def test_refuses_optimizers_that_do_not_fit(case: str) -> None:
    optimizer, reason = broken_optimizers()[case]
    payload = {key: value for key, value in GOLDEN.items() if key != "optimizer"}
    payload |= {} if optimizer is None else {"optimizer": optimizer}
    assert import_checkpoint(payload).moments is None
    with pytest.raises(UserError, match=reason):
        import_checkpoint(payload, include_optimizer=True)


def test_settings_of_the_checkpoint_reach_the_module() -> None:
    payload: dict[str, Any] = {"model_state_dict": weights(names.projected_vae(16, **PUBLISHED))}
    projection = module_of(import_checkpoint(payload)).projection
    assert (projection.max_norm, projection.dropout, projection.curvature) == (0.95, 0.1, 1.0)
    payload["config"] = {"model": {"max_radius": 0.5, "curvature": 2.0, "projection_dropout": 0.3}}
    projection = module_of(import_checkpoint(payload)).projection
    assert dataclasses.asdict(projection)["dropout"] == 0.3
    assert projection.max_norm == pytest.approx(0.5 * 2**0.5)


IMPLAUSIBLE = [
    ("max_radius", "wide"),
    ("max_radius", 5),
    ("curvature", -1),
    ("curvature", float("nan")),
    ("curvature", 2**100),
    ("curvature", True),
    ("projection_dropout", -1),
    # Also those that this model has no use for.
    ("encoder_dropout", 9),
    ("decoder_dropout", None),
    ("logvar_min", float("-inf")),
    ("logvar_min", 3.0),  # above logvar_max
]


@pytest.mark.parametrize(("name", "value"), IMPLAUSIBLE)
def test_implausible_settings_are_refused_by_name(name: str, value: Any) -> None:
    payload: dict[str, Any] = {"model_state_dict": weights(names.projected_vae(16, **PUBLISHED))}
    payload["config"] = {"model": {name: value}}
    with pytest.raises(UserError, match=rf"^config\.model\.{name} in the checkpoint: expected "):
        import_checkpoint(payload)


WHOLE = import_checkpoint(read_torch_file(SMALL_FILE))


@hypothesis.settings(max_examples=2000, deadline=None)
@hypothesis.given(st.integers(0, len(SMALL_FILE) - 1), st.integers(1, 255))
def test_a_mutated_checkpoint_converts_bit_exactly_or_is_refused(place: int, change: int) -> None:
    data = bytearray(SMALL_FILE)
    data[place] ^= change
    refusal = ""
    found = None
    try:
        found = import_checkpoint(read_torch_file(bytes(data)))
    except UserError as error:
        refusal = str(error)
    assert "\n" not in refusal
    assert refusal or same(found, WHOLE)


def assert_close(found: dict[str, jax.Array], expected: Any) -> None:
    """To 1e-5 of each tensor's largest value; decodes equal where the margin is above 1e-5."""
    for name, array in found.items():
        reference = expected[name]
        bound = 1e-5 * np.abs(reference).max()
        assert np.abs(np.asarray(array) - reference).max() <= bound, name
        if "logits" in name:
            ordered = np.sort(reference, -1)
            clear = ordered[..., -1] - ordered[..., -2] >= 1e-5
            assert clear.any()
            hit = np.argmax(array, -1) == np.argmax(reference, -1)
            assert hit[clear].all(), name


def apply(found: Imported, method: str, *arguments: Any, **options: Any) -> Any:
    module = module_of(found)
    run = jax.jit(lambda p, *a: module.apply({"params": p}, *a, method=method, **options))
    return run(found.params, *arguments)


@pytest.mark.parametrize("name", ["best", "latest"])
def test_v5_5_agrees_with_the_original(reference, name: str) -> None:
    found = import_checkpoint(read_torch_file(reference / "v5_5" / f"{name}.pt"))
    expected = np.load(reference / "v5_5" / f"{name}.npz")
    x = padic.values(jnp.asarray(expected["index"]), n_digits=9)
    zeros = jnp.zeros((x.shape[0], 16))
    q = apply(found, "encode", x)
    rho = found.metadata["state"]["rho"]
    assert rho == pytest.approx(float(expected["rho"]))
    coupled = apply(found, "__call__", x, zeros, zeros, rho=rho)
    assert_close(
        {
            "mu_A": q.mu_a,
            "logvar_A": q.logvar_a,
            "mu_B": q.mu_b,
            "logvar_B": q.logvar_b,
            "logits_A": apply(found, "decode_a", q.mu_a),
            "logits_B": apply(found, "decode_b", q.mu_b),
            "coupled_logits_A": coupled.logits_a,
            "coupled_logits_B": coupled.logits_b,
        },
        expected,
    )


@pytest.mark.parametrize("name", ["published_path_ep20", "improved_ep99"])
def test_v5_12_agrees_with_the_original(reference, name: str) -> None:
    found = import_checkpoint(read_torch_file(reference / "v5_12" / f"{name}.pt"))
    expected = np.load(reference / "v5_12" / f"{name}.npz")
    x = padic.values(jnp.asarray(expected["index"]), n_digits=9)
    noise = [jnp.asarray(expected[key]) for key in ("eps_A", "eps_B")]
    module = module_of(found)
    run = jax.jit(lambda p, x, a, b: module.apply({"params": p}, x, noise_a=a, noise_b=b))
    sampled, mean = run(found.params, x, *noise), apply(found, "__call__", x)
    assert_close(
        {
            "mu_A": mean.latents.mu_a,
            "logvar_A": mean.latents.logvar_a,
            "mu_B": mean.latents.mu_b,
            "logvar_B": mean.latents.logvar_b,
            "z_euc_A": sampled.z_euc_a,
            "z_euc_B": sampled.z_euc_b,
            "z_hyp_A": sampled.ball_a.z,
            "z_hyp_B": sampled.ball_b.z,
            "z_tangent_A": sampled.z_tangent_a,
            "logits_A": sampled.logits_a,
            "z_hyp_A_mean": mean.ball_a.z,
            "z_hyp_B_mean": mean.ball_b.z,
            "z_tangent_A_mean": mean.z_tangent_a,
            "logits_A_mean": mean.logits_a,
            "logits_mu": apply(found, "decode", mean.latents.mu_a),
        },
        expected,
    )


@pytest.mark.parametrize(
    ("file", "kind"), [("weights_frozen_single", "v5_11"), ("weights_improved_dual", "v5_12")]
)
def test_the_originals_modules_are_recognised(reference, file: str, kind: str) -> None:
    tensors = dict(np.load(reference / "golden" / "models_full" / f"{file}.npz"))
    tensors = {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
    found = import_checkpoint({"model_state_dict": tensors})
    assert found.metadata["kind"] == kind
    assert [slot.name for slot in model_slots(found.metadata)] == list(tensors)


@pytest.mark.parametrize(
    "file", ["v5_5/best", "v5_5/latest", "v5_12/published_path_ep20", "v5_12/improved_ep99"]
)
def test_real_files_come_back_to_the_bit(reference, file: str) -> None:
    payload = read_torch_file(reference / f"{file}.pt")
    with_optimizer = "improved" not in file
    start = time.process_time()
    found = import_checkpoint(payload, include_optimizer=with_optimizer)
    assert time.process_time() - start < 0.5
    back = export_checkpoint(found.params, found.metadata, found.moments)
    assert back.keys() == payload.keys()
    for key in payload:
        if key in ("model", "model_state_dict"):
            assert same(dict(back[key]), payload[key])
        elif key not in ("optimizer", "optimizer_state"):
            assert json.dumps(back[key]) == json.dumps(json.loads(json.dumps(back[key])))
    optimizer = payload.get("optimizer", payload.get("optimizer_state"))
    if optimizer is not None:
        found_optimizer = back.get("optimizer", back.get("optimizer_state"))
        assert same(found_optimizer["param_groups"], optimizer["param_groups"])
        assert list(found_optimizer["state"]) == list(optimizer["state"])
        for index, entry in optimizer["state"].items():
            assert all(
                np.array_equal(found_optimizer["state"][index][moment], entry[moment])
                for moment in entry
            )


@pytest.mark.parametrize("improved", [False, True])
def test_v5_5_holds_the_parts_that_production_starts_from(improved: bool) -> None:
    base = import_checkpoint(GOLDEN).params
    flags = {"improved_encoder": improved, "improved_decoder": improved}
    target = import_checkpoint({"model": weights(names.projected_vae(16, **PUBLISHED | flags))})
    for part in ("encoder_a", "encoder_b", "decoder_a"):
        for layer, leaves in base[part].items():
            shapes = jax.tree.map(np.shape, leaves)
            assert shapes == jax.tree.map(np.shape, target.params[part][layer])
        extra = target.params[part].keys() - base[part].keys()
        assert all(layer.startswith("norm_") for layer in extra)
        assert bool(extra) == improved
