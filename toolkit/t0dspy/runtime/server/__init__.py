"""The program server: an OpenAI-compatible endpoint that the gateway calls, and that runs exported programs.

A front process answers HTTP and hands each run to one of several warm worker processes, over a socket between the two.
"""
