# Tells nginx who tells the names here, which it does not read for itself, and becomes it.
set -eu
awk '$1 == "nameserver" { servers = servers " " ($2 ~ /:/ ? "[" $2 "]" : $2) }
	END { print "resolver" servers " valid=10s;" }' /etc/resolv.conf >/tmp/resolver.conf
exec nginx -c /etc/tasks-gateway/nginx.conf -g 'daemon off;'
