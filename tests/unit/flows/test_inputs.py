"""The forms that Prefect makes of the flows."""

from pathlib import Path
from typing import Any

import pytest
from prefect.utilities.callables import parameter_schema

from unimol2_flows.embed import embed
from unimol2_flows.end_to_end import end_to_end
from unimol2_flows.evaluate import evaluate
from unimol2_flows.finetune import finetune
from unimol2_flows.predict import predict
from unimol2_flows.prepare import prepare
from unimol2_flows.pretrain import pretrain
from unimol2_flows.reproduce import reproduce
from unimol2_flows.scaling import scaling
from unimol2_flows.schedule import keyed
from unimol2_flows.screen import screen
from unimol2_flows.search import search
from unimol2_tasks.params import Params, parse_params

FLOWS = (
    embed,
    end_to_end,
    evaluate,
    finetune,
    predict,
    prepare,
    pretrain,
    reproduce,
    scaling,
    screen,
    search,
)


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_every_parameter_has_a_title_and_an_explanation(flow: Any) -> None:
    schema = parameter_schema(flow.fn).model_dump_for_openapi()
    for name, field in schema["properties"].items():
        assert field["title"][0].isupper(), name
        assert field["description"].endswith("."), name


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_every_field_of_the_parameters_is_explained(flow: Any) -> None:
    schema = parameter_schema(flow.fn).model_dump_for_openapi()
    for definition, content in schema.get("definitions", {}).items():
        if definition == "Params":
            continue
        for name, field in content["properties"].items():
            assert field.get("description"), f"{definition}.{name}"


def test_a_changed_table_and_other_parameters_get_a_folder_of_their_own(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("smiles\nC\n")

    def out(params: Params = Params(), library: str | None = None) -> str:
        return keyed("runs/{key}", params, None, str(table), library)

    first = out()
    assert first == out()
    assert len(first) == len("runs/") + 12
    assert out(parse_params({"prepare": {"conformers": 1}})) != first
    assert out(library=str(table)) != first
    table.write_text("smiles\nCC\n")
    assert out() != first
    assert keyed("runs/fixed", Params(), None, "none.csv") == "runs/fixed"
