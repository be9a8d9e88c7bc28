"""What Grafana shows of a deployment: one dashboard, and where it is found. Pure."""

import json
from collections.abc import Iterator, Sequence

import yaml

from regions.compose.panels import ROWS, Panel, Row
from regions.compose.prometheus import SCRAPE_S

Json = dict[str, object]

DASHBOARDS_PATH = "/etc/jetrelay/grafana/dashboards"
SCHEMA = 39
WIDTH, HEIGHT, ACROSS = 8, 8, 3  # of a panel, in units of Grafana's grid; panels side by side
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard() -> str:
    """The dashboard, as JSON."""
    return json.dumps(
        {
            "uid": "jetrelay",
            "title": "jetrelay",
            "tags": ["jetrelay"],
            "schemaVersion": SCHEMA,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,  # one crosshair over all panels
            "time": {"from": "now-30m", "to": "now"},
            "refresh": f"{SCRAPE_S}s",
            "templating": {"list": [_datasource_variable(), _region_variable()]},
            "panels": list(_placed(ROWS)),
        },
        indent=1,
    )


def provisioning(url: str) -> dict[str, str]:
    """Files below Grafana's directory for provisioning: path -> YAML.

    Args:
        url: where Grafana reaches Prometheus.
    """
    source = {
        "name": "jetrelay",
        "uid": "jetrelay",
        "type": "prometheus",
        "access": "proxy",
        "url": url,
        "isDefault": True,
        "editable": False,
        "jsonData": {"timeInterval": f"{SCRAPE_S}s", "httpMethod": "POST"},
    }
    provider = {
        "name": "jetrelay",
        "type": "file",
        "disableDeletion": True,
        "allowUiUpdates": False,
        "updateIntervalSeconds": 30,
        "options": {"path": DASHBOARDS_PATH},
    }
    files: dict[str, Json] = {
        "datasources/prometheus.yaml": {"apiVersion": 1, "datasources": [source]},
        "dashboards/jetrelay.yaml": {"apiVersion": 1, "providers": [provider]},
    }
    return {path: yaml.safe_dump(text, sort_keys=False) for path, text in files.items()}


# --- in Grafana's words --------------------------------------------------------------------------


def _datasource_variable() -> Json:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource",
            "query": "prometheus"}  # fmt: skip


def _region_variable() -> Json:
    query = "label_values(jetrelay_steering_admits, region)"  # those too that are not scraped
    return {
        "name": "region",
        "label": "Region",
        "type": "query",
        "datasource": _SOURCE,
        "definition": query,
        "query": {"query": query, "refId": "region"},
        "refresh": 2,  # whenever the time range changes
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def _placed(rows: Sequence[Row]) -> Iterator[Json]:
    number, top = 0, 0
    for row in rows:
        number += 1
        at: Json = {"x": 0, "y": top, "w": WIDTH * ACROSS, "h": 1}
        yield {"id": number, "type": "row", "title": row.title, "collapsed": False,
               "gridPos": at, "panels": []}  # fmt: skip
        top += 1
        for place, panel in enumerate(row.panels):
            down, across = divmod(place, ACROSS)
            number += 1
            at = {"x": across * WIDTH, "y": top + down * HEIGHT, "w": WIDTH, "h": HEIGHT}
            yield {"id": number, "gridPos": at, **_drawn(panel)}
        top += -(-len(row.panels) // ACROSS) * HEIGHT


def _drawn(panel: Panel) -> Json:
    defaults: Json = {"unit": panel.unit, "custom": {"fillOpacity": 70}}
    options: Json = {"legend": {"showLegend": True, "displayMode": "list", "placement": "bottom"}}
    if panel.kind == "timeseries":
        defaults |= {"min": 0, "custom": {"lineWidth": 1, "fillOpacity": 8, "showPoints": "never"}}
        options = {
            "legend": {"showLegend": True, "displayMode": "table", "placement": "bottom",
                       "calcs": ["lastNotNull", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }  # fmt: skip
    if panel.words:
        shown = {str(word.value): {"text": word.text, "color": word.colour} for word in panel.words}
        defaults |= {"mappings": [{"type": "value", "options": shown}]}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": _SOURCE, "expr": query.expr,
             "legendFormat": query.legend}
            for place, query in enumerate(panel.queries)
        ],
    }  # fmt: skip
