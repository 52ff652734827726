"""What a Workflow means: its own specification over that of its template, with the parameters filled in."""

import json
import re
from collections.abc import Mapping
from typing import Any

from tests.cluster.api import Api

Object = dict[str, Any]
_TAG = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")


class Unusable(Exception):
    """A Workflow that cannot run: the phase it ends in, and why."""

    def __init__(self, phase: str, message: str) -> None:
        super().__init__(message)
        self.phase = phase


def complete_spec(api: Api, workflow: Object) -> Object:
    """The specification that is carried out; Unusable where its WorkflowTemplate is missing."""
    spec: Object = workflow["spec"]
    reference = (spec.get("workflowTemplateRef") or {}).get("name")
    if not reference:
        return spec
    namespace = workflow["metadata"]["namespace"]
    template = api.get(f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflowtemplates/{reference}")
    if template is None:
        raise Unusable("Error", f'workflowtemplate.argoproj.io "{reference}" not found')
    under = template.get("spec") or {}
    parameters = {**_parameters(under), **_parameters(spec)}
    merged = {**under, **spec, "arguments": {"parameters": [*parameters.values()]}}
    volumes = {volume["name"]: volume for volume in [*(under.get("volumes") or []), *(spec.get("volumes") or [])]}
    return merged | ({"volumes": [*volumes.values()]} if volumes else {})


def entry_pod(workflow: Object, spec: Object) -> Object:
    """The pod specification of the entrypoint, a container template; Unusable where it cannot be made."""
    name = spec.get("entrypoint")
    found = [template for template in spec.get("templates") or [] if template.get("name") == name]
    if not found or "container" not in found[0]:
        raise Unusable("Failed", f"invalid spec: template name '{name}' undefined")
    known = _known(workflow, spec)
    given = {parameter["name"]: parameter for parameter in _parameters(spec).values()}
    for parameter in (found[0].get("inputs") or {}).get("parameters") or []:
        value = {**parameter, **given.get(parameter["name"], {})}.get("value", parameter.get("default"))
        if value is None:
            told = (
                f"spec.arguments.{parameter['name']}.value or spec.arguments.{parameter['name']}.valueFrom is required"
            )
            raise Unusable("Failed", f"invalid spec: {told}")
        known[f"inputs.parameters.{parameter['name']}"] = _filled(str(value), known)
    volumes = [*(spec.get("volumes") or []), *(found[0].get("volumes") or [])]
    container = {"name": "main", **found[0]["container"]}
    filled: Object = json.loads(
        _filled(json.dumps({"containers": [container], "volumes": volumes}), known, quoted=True)
    )
    return filled


def _parameters(spec: Object) -> dict[str, Object]:
    listed = (spec.get("arguments") or {}).get("parameters") or []
    return {parameter["name"]: parameter for parameter in listed}


def _known(workflow: Object, spec: Object) -> dict[str, str]:
    known = {f"workflow.{field}": str(workflow["metadata"][field]) for field in ("name", "namespace", "uid")}
    for name, parameter in _parameters(spec).items():
        value = parameter.get("value", parameter.get("default"))
        if value is None:
            raise Unusable("Failed", f"invalid spec: spec.arguments.{name}.value is required")
        known[f"workflow.parameters.{name}"] = _filled(str(value), known)
    return known


def _filled(text: str, known: Mapping[str, str], quoted: bool = False) -> str:
    """The text with values in place of tags, inside JSON if `quoted`; Unusable if one is unknown."""

    def value(tag: re.Match[str]) -> str:
        if tag[1] not in known:
            raise Unusable("Failed", f"invalid spec: failed to resolve {{{{{tag[1]}}}}}")
        return json.dumps(known[tag[1]])[1:-1] if quoted else known[tag[1]]

    return _TAG.sub(value, text)
