"""What Java servers log: one configuration file of Log4j 2 each, writing to standard error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FILE_NAME = "log4j2.properties"

_CONFIGURATION = """\
rootLogger.level = {level}
rootLogger.appenderRef.console.ref = console
{loggers}appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{{yyyy-MM-dd HH:mm:ss.SSS}} %p %c{{1}}: %m%n%ex
"""


def write_log_configuration(folder: Path, level: str, loggers: Mapping[str, str] | None = None) -> None:
    """Write the configuration into `folder`.

    Args:
        folder: of the service.
        level: of everything: "error", "warn", "info".
        loggers: by class or package, another level.
    """
    lines = [
        f"logger.{number}.name = {name}\nlogger.{number}.level = {other}\n"
        for number, (name, other) in enumerate((loggers or {}).items())
    ]
    (folder / FILE_NAME).write_text(_CONFIGURATION.format(level=level, loggers="".join(lines)))


def log_flag(folder: Path) -> str:
    """Return the JVM flag that names the configuration in `folder`."""
    return f"-Dlog4j2.configurationFile={folder / FILE_NAME}"
