"""How to run the exported model: an image and a job that need JAX and NumPy, and no tvae."""

import json
import pathlib
import re
from importlib import metadata
from typing import Any

from tvae.artifacts.names import Name
from tvae.runs import files

EXPORT = "export"
"""Folder of the exported model inside a production artifact."""
REQUIREMENTS = ("jax", "jaxlib", "numpy", "flatbuffers")
_PYTHON = "3.12"
_USER = 65534
"""The user "nobody": the image runs without any right that it does not need."""
COMMAND = ["python", "run_exported.py"]
"""Of the image, in the exported model's folder; without arguments the program checks itself."""
_RESOURCES = {"cpu": "1", "memory": "1Gi"}
"""Of the job; the largest model takes some 400 MiB with a batch of the whole space."""


def dockerfile() -> str:
    """The Dockerfile; its context is the production artifact's folder."""
    pinned = " ".join(f"{name}=={metadata.version(name)}" for name in REQUIREMENTS)
    return (
        "# docker build --file deployment/docker/Dockerfile --tag IMAGE .\n"
        f"FROM python:{_PYTHON}-slim\n"
        "# The versions that the model was exported and measured with.\n"
        f"RUN pip install --no-cache-dir {pinned}\n"
        "WORKDIR /model\n"
        f"COPY {EXPORT}/ ./\n"
        f"USER {_USER}:{_USER}\n"
        "ENV PYTHONDONTWRITEBYTECODE=1\n"
        f"ENTRYPOINT {json.dumps(COMMAND)}\n"
        "CMD []\n"
    )


def label(name: Name) -> str:
    """A name as Kubernetes takes it.

    >>> label(Name("v5_12", "1.0.0"))
    'tvae-v5-12-1-0-0'
    """
    return re.sub(r"[^a-z0-9]+", "-", f"tvae-{name.model}-{name.version}")[:63].strip("-")


def image(name: Name) -> str:
    """The image's tag.

    >>> image(Name("v6", "1.0.0"))
    'tvae-v6:1.0.0'
    """
    return f"tvae-{name.model}:{name.version}"


def job(name: Name) -> dict[str, Any]:
    """The Kubernetes job: the image once, as nobody, with nothing writable but /tmp."""
    container = {
        "name": "model",
        "image": image(name),
        "args": [],
        "resources": {"requests": _RESOURCES, "limits": _RESOURCES},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - in the container
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": label(name), "labels": {"app": "tvae", "model": name.model}},
        "spec": {"backoffLimit": 2, "template": {"spec": pod}},
    }


def write_deployment(folder: pathlib.Path, name: Name) -> None:
    """Write ``deployment/`` into the folder of a production artifact."""
    config = {
        "model": name.model,
        "version": name.version,
        "image": image(name),
        "command": COMMAND,
        "python": _PYTHON,
        "requirements": {package: metadata.version(package) for package in REQUIREMENTS},
    }
    deployment = folder / "deployment"
    files.write_json(deployment / "config.json", config)
    # JSON is YAML.
    files.write_json(deployment / "kubernetes" / "job.yaml", job(name))
    (deployment / "docker").mkdir()
    (deployment / "docker" / "Dockerfile").write_text(dockerfile())
