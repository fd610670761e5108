"""Traffic: which version answers what, changed, applied to the gateway, undone.

shares.py    what was asked for, checked        history.py   which version a rollback goes back to
change.py    a change planned and written       fits.py      whether a version may hold traffic
served.py    what the gateway serves            record.py    what served last, and what is under way
actions.py   the ways to make it load           apply.py     making it serve what is written, or putting it back
verbs.py     the whole of traffic, rollback and apply
"""
