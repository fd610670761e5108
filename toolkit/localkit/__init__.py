"""What programs on one machine share: files that survive a crash, sockets, and the check of web pages."""
