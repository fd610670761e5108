"""What stands in the way of a program that has traffic, although the stack itself runs.

keys.py      the environment variables that its models need
problems.py  programs that cannot run and why, and warnings about those that can
"""
