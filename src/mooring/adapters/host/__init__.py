"""The machine: its clock, its service manager, files, sockets that we listen on."""
