"""What all roles of Prefect share: releases, layout, versions, known faults."""
