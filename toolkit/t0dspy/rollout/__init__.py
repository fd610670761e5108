"""Traffic: which version answers what, changed, applied to the gateway, undone.

    verbs.py      the whole of traffic, rollback and apply     standing.py   how a program's versions stand
    shares.py     what was asked for, checked                  history.py    which version a rollback goes back to
    change.py     a change planned and written                 fits.py       whether a version may hold traffic
    apply.py      the gateway serves it, or it is put back     actions.py    the ways to the gateway; containers.py
    served.py     what the gateway serves                      record.py     what served last, and what is under way
    restore.py    the old files back in place                  starting.py   a stack that starts finishes it

Only actions.py and containers.py know who runs the gateway.
"""
