"""Does a container keep the contract? It is run against a stand-in callback that is sometimes a bad one."""
