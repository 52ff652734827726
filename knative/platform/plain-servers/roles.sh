# The owner of the database, and a role for each function; `facteur migrate` gives them their rights.
# The image of PostgreSQL reads this into its own script when the volume is new, before anybody may connect.
as_superuser() {
	psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username postgres "$@"
}

for variable in $(env | sed -n 's/^\(PASSWORD_facteur[a-z_]*\)=.*/\1/p'); do
	as_superuser --dbname postgres --set role="${variable#PASSWORD_}" <<-SQL
		\getenv password $variable
		CREATE ROLE :"role" LOGIN PASSWORD :'password';
	SQL
done
# How long they may take. The owner, who migrates, may not alter them.
as_superuser --dbname postgres <<-SQL
	ALTER ROLE facteur_callback SET statement_timeout = '30s';
	ALTER ROLE facteur_callback SET idle_in_transaction_session_timeout = '1min';
	ALTER ROLE facteur_codex_intake SET statement_timeout = '30s';
	ALTER ROLE facteur_codex_intake SET idle_in_transaction_session_timeout = '1min';
	ALTER ROLE facteur_discord_interaction SET statement_timeout = '30s';
	ALTER ROLE facteur_discord_interaction SET idle_in_transaction_session_timeout = '1min';
	ALTER ROLE facteur_dispatcher SET statement_timeout = '30s';
	ALTER ROLE facteur_dispatcher SET idle_in_transaction_session_timeout = '5min';
	ALTER ROLE facteur_embedder SET statement_timeout = '5min';
	ALTER ROLE facteur_embedder SET idle_in_transaction_session_timeout = '1min';
	ALTER ROLE facteur_memory_query SET statement_timeout = '30s';
	ALTER ROLE facteur_memory_query SET idle_in_transaction_session_timeout = '1min';
SQL
as_superuser --dbname postgres --command 'CREATE DATABASE facteur OWNER facteur'
as_superuser --dbname facteur --command 'CREATE EXTENSION vector'
