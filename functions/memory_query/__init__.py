"""memory-query: answers what earlier tasks have left that helps this one."""
