# What bitnet_stats, bitnet_activity and EXPLAIN say about what was computed.
#
# Runs alone: it measures time.

use strict;
use warnings;

use BitnetTest;
use Test::More;
use Time::HiRes qw(time);

my $node = start_server('stats',
	conf => "bitnet.model = 'small'\nbitnet.kv_cache_size = 64MB\n",
	before_start => sub {
		my ($node) = @_;

		make_model($node->basedir . '/models/small.gguf');
		make_model($node->basedir . '/models/slow.gguf',
			qw(--layers 8 --hidden 1024 --ffn 4096 --heads 16 --kv 4 --vocab 8000 --ctx 4096));
	});
my $raw = q(options => '{"raw": true}');

sub query
{
	return $node->safe_psql('postgres', $_[0]);
}

# What a statement adds to columns of bitnet_stats
sub counts
{
	my ($statement, $columns, $model) = @_;

	query('SELECT bitnet_stats_reset()');
	$node->psql('postgres', $statement);
	return query("SELECT $columns FROM bitnet_stats WHERE model = '" . ($model // 'small') . "'");
}

is(query('SELECT count(*) FROM bitnet_stats'), '0', 'no statistics of models that were never used');
is(query('SELECT count(*) FROM bitnet_activity'), '0', 'and nothing is running');

# A vector needs one pass over the tokens of its text, which fit into one step
my $n = query("SELECT bitnet_count_tokens('some text of a few words')");
is(query('SELECT model, calls, steps, sequences_per_step IS NULL FROM bitnet_stats'), 'small|0|0|t',
	'what needs the vocabulary only is no call');
like(counts("SELECT bitnet_embed('some text of a few words')", "calls, texts, prompt_tokens - $n, cached_tokens, generated_tokens, steps, sequences_per_step"),
	qr/^1\|1\|[01]\|0\|0\|1\|1$/, 'an embedding');
my $bos = counts("SELECT bitnet_embed('some text of a few words')", "prompt_tokens - $n");
is(counts(q(SELECT count(*) FROM bitnet_embed('{some text of a few words,some text of a few words,"",NULL}'::text[])),
		"calls, texts, prompt_tokens, sequences_per_step"),
	'1|2|' . 2 * ($n + $bos) . '|2', 'the same twice in an array, beside texts that need no model');

# An answer takes a step for each token, the first of which reads the prompt too
is(counts("SELECT bitnet_generate('some text of a few words', 7, $raw)", 'calls, texts, prompt_tokens, generated_tokens, steps'),
	'1|1|' . ($n + $bos) . '|7|7', 'an answer');

# Rows of a query are texts of a few calls
query("CREATE TABLE docs AS SELECT i AS id, 'row ' || i % 20 AS body FROM generate_series(1, 40) i; ANALYZE docs");
my $explain = 'EXPLAIN (ANALYZE, FORMAT JSON) SELECT bitnet_generate(body, 5) FROM docs';
is(counts("SELECT bitnet_version(); SELECT bitnet_generate(body, 5) FROM docs", 'calls, texts, errors, cancels'), '1|20|0|0',
	'rows with different texts, computed together');
is(counts('SET bitnet.enable_batch_scan = off; SELECT bitnet_generate(body, 5) FROM docs', 'calls, texts'), '40|40',
	'the same row by row');
query('SELECT bitnet_stats_reset()');
my $json = query("SELECT bitnet_version(); $explain");
my %explained = map { $_ => $json =~ /"$_": ([0-9.]+)/ ? $1 : undef }
  ('Prompt Tokens', 'Cached Tokens', 'Generated Tokens', 'Drafted Tokens', 'Accepted Tokens', 'Prefill Time', 'Decode Time', 'Model Time');
is(query('SELECT prompt_tokens, cached_tokens, generated_tokens, drafted_tokens, accepted_tokens FROM bitnet_stats WHERE model = \'small\''),
	join('|', @explained{'Prompt Tokens', 'Cached Tokens', 'Generated Tokens', 'Drafted Tokens', 'Accepted Tokens'}),
	'EXPLAIN counts the same');
is($explained{'Generated Tokens'}, 5 * 20, 'which is what there is');
cmp_ok($explained{'Prefill Time'} + $explained{'Decode Time'}, '<=', $explained{'Model Time'}, 'times are parts of the whole');
cmp_ok($explained{'Decode Time'}, '>', 0, 'and not nothing');
unlike(query("SELECT bitnet_version(); EXPLAIN (ANALYZE, TIMING OFF) SELECT bitnet_generate(body, 5) FROM docs"), qr/(Prefill|Decode|Model) Time/,
	'there are none without TIMING');

# An answer that repeats itself is guessed
my $passes = counts("SELECT bitnet_generate('again and again and again and', 60, $raw)",
	'accepted_tokens, drafted_tokens, generated_tokens, steps');
my ($accepted, $drafted, $generated, $steps) = split /\|/, $passes;
cmp_ok($accepted, '>', 0, "guesses come out ($passes)");
cmp_ok($accepted, '<=', $drafted, 'not more than there were');
is($steps, $generated - $accepted, 'and save a pass each');

# Beginnings that are known, from another session
my $long = "repeat('a beginning that is common ', 12)";
is(counts("SET bitnet.shared_engine = off; SELECT bitnet_generate($long || 'one', 3)", 'cached_tokens'), '0',
	'a session by itself knows no beginnings of others');
query("SELECT bitnet_generate($long || 'one', 3)");
my $tokens = query("SELECT bitnet_count_tokens($long)");
cmp_ok(counts("SELECT bitnet_generate($long || 'two', 3)", 'cached_tokens'), '>', $tokens / 2,
	'but the engine does');
cmp_ok(counts("SELECT bitnet_generate($long || 'two', 3)", 'prompt_tokens - cached_tokens'), '<', $tokens / 2,
	'and computes the rest');

# Times are those that pass.  A machine that stands still meanwhile gets two more tries.
my (@times, $passed);
foreach (1 .. 3)
{
	my $before = time;

	@times = split /\|/, counts("SELECT bitnet_generate('x', 60, model => 'slow', $raw)", 'queue_time, prefill_time, decode_time', 'slow');
	$passed = (time - $before) * 1000;
	last if $times[2] > $times[1];
}
cmp_ok($times[0] + $times[1] + $times[2], '<', $passed, sprintf('times in milliseconds (%.0f of %.0f)', $times[0] + $times[1] + $times[2], $passed));
cmp_ok($times[2], '>', $times[1], 'sixty tokens of an answer take longer than one of a prompt');

# What goes wrong.  The timeout passes while the model computes, not before.
my $timeout = int(1000 * $slowness);
my $endless = "SELECT bitnet_generate(array_agg('x' || i), 4000, model => 'slow', $raw) FROM generate_series(1, 50) i";
is(counts("SET statement_timeout = $timeout; $endless", 'calls, texts, cancels, errors', 'slow'),
	'1|0|1|0', 'a timeout');
is(counts("SET bitnet.shared_engine = off; SET statement_timeout = $timeout; $endless", 'calls, texts, cancels, errors', 'slow'),
	'1|0|1|0', 'the same in a session by itself');
my $session = $node->background_psql('postgres', on_error_stop => 0);
my $pid = backend_pid($session);
query('SELECT bitnet_stats_reset()');
$session->query_until(qr/started/, "\\echo started\n$endless;\n");
ok(wait_until(sub { query('SELECT state FROM bitnet_activity') eq 'decode' }), 'a session computes');
query("SELECT pg_terminate_backend($pid)");
ok(wait_until(sub { query("SELECT calls || ' ' || cancels FROM bitnet_stats WHERE model = 'slow'") eq '1 1' }),
	'and is terminated');
eval { $session->quit };
$node->append_conf('postgresql.conf', "bitnet.kv_cache_size = 1MB\n");
$node->reload;
is(counts($endless, 'calls, texts, cancels, errors', 'slow'), '1|0|0|1', 'an error');
$node->append_conf('postgresql.conf', "bitnet.kv_cache_size = 64MB\n");
$node->reload;

# How long they are kept
is(counts("SELECT bitnet_embed('x'); SELECT bitnet_unload('small'); SELECT bitnet_load('small'); SELECT bitnet_load('small', true); SELECT bitnet_embed('x')",
		'calls, texts'), '2|2', 'unloading and loading leaves the statistics');
query("SELECT bitnet_stats_reset('slow')");
is(query("SELECT string_agg(model || ' ' || calls, ', ' ORDER BY model) FROM bitnet_stats"), 'slow 0, small 2',
	'those of one model are set to zero');
is(query("SELECT s.stats_reset > t.stats_reset, s.sequences_per_step IS NULL FROM bitnet_stats s, bitnet_stats t WHERE s.model = 'slow' AND t.model = 'small'"),
	't|t', 'and it shows since when');
my ($status, $out, $err) = $node->psql('postgres', "SELECT bitnet_stats_reset('nonsense')");
like($err, qr/ERROR:  there are no statistics of model "nonsense"/, 'those of no model are not');

# Who may see and do what
query('CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE carol LOGIN; GRANT pg_monitor TO carol;');
($status, $out, $err) = $node->psql('postgres', 'SET ROLE alice; SELECT bitnet_stats_reset()');
like($err, qr/permission denied for function bitnet_stats_reset/, 'setting to zero is not for everybody');
is(query("SET ROLE alice; SELECT count(*) FROM bitnet_stats; SELECT count(*) FROM bitnet_activity; SELECT count(*) > 0 FROM bitnet_engines"),
	"2\n0\nt", 'reading is');

$session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe('SELECT bitnet_version()');
$session->query_safe("SET bitnet.model = 'slow'; SET ROLE alice");
$pid = backend_pid($session);
query('GRANT SELECT ON docs TO PUBLIC');
$session->query_until(qr/started/, "\\echo started\nSELECT id, bitnet_generate(body || id, 4 + 300 * (id / 20), $raw) FROM docs;\n");
$session->query_until(qr//, '');
my $columns = 'pid, datname, usename, model, function, state IS NOT NULL, rows_total, prompt_tokens > 0, started < now()';

# Between two runs of the statement there is nothing to see.
sub is_shown
{
	my ($before, $expected) = @_;

	return wait_until(sub { query("$before SELECT $columns FROM bitnet_activity") eq $expected });
}

ok(wait_until(sub { query('SELECT generated_tokens > 0 FROM bitnet_activity') eq 't' }), 'many rows');
my $all = "$pid|postgres|alice|slow|bitnet_generate|t|40|t|t";
ok(is_shown('', $all), 'are seen by a superuser');
ok(is_shown('SET ROLE alice;', $all), 'by the user herself');
ok(is_shown('SET ROLE carol;', $all), 'by who may read all statistics');
ok(is_shown('SET ROLE bob;', "$pid|postgres|alice|||f|||"), 'others see that there is something');
ok(wait_until(sub { query("SELECT sessions = 1 AND cache_used > 0 FROM bitnet_engines WHERE model = 'slow'") eq 't' }),
	'the engine works for one session');
ok(wait_until(sub { query('SELECT rows_done BETWEEN 1 AND 39 AND tokens_per_second > 0 AND estimated_remaining > interval \'0\' FROM bitnet_activity') eq 't' }),
	'it shows how many rows are done, and how long the others will take');
query("SELECT pg_cancel_backend($pid)");
ok(wait_until(sub { query('SELECT count(*) FROM bitnet_activity') eq '0' }), 'and is gone when it ends');
$session->quit;

$node->stop;
done_testing();
