"""Questions that the validation of an artifact asks of every model of a domain."""

from typing import NamedTuple


class Aspect(NamedTuple):
    """A question that every model is asked.

    Attributes:
      name: for the report.
      at_least: metric keys of which one or more need a lower bound in the targets.
      at_most: the same for an upper bound.
      reason: why the question does not apply to this model; "" where it does.
      also: further keys whose figures belong to the answer.
    """

    name: str
    at_least: tuple[str, ...] = ()
    at_most: tuple[str, ...] = ()
    reason: str = ""
    also: tuple[str, ...] = ()


def of_latents(encoders: str, *, deterministic: bool = False) -> list[Aspect]:
    """The questions about a latent space with a posterior, for encoders such as ``"ab"``."""

    def keys(measure: str) -> tuple[str, ...]:
        return tuple(f"latent/{measure}_{encoder}" for encoder in encoders)

    collapse = Aspect(
        "posterior collapse",
        keys("informed_dimensions") + keys("kl"),
        also=keys("kl_per_dimension"),
        reason="trained on means (config.model.posterior_noise is 0): there is no posterior"
        if deterministic
        else "",
    )
    return [
        collapse,
        Aspect("active dimensions", keys("active_dimensions")),
        Aspect("entropy", keys("entropy")),
    ]
