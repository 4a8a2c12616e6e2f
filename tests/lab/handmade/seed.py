"""What the owner of a hand-made server has in it: a variable, two blocks, and a deployment that runs on a schedule.

seed.py fill     write them, then run a flow once
seed.py serve    serve the deployment, once a minute
seed.py read     print what is there, as JSON
"""

import asyncio
import json
import sys

from prefect import flow
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.variables import Variable


@flow(name="etl")
def etl() -> int:
    return 1


async def read() -> None:
    async with get_client() as client:
        runs = await client.read_flow_runs(limit=200)
        deployments = await client.read_deployments()
    found = {
        "variable": await Variable.aget("colour"),
        "secret": (await Secret.aload("password")).get(),
        "completed": sorted(str(run.id) for run in runs if run.state_name == "Completed"),
        "deployments": [deployment.name for deployment in deployments],
    }
    print(json.dumps(found))


if sys.argv[1] == "fill":
    Variable.set("colour", "vermilion")
    Secret(value="kept-and-readable").save("password")
    etl()
elif sys.argv[1] == "serve":
    etl.serve(name="nightly", interval=60)
else:
    asyncio.run(read())
