"""The pages of the site, in the order of its navigation: titles, and paths from the repository's root."""

from __future__ import annotations

HOME = "README"

NAVIGATION: dict[str, dict[str, str]] = {
    "Begin": {
        "Your first CDC test": "docs/tutorial",
        "Cookbook": "docs/cookbook",
        "All pages": "docs/index",
    },
    "Use": {
        "Fixtures, marks, options": "docs/pytest_plugin",
        "Change events": "docs/change_events",
        "Connectors": "docs/connectors",
        "Schema registry": "docs/schema_registry",
        "Barrier and pipeline": "docs/cdc",
        "Comparison of tables": "docs/comparison",
        "Change feed": "docs/change_feed",
        "Crashes": "docs/crash",
        "Report": "docs/report",
        "Live page": "docs/ui",
        "Kafka and Connect clusters": "docs/kafka_cluster",
        "Spark cluster": "docs/spark_cluster",
        "Other servers: attach": "docs/attach",
        "Docker Compose": "docs/compose",
    },
    "Look up": {
        "Commands": "docs/cli",
        "Settings": "docs/settings",
        "Services": "docs/services",
        "Clients": "docs/clients",
        "Data models": "docs/config",
    },
    "API": {
        "Fixtures": "docs/api/fixtures",
        "Changes and tables": "docs/api/cdc",
        "Clients": "docs/api/clients",
        "Configuration": "docs/api/config",
        "Lifecycle": "docs/api/lifecycle",
        "Services": "docs/api/services",
        "Stack, Compose, downloads": "docs/api/stack",
        "Errors and waiting": "docs/api/errors",
    },
    "In depth": {
        "Stack": "docs/stack",
        "Lifecycle": "docs/lifecycle",
        "Downloads and cache": "docs/provision",
        "Fit: versions and plugins": "docs/fit",
        "Performance": "docs/performance",
        "Scaling": "docs/scaling",
        "Hosts apart": "docs/hosts_apart",
        "Faults": "docs/faults",
    },
    "Project": {
        "Contributing": "CONTRIBUTING",
        "Security": "SECURITY",
        "Changes": "CHANGELOG",
    },
}


def pages() -> list[str]:
    """Return all pages of the site, the home page first."""
    return [HOME, *(page for titles in NAVIGATION.values() for page in titles.values())]


def toctrees() -> str:
    """Return the navigation in the words of MyST, to be appended to the home page."""
    trees = [
        "\n".join(
            [
                "```{toctree}",
                ":hidden:",
                f":caption: {caption}",
                "",
                *(f"{title} </{page}>" for title, page in titles.items()),
                "```",
            ]
        )
        for caption, titles in NAVIGATION.items()
    ]
    return "\n\n".join(["", *trees, ""])
