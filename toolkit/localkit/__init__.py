"""General helpers for programs on one machine. Nothing here imports the rest of the project.

atomic              replace a file as a whole
locks               lock files
private             directories and files that only their owner may read
json_shape          parsed JSON to dataclasses
sockets             bound sockets
host_names          parse `Host` and `Origin` headers
web_pages           refuse requests of foreign web pages
connection_guard    limits for connections that never finish a request
shortage            disk space, inodes and file descriptors
die_with_parent     end a child process with its parent
interrupts          defer Ctrl-C
errors              the errors of these modules
"""
