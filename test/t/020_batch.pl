# Calls of many rows in one plan node: next to other users of the planner's and
# the executor's hooks, cancelled in the middle, under parallel workers, and
# over very many rows.
#
# Runs alone: it measures time.

use strict;
use warnings;

use BitnetTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $limit = 1.5 * $slowness;
my $node = start_server('batch', conf => "bitnet.model = 'small'\nmax_worker_processes = 8\n",
	before_start => sub {
		my ($node) = @_;

		make_model($node->basedir . '/models/small.gguf');
		make_model($node->basedir . '/models/slow.gguf',
			qw(--layers 8 --hidden 1024 --ffn 4096 --heads 16 --kv 4 --vocab 2000 --ctx 4096));
	});

$node->safe_psql('postgres', q{
CREATE TABLE docs AS SELECT i AS id, 'row ' || i AS body FROM generate_series(1, 300) i;
ALTER TABLE docs SET (parallel_workers = 2);
ANALYZE docs;});

my $query = 'SELECT id, bitnet_generate(body, 3) AS g FROM docs';
my $md5 = "SELECT md5(string_agg(g, ';' ORDER BY id)) FROM ($query OFFSET 0) s";
my $off = 'SET bitnet.enable_batch_scan = off; SET max_parallel_workers_per_gather = 0;';

# From when on it works
sub plan_of
{
	my ($before, $what) = @_;

	return $node->safe_psql('postgres', "$before EXPLAIN (COSTS OFF) $what");
}

unlike(plan_of('', $query), qr/BitNet Batch/, 'nothing is changed before the first call');
like(plan_of('SELECT bitnet_version();', $query), qr/BitNet Batch/, 'after it, there is a batch scan');
my $expected = $node->safe_psql('postgres', "$off $md5");
is($node->safe_psql('postgres', "LOAD '\$libdir/bitnet'; $md5"), $expected, 'the results are the same');

# Parallel workers
my $parallel = 'SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0;'
  . ' SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;'
  . ' SET parallel_leader_participation = off; SELECT bitnet_version();';
my $found = plan_of($parallel, $query);
like($found, qr/Gather.*Custom Scan \(BitNet Batch\).*Parallel Seq Scan/s, 'workers have a batch scan');
$found = $node->safe_psql('postgres',
	"$parallel SELECT md5(string_agg(g, ';' ORDER BY id)) FROM (SELECT id, bitnet_generate(body, 3) AS g FROM docs ORDER BY id OFFSET 0) s");
is((split /\n/, $found)[-1], $expected, 'and give the same results');
$found = $node->safe_psql('postgres', "$parallel EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) $query");
like($found, qr/Workers Launched: 2.*BitNet Batch\) \(actual rows=150 loops=2\)/s, 'every row is computed once');

# A batch can be cancelled in the middle, and leaves nothing behind
my $session = $node->background_psql('postgres', on_error_stop => 0);
my $slow = 'SELECT bitnet_generate(body, 2000) FROM docs';

$session->query_safe("SET bitnet.model = 'slow'; SELECT bitnet_count_tokens('x')");
my $pid = backend_pid($session);
my $contexts = "SELECT count(*) FROM pg_backend_memory_contexts WHERE name LIKE 'bitnet %'";
foreach my $wait (50_000, 300_000, 900_000)
{
	in_time(sub { cancel_query($node, $session, $pid, $slow, $wait, 'a batch can be cancelled') }, $limit, 'at once');
	is($session->query_safe($contexts), '0', 'nothing is left behind');
}
is($session->query_safe("SET bitnet.model = 'small'; $md5"), $expected, 'the session goes on working');

# A row that another session has changed meanwhile is computed again
my $other = $node->background_psql('postgres');

$node->safe_psql('postgres', 'CREATE TABLE busy AS SELECT id, body, body AS answer FROM docs WHERE id <= 20;'
	  . ' ALTER TABLE busy ADD PRIMARY KEY (id)');
foreach my $statement ('UPDATE busy SET answer = bitnet_generate(body, 3)',
	'UPDATE busy SET answer = bitnet_generate(d.body || busy.body, 3) FROM docs d WHERE d.id = busy.id',
	'WITH s AS (SELECT id, bitnet_generate(body, 3) AS a FROM busy FOR UPDATE) UPDATE busy SET answer = s.a FROM s WHERE s.id = busy.id')
{
	my $content = $statement =~ /d\.body/ ? "'row ' || id || body" : 'body';

	$other->query_safe("BEGIN; UPDATE busy SET body = body || ' changed' WHERE id IN (3, 15)");
	start_query($session, $statement);
	ok(wait_until(sub {
		$node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE pid = $pid AND wait_event_type = 'Lock'") eq '1';
	}), 'an update waits');
	$other->query_safe('COMMIT');
	end_of_query($session);
	is( $node->safe_psql('postgres',
			"$off SET bitnet.model = 'small'; SELECT count(*) FROM busy WHERE answer = bitnet_generate($content, 3)"),
		'20', 'and works on what the row is now');
}
$other->quit;

# Very many rows, most of which need no model
sub memory
{
	return $session->query_safe(
		"SELECT sum(total_bytes) FROM pg_backend_memory_contexts");
}
sub peak
{
	my $status = slurp_file("/proc/$pid/status");

	return $status =~ /VmHWM:\s+(\d+)/ ? $1 : 0;
}
my $many = "SELECT count(g) FROM (SELECT bitnet_generate(CASE WHEN i % 1000 = 0 THEN 'x' END, 2) AS g,"
  . " bitnet_embed(nullif(repeat(' ', i % 7), ''), 4) AS e, repeat('wide', 100) AS w"
  . " FROM generate_series(1, %d) i OFFSET 0) s";
$session->query_safe('SET work_mem = \'32MB\'');
is($session->query_safe(sprintf($many, 10_000)), '10', 'many rows');
my ($memory, $peak) = (memory(), peak());
is($session->query_safe(sprintf($many, 200_000)), '200', 'twenty times as many');
cmp_ok(memory(), '<', $memory + 500_000, 'no memory is kept');
SKIP:
{
	skip 'no /proc', 1 if !$peak;
	cmp_ok(peak(), '<', $peak + 20_000, 'nor is more needed meanwhile');
}

# Large values: a batch ends where work_mem does
$session->query_safe("SET work_mem = '1MB'");
$found = $session->query_safe("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)"
	  . " SELECT bitnet_generate(left(w, 1), 1), w FROM (SELECT repeat('a' || i, 100000) AS w FROM generate_series(1, 40) i OFFSET 0) s");
like($found, qr/Batches: ([5-9]|1\d|2\d)\n.*Batch Rows: 40\n/s, 'batches are limited by work_mem');
$session->quit;

# Other users of the hooks, loaded before and after
my $module = $ENV{BITNET_MODULE};
foreach my $libraries ("$module, auto_explain, pg_stat_statements", "pg_stat_statements, auto_explain, $module")
{
	$node->append_conf('postgresql.conf', "shared_preload_libraries = '$libraries'\n"
		  . "auto_explain.log_min_duration = 0\nauto_explain.log_analyze = on\n");
	$node->restart;
	$node->safe_psql('postgres', 'CREATE EXTENSION IF NOT EXISTS pg_stat_statements;'
		  . ' SELECT pg_stat_statements_reset()');
	my $before = -s $node->logfile;
	is($node->safe_psql('postgres', $md5), $expected, 'the same results with other users of the hooks');
	like(slurp_file($node->logfile, $before),
		qr/Custom Scan \(BitNet Batch\).*Calls: bitnet_generate\(docs\.body, 3\).*Batches: 2\n.*Batch Rows: 300\n/s,
		'auto_explain shows the node');
	is( $node->safe_psql('postgres',
			"SELECT calls, rows FROM pg_stat_statements WHERE query LIKE 'SELECT md5%'"),
		'1|1', 'pg_stat_statements counts the statement');
	$found = $node->safe_psql('postgres', "EXPLAIN (ANALYZE, FORMAT JSON) $query");
	like($found, qr/"Calls": \["bitnet_generate\(body, 3\)"\]/, 'preloaded, the first statement has it');
	like($found, qr/"$_": [0-9.]+/, "EXPLAIN has $_")
	  foreach 'Batches', 'Batch Rows', 'Sequences per Step', 'Prompt Tokens', 'Cached Tokens',
		'Generated Tokens', 'Prefill Time', 'Decode Time', 'Model Time';
}

# Read-only
is($node->safe_psql('postgres', "BEGIN READ ONLY; $md5; COMMIT"), $expected, 'in a read-only transaction');

$node->stop;
done_testing();
