# Parallel workers, cursors, prepared statements, and a schema of its own.

use strict;
use warnings;

use BitnetTest;
use Test::More;

my $node = start_server('parallel', before_start => sub {
	my ($node) = @_;

	make_model($node->basedir . '/models/small.gguf');
	make_model($node->basedir . '/models/wide.gguf', qw(--hidden 256));
});
my $parallel = 'SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0;'
  . ' SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;'
  . " SET bitnet.model = 'small';";
my $serial = "SET max_parallel_workers_per_gather = 0; SET bitnet.model = 'small';";

$node->safe_psql('postgres', q{
CREATE TABLE docs AS SELECT i AS id, 'document ' || i || repeat(' word', i % 7) AS body
FROM generate_series(1, 200) i;
ALTER TABLE docs SET (parallel_workers = 2);
ANALYZE docs;});

foreach my $call ("bitnet_classify(body, '{a,b,c}')", 'bitnet_embed(body, 4)',
	'bitnet_generate(body, 5)', 'bitnet_summarize(body, 3)', 'bitnet_logprob(body)',
	'bitnet_count_tokens(body)', "bitnet_similarity(body, 'x')")
{
	my $query = "SELECT md5(string_agg(r, ';' ORDER BY id)) FROM (SELECT id, $call\::text AS r FROM docs WHERE $call IS NOT NULL) s";

	like($node->safe_psql('postgres', "$parallel EXPLAIN (ANALYZE, COSTS OFF) $query"),
		qr/Workers Launched: 2/, "$call runs in parallel workers");
	is($node->safe_psql('postgres', "$parallel $query"), $node->safe_psql('postgres', "$serial $query"),
		'with the same results');
}

# A library that is loaded in parallel mode would not get its settings
$node->safe_psql('postgres', q{
CREATE FUNCTION limit_of(int) RETURNS text LANGUAGE plpgsql PARALLEL SAFE AS $$
BEGIN
	PERFORM bitnet_version();
	RETURN current_setting('bitnet.max_tokens_limit');
END$$;
SELECT bitnet_version();
ALTER SYSTEM SET bitnet.max_tokens_limit = 3;
SELECT pg_reload_conf();});
my $limits = 'SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;'
  . ' SET min_parallel_table_scan_size = 0; SELECT min(limit_of(id)), max(limit_of(id)) FROM docs';
my (undef, undef, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$limits");

like($stderr, qr/ERROR:  25000: cannot load library "bitnet" during a parallel operation\n.*HINT:  Add bitnet to session_preload_libraries/s,
	'nor is it loaded then');
is($node->safe_psql('postgres', "SELECT bitnet_version() IS NOT NULL; $limits"), "t\n3|3", 'but before');
{
	local $ENV{PGOPTIONS} = "-c session_preload_libraries=$ENV{BITNET_MODULE}";

	is($node->safe_psql('postgres', $limits), '3|3', 'or with the session');
}
$node->safe_psql('postgres', q{
ALTER SYSTEM RESET bitnet.max_tokens_limit;
SELECT pg_reload_conf();});

# A cursor keeps its model while others run
is( $node->safe_psql('postgres', q{
SET bitnet.model = 'small';
BEGIN;
DECLARE c CURSOR FOR SELECT bitnet_generate(body, 4) = (SELECT bitnet_generate(body, 4)) FROM docs ORDER BY id;
FETCH 2 FROM c;
SELECT bitnet_generate('other', 4, model => 'default') IS NOT NULL;
FETCH 2 FROM c;
COMMIT;}), "t\nt\nt\nt\nt", 'cursors');

# A prepared statement follows the setting
is( $node->safe_psql('postgres', q{
SET plan_cache_mode = force_generic_plan;
PREPARE p(text) AS SELECT array_length(bitnet_embed($1), 1);
SET bitnet.model = 'small';
EXECUTE p('text');
SET bitnet.model = 'wide';
EXECUTE p('text');}), "128\n256", 'a prepared statement uses the model of the day');

# In a schema of the user's choice, with nothing of it in the search path
is( $node->safe_psql('postgres', q{
CREATE DATABASE elsewhere;}), '', 'another database');
is( $node->safe_psql('elsewhere', q{
CREATE SCHEMA ai;
CREATE EXTENSION bitnet SCHEMA ai;
SET search_path = '';
CREATE TABLE public.t (body text, label text);
CREATE TRIGGER t BEFORE INSERT ON public.t FOR EACH ROW
	EXECUTE FUNCTION ai.bitnet_trigger('label', 'bitnet_classify', 'body', '{"labels": ["a", "b"]}');
INSERT INTO public.t VALUES ('some text');
SELECT label IN ('a', 'b'), ai.bitnet_summarize_agg(body) IS NOT NULL FROM public.t GROUP BY label;
SELECT count(*) FROM ai.bitnet_check() WHERE status = 'error';}), "t|t\n0", 'works in any schema');

$node->stop;
done_testing();
