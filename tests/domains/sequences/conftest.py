"""A model of a made table, trained once for all tests."""

import pytest

import tvae
from tests.support.sequence_tables import made_config, write_own_table


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sequences")
    with write_own_table(folder / "own.csv").open("a") as file:
        file.write("\nbad,MK1APLLTREGS,1,1\n")
    return tvae.train(made_config(folder / "own.csv"), folder / "run")
