"""What the owner of a hand-made server has in it: a variable, two blocks, and a deployment that runs on a schedule.

seed.py fill        write them, then run a flow once
seed.py read        print what is there, as JSON
seed.py scheduled   wait for a run of the deployment that the server of this moment has scheduled
"""

import asyncio
import datetime
import json
import sys

from prefect import flow
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.sorting import FlowRunSort
from prefect.variables import Variable

MINE = FlowFilter(name=FlowFilterName(any_=["etl"]))


@flow(name="etl")
def etl() -> int:
    return 1


async def read() -> None:
    async with get_client() as client:
        runs = await client.read_flow_runs(limit=200, flow_filter=MINE)
        deployments = await client.read_deployments(flow_filter=MINE)
    found = {
        "variable": await Variable.aget("colour"),
        "secret": (await Secret.aload("password")).get(),
        "completed": sorted(str(run.id) for run in runs if run.state_name == "Completed"),
        "deployments": [deployment.name for deployment in deployments],
    }
    print(json.dumps(found))


async def scheduled() -> None:
    """Runs are scheduled an hour ahead: one that was made since now is by the server that answers now."""
    since = datetime.datetime.now(datetime.timezone.utc)
    for _ in range(300):
        async with get_client() as client:
            runs = await client.read_flow_runs(limit=1, flow_filter=MINE, sort=FlowRunSort.EXPECTED_START_TIME_DESC)
        if runs and runs[0].state_name == "Scheduled" and runs[0].created > since:
            return
        await asyncio.sleep(1)
    sys.exit(f"no run has been scheduled since {since}")


if sys.argv[1] == "fill":
    Variable.set("colour", "vermilion")
    Secret(value="kept-and-readable").save("password")
    etl()
    etl.to_deployment(name="nightly", interval=60).apply()
elif sys.argv[1] == "scheduled":
    asyncio.run(scheduled())
else:
    asyncio.run(read())
