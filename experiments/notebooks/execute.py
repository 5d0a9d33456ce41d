"""Run the notebooks and keep what a reader wants to see.

    python experiments/notebooks/execute.py [NAME ...]

Runs each notebook (or those named, such as 01_first_look) in a fresh kernel and writes it back with
its outputs, without what differs from run to run: counts, times, progress bars.
"""

import pathlib
import sys
import tempfile

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

FOLDER = pathlib.Path(__file__).parent
TIMEOUT_SECONDS = 600


def run(path: pathlib.Path, folder: pathlib.Path) -> nbformat.NotebookNode:
    """Execute a notebook.

    Args:
      path: the notebook.
      folder: its kernel's working directory.

    Returns:
      The notebook with its outputs.

    Raises:
      nbclient.exceptions.CellExecutionError: with the traceback of the cell that failed.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as sockets:
        # Sockets of the file system: a kernel needs no open port.
        connection = {"transport": "ipc", "ip": f"{sockets}/kernel"}
        client = NotebookClient(
            notebook,
            timeout=TIMEOUT_SECONDS,
            resources={"metadata": {"path": str(folder)}},
            coalesce_streams=True,
            config=Config(ConnectionFileMixin=connection),
        )
        return client.execute()


def tidy(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop counts, times and everything written to the error stream."""
    notebook.metadata.language_info = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type != "code":
            continue
        cell.execution_count = None
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for output in cell.outputs:
            output.pop("execution_count", None)
            output.get("data", {}).pop("text/plain", None)
    return notebook


def main() -> None:
    """Run and write the notebooks named on the command line, or all."""
    names = sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("*.ipynb"))
    for name in names:
        path = FOLDER / f"{name}.ipynb"
        nbformat.write(tidy(run(path, FOLDER)), path)
        print(path.name)


if __name__ == "__main__":
    main()
