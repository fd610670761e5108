"""The program server: an OpenAI-compatible endpoint that the gateway calls, and that runs exported programs.

A front process serves HTTP and sends each run over a socket to one of several worker processes, which have the programs
loaded.
"""
