"""The image and the job: parsed, and their command run where tvae cannot be imported."""

import json
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.artifacts.conftest import FIRST
from tvae.artifacts import deployment, names


def copied_into(dockerfile, artifact, image):
    """What the image's COPY lines bring, the working folder being ``image``."""
    for line in dockerfile.splitlines():
        if line.startswith("COPY"):
            source, target = line.split()[1:]
            assert target == "./"
            shutil.copytree(artifact / source, image, copy_function=shutil.copyfile)


def instruction(dockerfile, word):
    [line] = [line for line in dockerfile.splitlines() if line.startswith(word + " ")]
    return line.removeprefix(word + " ")


def test_the_image_runs_the_exported_model_without_tvae(first, tmp_path):
    """No Docker here: what the Dockerfile and the job say is parsed, and that command run."""
    artifact = first.folder("production", FIRST)
    dockerfile = (artifact / "deployment" / "docker" / "Dockerfile").read_text()
    job = yaml.safe_load((artifact / "deployment" / "kubernetes" / "job.yaml").read_text())
    [container] = job["spec"]["template"]["spec"]["containers"]
    stated = json.loads((artifact / "deployment" / "config.json").read_text())
    entrypoint = json.loads(instruction(dockerfile, "ENTRYPOINT"))
    arguments = json.loads(instruction(dockerfile, "CMD"))
    assert stated["command"] == entrypoint + arguments
    assert container["args"] == arguments
    assert container["image"] == stated["image"] == "tvae-tiny:1.0"
    installed = instruction(dockerfile, "RUN pip install --no-cache-dir").split()
    assert installed == [f"{k}=={v}" for k, v in stated["requirements"].items()]
    assert "tvae" not in " ".join(installed)
    copied_into(dockerfile, artifact, tmp_path / "model")
    program, script = entrypoint
    assert program == "python"
    # What the image does not hold cannot be imported here either.
    without = "; ".join(
        f"sys.modules[{name!r}] = None" for name in ("tvae", "flax", "optax", "orbax", "absl")
    )
    start = f"import runpy, sys; {without}; sys.argv = sys.argv[1:]; "
    start += "runpy.run_path(sys.argv[0], run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-P", "-c", start, script, *arguments],
        cwd=tmp_path / "model",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["ok"] is True
    assert summary["decoded_exactly"]["decode_a"] == pytest.approx(1 / 27)


def test_the_job_has_no_right_that_it_does_not_need(first):
    artifact = first.folder("production", FIRST)
    job = yaml.safe_load((artifact / "deployment" / "kubernetes" / "job.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    assert job["metadata"]["name"] == "tvae-tiny-1-0"
    pod = job["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"] == container["resources"]["requests"]
    dockerfile = (artifact / "deployment" / "docker" / "Dockerfile").read_text()
    assert instruction(dockerfile, "USER") == "65534:65534"
    assert len(deployment.label(names.parse_name("m" * 64 + "/" + "1" * 64))) <= 63
