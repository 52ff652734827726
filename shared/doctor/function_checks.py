"""The functions of a cluster: Knative Services, and what they are started with."""

import re
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urlsplit

from shared.doctor.checks import Found, check
from shared.doctor.cluster import (
    APPLY,
    VISIBILITY,
    Cluster,
    container,
    labels,
    name,
    not_ready,
    revision_annotations,
    spec,
)
from shared.doctor.database_checks import usable_connections
from shared.doctor.deployed import Deployed
from shared.domain.cluster import Object
from shared.domain.condition import DatabaseServer
from shared.web.serve import FUNCTIONS

_WAITED = "discord-interaction"
_MOST_SCALE, _DEFAULT_TIMEOUT = "autoscaling.knative.dev/max-scale", 300
_LEAST_SCALE = "autoscaling.knative.dev/min-scale"
# Connections that one process of a function has at most: the sizes of its pools.
CONNECTIONS = dict.fromkeys(FUNCTIONS, 5) | {"dispatcher": 8, "discord-interaction": 7}
_YOUNG_SECONDS = 300
_ADDRESSES = {"FACTEUR_CALLBACK_URL": "callback", "FACTEUR_MEMORY_URL": "memory-query"}
_INSIDE = re.compile(r"([a-z0-9-]+)\.([a-z0-9-]+)\.svc(?:\..+)?")


def _functions(cluster: Cluster) -> list[Object]:
    return [each for each in cluster.all("Service") if name(each) in FUNCTIONS]


@check("namespace-missing", "cluster", why="There is nothing to look at, or it was looked for in the wrong place.")
def namespace_missing(cluster: Cluster) -> Iterator[Found]:
    if cluster.named("Namespace", cluster.namespace) is None:
        yield Found(
            f"there is no namespace {cluster.namespace}", f"{APPLY}; or name another with --namespace, or --context"
        )


@check("knative-missing", "cluster", why="No function runs, and no event is delivered.")
def knative_missing(cluster: Cluster) -> Iterator[Found]:
    for kind, part in (("Service", "Serving"), ("Trigger", "Eventing")):
        if not cluster.served(kind):
            yield Found(
                f"Knative {part} is not installed",
                "kubectl apply -f https://github.com/knative/"
                f"{part.lower()}/releases/latest/download/{part.lower()}-crds.yaml, then {part.lower()}-core.yaml",
            )


@check("function-missing", "cluster", why="Its events end as dead letters, and its callers get no answer.")
def function_missing(cluster: Cluster) -> Iterator[Found]:
    there = {name(each) for each in cluster.all("Service")}
    for function in FUNCTIONS:
        if function not in there:
            yield Found(f"there is no Service {function} in namespace {cluster.namespace}", APPLY)


@check("function-not-ready", "cluster", why="It serves an older revision, or nothing.")
def function_not_ready(cluster: Cluster) -> Iterator[Found]:
    for each in _functions(cluster):
        if why := not_ready(each):
            pods = f"-l serving.knative.dev/service={name(each)}"
            yield Found(
                f"the Service {name(each)} is not ready ({why})",
                f"kubectl describe ksvc {name(each)} -n {cluster.namespace}; kubectl describe pods -n "
                f"{cluster.namespace} {pods}",
            )


@check("image-not-pinned", "cluster", why="Two pods of one function may be different programs, and no rollback is one.")
def image_not_pinned(cluster: Cluster) -> Iterator[Found]:
    for each in _functions(cluster):
        image = str(container(each).get("image", ""))
        tag = image.rpartition("/")[2].partition(":")[2]
        if "@sha256:" not in image and tag in ("", "latest"):
            yield Found(
                f"the image of {name(each)} has {'the tag `latest`' if tag else 'no tag'}",
                f"in the overlay's kustomization.yaml: images: [{{name: facteur-{name(each)}, newTag: A-VERSION}}]",
            )


@check("function-as-root", "cluster", why="Whoever breaks into it has more of the node than the function.")
def function_as_root(cluster: Cluster) -> Iterator[Found]:
    for each in _functions(cluster):
        own = container(each).get("securityContext") or {}
        pod = spec(each, "template", "spec", "securityContext") or {}
        if not own.get("runAsNonRoot", pod.get("runAsNonRoot")):
            yield Found(
                f"{name(each)} may run as root",
                "securityContext: {runAsNonRoot: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}",
            )


@check("function-public", "cluster", why="Whoever is outside reaches doors that are for the cluster alone.")
def function_public(cluster: Cluster) -> Iterator[Found]:
    for each in _functions(cluster):
        if name(each) != _WAITED and labels(each).get(VISIBILITY) != "cluster-local":
            yield Found(
                f"{name(each)} is visible outside of the cluster",
                f"kubectl label ksvc {name(each)} -n {cluster.namespace} {VISIBILITY}=cluster-local",
            )


@check("discord-scales-to-zero", "cluster", why="Discord gives up after three seconds, and shows an error.")
def discord_scales_to_zero(cluster: Cluster) -> Iterator[Found]:
    each = cluster.named("Service", _WAITED)
    if each and cluster.in_production and revision_annotations(each).get(_LEAST_SCALE, "0") == "0":
        yield Found(f"{_WAITED} scales to zero", f'in its template: metadata: {{annotations: {{{_LEAST_SCALE}: "1"}}}}')


@check("function-times-out-first", "cluster", why="Work that the broker still waits for is cut off, and begun anew.")
def function_times_out_first(cluster: Cluster) -> Iterator[Found]:
    waits = max((_seconds(spec(each, "delivery", "timeout")) for each in _deliveries(cluster)), default=0)
    for each in _functions(cluster):
        seconds = int(spec(each, "template", "spec", "timeoutSeconds") or _DEFAULT_TIMEOUT)
        if seconds < waits:
            yield Found(
                f"{name(each)} is cut off after {seconds} s, and deliveries may take {waits} s",
                f"in its template: spec: {{timeoutSeconds: {waits}}}",
            )


def _deliveries(cluster: Cluster) -> list[Object]:
    return [*cluster.some("Broker"), *cluster.some("Trigger")]


def _seconds(duration: object) -> int:
    match = re.fullmatch(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.\d+)?S)?", str(duration or ""))
    hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    return hours * 3600 + minutes * 60 + seconds


@check("secret-missing", "deployed", why="Its pods do not start: they wait for it.")
def secret_missing(deployed: Deployed) -> Iterator[Found]:
    told: dict[tuple[str, str, str], list[str]] = {}
    for each in deployed.missing:
        told.setdefault((each.kind, each.name, each.key), []).append(each.function)
    for (kind, which, key), functions in told.items():
        made = "secret generic" if kind == "Secret" else "configmap"
        what = f"the {kind} {which} has no key {key}" if key else f"there is no {kind} {which}"
        yield Found(
            f"{what}, which {', '.join(functions)} need",
            f"kubectl create {made} {which} -n {deployed.namespace} --from-literal={key or 'KEY'}=…"
            + (" (kubectl edit, if it is there)" if key else ""),
        )


@check("url-leads-nowhere", "cluster", "deployed", why="Containers cannot report, or cannot ask, and their runs fail.")
def url_leads_nowhere(cluster: Cluster, deployed: Deployed) -> Iterator[Found]:
    there = {name(each) for kind in ("Service", "CoreService") for each in cluster.all(kind)}
    for variable, function in _ADDRESSES.items():
        for url in sorted({each.settings.get(variable, "") for each in deployed.functions.values()} - {""}):
            host = urlsplit(url).hostname or ""
            inside = _INSIDE.fullmatch(host)
            ours = inside is not None and inside[2] == cluster.namespace
            away = inside is not None and ours and (inside[1] not in there or inside[1] in set(FUNCTIONS) - {function})
            if "." not in host or away:
                yield Found(
                    f"{variable} leads to {host}, where no {function} is for a pod of another namespace",
                    f"in the ConfigMap facteur-settings: {variable}=http://{function}.{cluster.namespace}.svc.cluster.local",
                )


@check("connections-too-few", "cluster", "database", why="Scaled out, functions get no connection and answer 503.")
def connections_too_few(cluster: Cluster, database: DatabaseServer) -> Iterator[Found]:
    wanted = 0
    for each in _functions(cluster):
        most = revision_annotations(each).get(_MOST_SCALE, "0")
        if not most.isdigit() or most == "0":
            yield Found(
                f"{name(each)} has no max-scale, so nothing bounds its connections",
                f'in its template: metadata: {{annotations: {{{_MOST_SCALE}: "5"}}}}',
            )
            continue
        wanted += int(most) * CONNECTIONS[name(each)]
    if wanted > usable_connections(database):
        yield Found(
            f"scaled out, functions have up to {wanted} connections, and the server takes "
            f"{usable_connections(database)}",
            f"set max_connections to {wanted + 20} (postgresql.parameters of the CloudNativePG Cluster), or lower "
            f"{_MOST_SCALE}",
        )


@check("migrate-job-failed", "cluster", why="The functions of this version do not get the tables that they need.")
def migrate_job_failed(cluster: Cluster) -> Iterator[Found]:
    for each in cluster.all("Job"):
        conditions = (each.get("status") or {}).get("conditions") or []
        failed = any(one.get("type") == "Failed" and one.get("status") == "True" for one in conditions)
        if "migrate" in name(each) and failed:
            job, place = name(each), cluster.namespace
            yield Found(
                f"the Job {job} has failed",
                f"kubectl logs -n {place} job/{job}; then kubectl delete job {job} -n {place} and apply again",
            )


@check("controllers-away", "cluster", why="What was applied is not done: no pods, no deliveries.")
def controllers_away(cluster: Cluster) -> Iterator[Found]:
    for kind in ("Service", "Trigger"):
        silent = [
            name(each) for each in cluster.some(kind) if not each.get("status") and _age(cluster, each) > _YOUNG_SECONDS
        ]
        if silent:
            where = "knative-serving" if kind == "Service" else "knative-eventing"
            yield Found(
                f"nobody has looked at {len(silent)} {kind}s for minutes, like {silent[0]}",
                f"kubectl get pods -n {where}: its controller and webhook must run",
            )


def _age(cluster: Cluster, each: Object) -> float:
    try:
        return cluster.now - datetime.fromisoformat(each["metadata"]["creationTimestamp"]).timestamp()
    except (KeyError, ValueError):
        return 0.0


@check("sink-binding-missing", "deployed", why="The function has no K_SINK, and does not start without one.")
def sink_binding_missing(deployed: Deployed) -> Iterator[Found]:
    for each in deployed.functions.values():
        if each.name != "memory-query" and not each.settings.get("K_SINK"):
            yield Found(
                f"no SinkBinding means the Service {each.name}, and it has no K_SINK of its own",
                f"a SinkBinding with subject: {{apiVersion: serving.knative.dev/v1, kind: Service, name: {each.name}}} "
                "and the broker `facteur` as its sink",
            )


@check("traffic-pinned", "cluster", why="What is deployed gets no requests.")
def traffic_pinned(cluster: Cluster) -> Iterator[Found]:
    for each in _functions(cluster):
        traffic = [one for one in spec(each, "traffic") or () if one.get("percent")]
        if traffic and not any(one.get("latestRevision") for one in traffic):
            pinned = traffic[0].get("revisionName")
            yield Found(
                f"all requests to {name(each)} go to the revision {pinned}, whatever is deployed",
                f"when the rollback is over: kubectl patch ksvc {name(each)} -n {cluster.namespace} --type json "
                '-p \'[{"op": "remove", "path": "/spec/traffic"}]\'',
            )
