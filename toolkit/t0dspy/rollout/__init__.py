"""Change the traffic of versions, apply the change to the gateway, and undo it.

    rollout.py    set traffic, roll back, apply            status.py      shares, scores and fit of each version
    shares.py     parse and check requested shares         history.py     find the version for a rollback
    change.py     plan and write a change                  code_fits.py   check that the code fits a version
    apply.py      apply the written config                 gateways.py    ways to reload a gateway; also compose.py
    served.py     read what the gateway serves             pending.py     record the served and the pending config
    restore.py    put old config files back                on_start.py    finish an interrupted change at start
    live.py       read recent ratings

Only gateways.py and compose.py depend on how the gateway is run.
"""
