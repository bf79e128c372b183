"""Sums up the reports of runs: `summary.py LEAST REPORT...`. Fails when fewer than LEAST requests were made, when a run did not
come to its end, and when it met an error of its own."""

import json
import sys

least, paths = int(sys.argv[1]), sys.argv[2:]
cases = tested = failures = errors = 0
faults = []
for path in paths:
    with open(path, encoding="utf-8") as file:
        report = json.load(file)
    cases += report["test_cases"]["generated"]
    tested += report["operations"]["tested"]
    failures += report["test_cases"]["unique_failures"]
    errors += len(report["errors"])
    if not report["complete"]:
        faults.append(f"a run stopped before its end: {report['stop_reason']}")
    if report["operations"]["tested"] < report["operations"]["selected"]:
        faults.append(f"only {report['operations']['tested']} of {report['operations']['selected']} operations were tested")
print(f"{cases} cases, {tested} operations, {failures} failures, {errors} errors")
if cases < least:
    faults.append(f"there must be at least {least} cases")
if failures or errors:
    faults.append("the answers are not what the document says, or the run failed: see above")
if faults:
    sys.exit("\n".join(faults))
