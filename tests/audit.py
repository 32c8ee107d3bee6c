"""Asks which packages of the lock file have known vulnerabilities; if no service can be asked, it says so and does not fail.

Run as `make audit`. pip-audit by itself reports a package that the service does not answer for as having no vulnerability.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[1] / "requirements.lock"
SERVICES = ("pypi", "osv")
"""Where pip-audit looks: the Python Packaging Advisory Database behind PyPI, then OSV."""


def main() -> int:
    """Ask the services in turn until one answers; the exit code is 1 if there is a vulnerability."""
    for service in SERVICES:
        vulnerable, line = verdict(service, ask(service))
        sys.stderr.write(line + "\n")
        if vulnerable is not None:
            return int(vulnerable)
    return 0


def ask(service: str) -> str:
    """What pip-audit prints about the lock file: JSON, or nothing if it gave up."""
    arguments = ["--vulnerability-service", service, "--requirement", str(LOCK), "--no-deps", "--disable-pip"]
    command = [sys.executable, "-m", "pip_audit", *arguments, "--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    return subprocess.run(command, capture_output=True, text=True).stdout


def verdict(service: str, report: str) -> tuple[bool | None, str]:
    """Whether something is vulnerable (None if the service could not say), and the line that says so."""
    packages: list[dict[str, Any]] = json.loads(report)["dependencies"] if report.strip() else []
    judged = [package for package in packages if "skip_reason" not in package]
    if not judged:
        return None, f"audit: NOT DONE by {service}: it cannot be reached from here, or knows none of the packages"
    found = [f"{p['name']} {p['version']}: {vulnerability['id']}" for p in judged for vulnerability in p["vulns"]]
    skipped = ", ".join(package["name"] for package in packages if "skip_reason" in package)
    line = f"audit: {service} knows {len(found)} vulnerabilities of {len(judged)} packages"
    line += f"; NOT ANSWERED for {skipped}" if skipped else ""
    return bool(found), "\n  ".join((line, *found))


if __name__ == "__main__":
    sys.exit(main())
