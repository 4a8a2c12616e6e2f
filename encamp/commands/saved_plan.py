"""``fab deploy --plan FILE`` and ``fab deploy --apply FILE``: a deploy in two steps, with a review between them."""

from __future__ import annotations

import socket
import uuid
from pathlib import Path
from typing import Any

from encamp.cli.options import Options
from encamp.commands import deploy
from encamp.commands.reporting import reporting
from encamp.commands.run_hosts import Prepared
from encamp.errors import Origin, SavedPlanError, UsageError
from encamp.inventory import location
from encamp.output.broadcast import ReportBroadcaster
from encamp.output.findings import Findings
from encamp.output.outcome import Outcome
from encamp.output.terminal import report
from encamp.planning import rollout, saved_plan, saved_plan_key, saved_plan_steps
from encamp.planning.rollout import ALL_AT_ONCE, EVERY_HOST
from encamp.planning.saved_plan_key import PlanKey
from encamp.running.connectors import SshConnector
from encamp.running.run import Run
from encamp.shared.record import replace
from encamp.site import Site, SiteHost
from encamp.support import user as current_user
from encamp.transport import bundle


def run(options: Options, verify: bool, plan: str, apply_: str, bundle_file: str = "") -> int:
    """One of the two. Returns the exit code; raises EncampError."""
    if bundle_file:
        raise UsageError("--bundle excludes --plan and --apply", "deploy with --check --diff first, then without")
    if plan and apply_:
        raise UsageError("--plan and --apply exclude each other", "make the plan first, review it, then apply it")
    return save(options, verify, plan) if plan else apply(options, verify, apply_)


def save(options: Options, verify: bool, file: str) -> int:
    """Look at the hosts and write what a deploy would do. Returns the exit code; raises EncampError."""
    saved_plan.check_place(file)
    look = replace(options, check=True, diff=True)
    findings = Findings()
    with reporting(look, deploy.COMMAND) as reports:
        site, selected = deploy.load(look, "plan")
        prepared = deploy.prepare(site, selected, verify, options.instance)
        key = saved_plan_key.for_making(_folder(options))
        made = _made(options, verify, site, selected)
        reports.add(findings)
        outcomes = deploy.carry_out(look, site, selected, _with_plan(prepared, made.id, key), reports)
        code = reports.end(options.want_exit_code)
    if any(outcome.status != "ok" for outcome in outcomes):
        report("\n  no plan was written: not every host could be checked")
        return code
    jobs = [saved_plan_steps.with_findings(job, findings.next_of(job["host"])) for job in _declared(prepared, key)]
    saved_plan.write(file, saved_plan.document(made, jobs, key))
    _report_saved(file, jobs)
    return code


def apply(options: Options, verify: bool, file: str) -> int:
    """Do exactly what a saved plan says, or refuse before any host is changed; with ``check`` only say which.

    Returns the exit code; raises EncampError.
    """
    _refuse_options(options, verify)
    with reporting(options, deploy.COMMAND) as reports:
        key = saved_plan_key.for_applying(_folder(options))
        plan = saved_plan.unsealed(saved_plan.read(file), file, key)
        stored, verify = _stored(options, plan["options"])
        site, selected = deploy.load(stored, "plan")
        prepared = deploy.prepare(site, selected, verify, stored.instance)
        _compare(plan, prepared, key, file)
        if stored.check or len(plan["hosts"]) > 1:
            outcomes = _checked(stored, site, _expecting(prepared, plan, key))
            if stored.check or any(outcome.status != "ok" for outcome in outcomes):
                return _report_check(site, outcomes, reports)
        if site.lacks_secrets:  # made only now, so that a plan that is refused leaves none behind
            site, selected = deploy.load(stored, "make")
            prepared = deploy.prepare(site, selected, verify, stored.instance)
        outcomes = deploy.carry_out(stored, site, selected, _expecting(prepared, plan, key), reports)
        reports.end()
    return deploy.ended(stored, site, selected, outcomes)


def _folder(options: Options) -> Path:
    return location.folder_of(location.locate(options.inventory, options.home), options.home)


def _made(options: Options, verify: bool, site: Site, selected: list[SiteHost]) -> saved_plan.Made:
    """Who makes a plan, of what. What ``--retry`` chose is kept as names: by then another run may be the last."""
    pace = options.rollout
    kept: dict[str, Any] = {
        "hosts": options.hosts,
        "limit": ",".join(host.name for host in selected) if options.retry else options.limit,
        "instance": options.instance,
        "set": list(options.overrides),
        "verify": verify,
        "batch": str(pace.batch) if pace.batch else "",
        "max_fail": str(pace.max_fail) if pace.max_fail.number else "",
        "any_errors_fatal": pace.any_errors_fatal,
    }
    where = str(Origin(str(site.inventory.path)))
    return saved_plan.Made(uuid.uuid4().hex, current_user.who(), socket.gethostname(), where, bundle.digest(), kept)


def _stored(options: Options, kept: dict[str, Any]) -> tuple[Options, bool]:
    """The options that a plan was made with, in the place of those that it decides; and whether it proves."""
    return replace(
        options,
        diff=True,
        hosts=kept["hosts"],
        limit=kept["limit"],
        instance=kept["instance"],
        overrides=tuple(kept["set"]),
        rollout=rollout.parse(kept["batch"], kept["max_fail"], kept["any_errors_fatal"]),
    ), kept["verify"]


def _refuse_options(options: Options, verify: bool) -> None:
    """Raises UsageError for an option that a plan has decided."""
    given = {
        "-H": options.hosts,
        "--limit": options.limit,
        "--retry": options.retry,
        "--instance": options.instance,
        "--set": options.overrides,
        "--no-verify": not verify,
        "--batch, --max-fail and --any-errors-fatal": options.rollout != ALL_AT_ONCE,
        "--exit-code": options.want_exit_code,
    }
    wrong = [name for name, value in given.items() if value]
    if wrong:
        raise UsageError(f"--apply does what the plan says; {wrong[0]} cannot change that", "leave it out")


def _declared(prepared: Prepared, key: PlanKey) -> list[dict[str, Any]]:
    return [saved_plan_steps.declared(plan, stages, key) for (_, stages), plan in prepared.sessions]


def _with_plan(prepared: Prepared, plan_id: str, key: PlanKey) -> Prepared:
    """What was prepared, as the plan that is being made."""
    plans = {place: saved_plan_steps.with_plan(plan, plan_id, key) for place, plan in prepared.sessions}
    return replace(prepared, plans=plans)


def _expecting(prepared: Prepared, saved: dict[str, Any], key: PlanKey) -> Prepared:
    """What was prepared, each host reports what the saved plan found there."""
    jobs = {(job["host"], tuple(job["stages"])): job for job in saved["hosts"]}
    plans = {
        place: saved_plan_steps.with_plan(plan, saved["id"], key, jobs[place]) for place, plan in prepared.sessions
    }
    return replace(prepared, plans=plans)


def _compare(saved: dict[str, Any], prepared: Prepared, key: PlanKey, file: str) -> None:
    """Raises SavedPlanError where the files, or encamp, give another plan than the saved one."""
    lines = saved_plan_steps.differences(saved["hosts"], _declared(prepared, key))
    if lines:
        reason = "the inventory, the settings or encamp have changed since the plan was made:\n"
        raise SavedPlanError(reason + "\n".join(f"    {line}" for line in lines), saved_plan.AGAIN, Origin(file))
    if saved["code"] != bundle.digest():
        reason = f"this plan was made by another version of encamp ({saved['encamp']}), whose steps may differ"
        raise SavedPlanError(reason, saved_plan.AGAIN, Origin(file))


def _checked(options: Options, site: Site, prepared: Prepared) -> list[Outcome]:
    """Compare every host with the plan before any is changed, quietly."""
    mode = replace(options.mode, check=True, rollout=EVERY_HOST)
    names = dict.fromkeys(name for wave in prepared.waves for name in wave.hosts)
    connector = SshConnector(site, options.config, hosts=names)
    return Run(deploy.COMMAND, mode, connector, ()).converge(prepared.waves, prepared.plans)


def _report_check(site: Site, outcomes: list[Outcome], reports: ReportBroadcaster) -> int:
    """Report what the check found where it is the end of the run. Returns the exit code."""
    reports.start(str(site.inventory.path), [outcome.host for outcome in outcomes], looks_only=True)
    reports.expect(outcomes)
    for outcome in outcomes:
        reports.ended(outcome)
    return reports.end()


def _report_saved(file: str, jobs: list[dict[str, Any]]) -> None:
    changed, unknown = (saved_plan_steps.changing(jobs, status) for status in ("changed", "unknown"))
    report(f"\n  saved: {Origin(str(Path(file).absolute()))} ({changed} to change, {unknown} unknown until applied)")
    report(
        f"  next: review it, then fab deploy --apply {file}   (same --inventory; within {saved_plan.VALID.days} days)"
    )
