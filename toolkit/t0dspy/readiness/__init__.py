"""Find reasons why a program with traffic cannot run although the stack itself runs.

keys.py      the environment variables that models need
problems.py  programs that cannot run, the reasons, and warnings about other programs
"""
